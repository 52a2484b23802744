"""What a new project is asked: its name, its model, its language, who may query, where its workflows run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent_deploy.rules.names import check_model_name, check_servable_name, split_model_name
from agent_deploy.rules.problems import InvalidInput, Problem, not_one_of

LANGUAGES = ("python", "yaml", "typescript", "go")
GENERATED = ("typescript", "go")  # whose SDK Pulumi generates into the project
FORGES = ("github", "gitlab", "none")
DESCRIPTION = "An AI agent on Databricks"

# As Pulumi takes a project's name.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NAME_FORM = "1 to 100 letters, digits, '-', '_' or '.'"
# Catalogs of the stages, in which the model is called the same as in the one that is asked for.
STAGES = ("staging", "prod")


@dataclass(frozen=True)
class Answers:
    """One value for each question; `check` says what is wrong with them."""

    name: str
    model: str
    language: str = "python"
    group: str = "users"
    ci: str = "github"
    description: str = DESCRIPTION

    def check(self) -> None:
        """Raises InvalidInput with all mistakes, each under the name of its option."""
        problems = [problem for field in QUESTIONS for problem in problems_of(field, getattr(self, field))]
        if problems:
            raise InvalidInput(problems)

    def staged_model(self, stage: str) -> str:
        """``main.default.clerk`` → ``prod.default.clerk``."""
        _, schema, name = split_model_name(self.model)
        return f"{stage}.{schema}.{name}"


# Field of Answers → what is asked, in this order.
QUESTIONS = {
    "name": "Project name",
    "description": "Project description",
    "language": "Language of the program",
    "model": "Registered model (catalog.schema.model)",
    "group": "Group that may query the agent",
    "ci": "Workflows for",
}
CHOICES = {"language": LANGUAGES, "ci": FORGES}


def defaults(folder: Path, name: str = "") -> dict[str, str]:
    """What `--yes` takes: the project is called as its folder, the model as the project."""
    project = name or _allowed(folder.absolute().name, "project", r"[^A-Za-z0-9_.-]+")
    model = f"main.default.{_allowed(project, 'agent', r'[^A-Za-z0-9_-]+')}"
    return {
        "name": project,
        "description": DESCRIPTION,
        "language": LANGUAGES[0],
        "model": model,
        "group": "users",
        "ci": FORGES[0],
    }


def problems_of(field: str, value: str) -> Iterable[Problem]:
    """Of one answer."""
    option = f"--{field}"
    if field in CHOICES:
        return [] if value in CHOICES[field] else [not_one_of(option, value, CHOICES[field])]
    if field == "name":
        remedy = "Pulumi knows the project by it: choose another one"
        return [] if _NAME.fullmatch(value) else [Problem(option, value, _NAME_FORM, remedy)]
    if field == "model":
        return check_model_name(option, value) or _unquotable(option, value) or check_servable_name(option, value)
    expected = "one line that is not empty"
    return [] if value.strip() and value.isprintable() else [Problem(option, value, expected)]


def _unquotable(option: str, model: str) -> list[Problem]:
    # It stands in files of several languages, where quotes and what YAML reads otherwise would end it.
    if re.fullmatch(r"[\w.-]+", model):
        return []
    return [Problem(option, model, "letters, digits, '-' and '_' in each level", "Write another name into the files")]


def _allowed(name: str, otherwise: str, others: str) -> str:
    return re.sub(others, "-", name).strip("-._")[:100] or otherwise
