"""The files of a new project, of the same templates that `pulumi new` reads, and with the same placeholders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from agent_deploy.projects.answers import STAGES, Answers

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
# The template's own part of Pulumi.yaml, its last one: for whoever chooses a template, as `pulumi new` drops it.
_OF_THE_TEMPLATE = "\ntemplate:\n"
# Where the workflows of a forge lie in a project.
_WORKFLOWS = {
    "github": {f"github/agents-{name}.yml": f".github/workflows/agents-{name}.yml"
               for name in ("deploy", "drift", "ephemeral", "preview", "promote")},
    "gitlab": {"gitlab/agents.gitlab-ci.yml": ".gitlab-ci.yml"},
    "none": {},
}  # fmt: skip
_POLICIES = "policies.json"  # what the workflows judge by


def files(answers: Answers) -> dict[str, str]:
    """Path in the project → text."""
    replaced = _replaced(answers)
    found = {}
    for path, text in _template(answers.language):
        for placeholder, value in replaced.items():
            text = text.replace(placeholder, value)
        found[path] = text
    found["Pulumi.yaml"] = found["Pulumi.yaml"].partition(_OF_THE_TEMPLATE)[0] + "\n"
    return {**found, **_workflows(answers.ci)}


def _template(language: str) -> Iterator[tuple[str, str]]:
    folder = TEMPLATES / "project" / language
    for path in sorted(folder.rglob("*")):
        # Installing a package compiles what is Python in it.
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_text("utf-8")


def _replaced(answers: Answers) -> dict[str, str]:
    """Text of a template → what stands there in the project; the longer ones first, as they hold the shorter ones."""
    models = {f"{stage}.default.${{PROJECT}}": answers.staged_model(stage) for stage in STAGES}
    return {
        "main.default.${PROJECT}": answers.model,
        **models,
        "default: users": f"default: {json.dumps(answers.group, ensure_ascii=False)}",
        "${PROJECT}": answers.name,
        # Between the quotes of YAML and JSON.
        "${DESCRIPTION}": json.dumps(answers.description, ensure_ascii=False)[1:-1],
    }


def _workflows(forge: str) -> dict[str, str]:
    found = {target: (TEMPLATES / source).read_text("utf-8") for source, target in _WORKFLOWS[forge].items()}
    return {**found, _POLICIES: (TEMPLATES / _POLICIES).read_text("utf-8")} if found else {}
