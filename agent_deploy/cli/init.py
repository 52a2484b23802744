"""`agent-deploy init`: a project of one's own, from an empty folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_deploy.cli.errors import CommandError

# What a new local workspace has.
LOCAL_CATALOG = "main"

if TYPE_CHECKING:
    from agent_deploy.projects.answers import Answers


def init(
    folder: Annotated[Path, typer.Argument(help="Where the project goes; made when it is missing.")] = Path(),
    name: Annotated[str | None, typer.Option(help="Name of the project; by default, the folder's.")] = None,
    description: Annotated[str | None, typer.Option(help="What the project is.")] = None,
    language: Annotated[str | None, typer.Option(help="Of the program: python, yaml, typescript or go.")] = None,
    model: Annotated[str | None, typer.Option(help="Registered model, catalog.schema.model.")] = None,
    group: Annotated[str | None, typer.Option(help="Group that may query the agent.")] = None,
    ci: Annotated[str | None, typer.Option(help="Whose workflows to write: github, gitlab or none.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: take the default of what is not given.")
    ] = False,
) -> None:
    """Write a project: an agent, its program, stacks for dev, staging and prod, workflows.

    On a terminal it asks for what is not given. It writes over nothing: the files that are there already are named.
    """
    # Here, not at the top: no other command needs these.
    from agent_deploy.projects.answers import QUESTIONS, Answers
    from agent_deploy.projects.rendering import files
    from agent_deploy.projects.writing import Clash, write
    from agent_deploy.rules.problems import InvalidInput

    values = {
        "name": name, "description": description, "language": language, "model": model, "group": group, "ci": ci,
    }  # fmt: skip
    given = {field: str(values[field]) for field in QUESTIONS if values[field] is not None}
    try:
        answers = Answers(**_completed(folder, given, yes))
        answers.check()
        write(folder, files(answers))
    except InvalidInput as error:
        raise CommandError(f"nothing was written:\n{error}") from error
    except Clash as error:
        there = "".join(f"\n  {path}" for path in error.paths)
        raise CommandError(
            f"nothing was written, as {folder.absolute()} has files of these names:{there}\n"
            "Name another FOLDER, or move them away"
        ) from error
    except OSError as error:
        raise CommandError(f"nothing was written: {error.filename or folder}: {error.strerror}") from error
    typer.echo(f"Wrote the project {answers.name} into {folder.absolute()}.")
    typer.echo(_next(folder, answers), err=True)


def _completed(folder: Path, given: Mapping[str, str], yes: bool) -> dict[str, str]:
    """The answers of the options, of whoever sits at the terminal, and the defaults that were agreed to."""
    from agent_deploy.projects.answers import QUESTIONS, defaults

    taken = {**defaults(folder, given.get("name", "")), **given}
    missing = [field for field in QUESTIONS if field not in given]
    if yes or not missing:
        return taken
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        shown = " ".join(f"--{field} {shlex.quote(taken[field])}" for field in missing)
        raise CommandError(
            f"nothing was written: there is no terminal to ask on. Give {shown}, or --yes for just these"
        )
    for field in missing:
        taken[field] = _asked(field, {**defaults(folder, taken["name"]), **given}[field])
    return taken


def _asked(field: str, default: str) -> str:
    """The first answer that can be taken."""
    from rich.prompt import Prompt

    from agent_deploy.projects.answers import CHOICES, QUESTIONS, problems_of

    choices = list(CHOICES[field]) if field in CHOICES else None
    while True:
        answer = Prompt.ask(QUESTIONS[field], choices=choices, default=default)
        problems = list(problems_of(field, answer))
        if not problems:
            return answer
        typer.echo("\n".join(map(str, problems)), err=True)


def _next(folder: Path, answers: Answers) -> str:
    from agent_deploy.projects.answers import GENERATED
    from agent_deploy.rules.names import endpoint_name

    enter = [f"cd {shlex.quote(str(folder))}"] if folder.absolute() != Path.cwd() else []
    query = f'agent-deploy query {endpoint_name(answers.model)} "Where is my invoice?"'
    sdk = ['pulumi package add "$(command -v pulumi-resource-agent-deploy)"'] if answers.language in GENERATED else []
    ask = ["python log.py", *sdk, "pulumi up --yes", query]
    here = "\n".join(f"  {command}" for command in (*enter, 'eval "$(agent-deploy local start --stack local)"', *ask))
    there = "\n".join(f"  {command}" for command in (*enter, "pulumi stack init dev", *ask))
    if answers.model.split(".")[0] == LOCAL_CATALOG:
        otherwise = "In a workspace of Databricks, in place of the `eval`: pulumi stack init dev"
        return f"Next, on this machine:\n{here}\n{otherwise}"
    # A new local workspace has one catalog.
    return f"Next, in your workspace of Databricks (`agent-deploy doctor` looks at the sign-in):\n{there}"
