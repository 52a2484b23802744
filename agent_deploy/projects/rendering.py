"""The files of a new project, of the same templates that `pulumi new` reads, and with the same placeholders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from agent_deploy.projects.answers import STAGES, Answers
from agent_deploy.rules.groups import EVERYBODY
from agent_deploy.rules.yaml_text import scalar

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
_NOT_FOR_EVERYBODY = "AGD012"
# How a job installs what the program needs; these languages need an SDK besides, which git ignores.
_INSTALL = "pip install -r requirements.txt"
_INSTALL_SDK = 'pulumi package add "$(command -v pulumi-resource-agent-deploy)" && pulumi install'
_COMPILED = ("typescript", "go")


def files(answers: Answers) -> dict[str, str]:
    """Path in the project → text."""
    found = {path: _filled(path, text, answers) for path, text in _template(answers.language)}
    found["Pulumi.yaml"] = found["Pulumi.yaml"].partition(_OF_THE_TEMPLATE)[0] + "\n"
    return {**found, **_workflows(answers)}


def _template(language: str) -> Iterator[tuple[str, str]]:
    folder = TEMPLATES / "project" / language
    for path in sorted(folder.rglob("*")):
        # Installing a package compiles what is Python in it.
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_text("utf-8")


def _filled(path: str, text: str, answers: Answers) -> str:
    """The text without placeholders; the longer ones are replaced first, as they hold others."""
    written = _AS.get(path.rpartition(".")[2], str)
    models = {f"{stage}.default.${{PROJECT}}": answers.staged_model(stage) for stage in STAGES}
    replaced = {
        "main.default.${PROJECT}": answers.model,
        **models,
        "default: users": f"default: {scalar(answers.group)}",
        "${PROJECT}": written(answers.name),
        "${DESCRIPTION}": written(answers.description),
    }
    for placeholder, value in replaced.items():
        text = text.replace(placeholder, value)
    return text


def _json(value: str) -> str:
    """Between quotes."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


# How a value is written, by the file's kind; elsewhere as it is.
_AS: dict[str, Callable[[str], str]] = {"yaml": scalar, "json": _json}


def _workflows(answers: Answers) -> dict[str, str]:
    """What the chosen forge runs, and the policies that it judges by; nothing without a forge."""
    found = {target: (TEMPLATES / source).read_text("utf-8") for source, target in _WORKFLOWS[answers.ci].items()}
    if not found:
        return {}
    if answers.language in _COMPILED:
        found = {target: text.replace(_INSTALL, f"{_INSTALL} && {_INSTALL_SDK}") for target, text in found.items()}
    policies = json.loads((TEMPLATES / _POLICIES).read_text("utf-8"))
    if answers.group in EVERYBODY:
        # What the user chose is no reason to refuse each pull request.
        policies[_NOT_FOR_EVERYBODY] = "advisory"
    return {**found, _POLICIES: json.dumps(policies, indent=2) + "\n"}
