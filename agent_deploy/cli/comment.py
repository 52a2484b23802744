"""`agent-deploy comment`: the report on the pull request, in one comment that is kept up to date."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_deploy.cli.reported import (
    AUTHENTICATION,
    CONFIGURATION,
    EventLog,
    Policies,
    Preview,
    Project,
    Stack,
    end_by_policy,
    refuse,
    reported,
    write,
)

if TYPE_CHECKING:
    from agent_deploy.pull_requests.surroundings import Surroundings
    from agent_deploy.report.structure import Report

_SUMMARY = "GITHUB_STEP_SUMMARY"  # a file; what is appended is shown on the page of the workflow's run
_EXTRA = "It takes another package: pip install 'agent-deploy[pull-requests]'"


class On(str, Enum):
    """A forge."""

    github = "github"
    gitlab = "gitlab"


def comment(
    preview: Preview = "",
    event_log: EventLog = "",
    project: Project = "",
    stack: Stack = "",
    policies: Policies = "",
    forge: Annotated[On | None, typer.Option(help="Default: gitlab in one of its jobs, else github.")] = None,
    repository: Annotated[str, typer.Option(help="owner/name, or a project's path; default: the job's own.")] = "",
    pull_request: Annotated[int | None, typer.Option(help="Its number; default: the one the job is for.")] = None,
    commit: Annotated[str, typer.Option(help="The commit that was previewed; default: the job's own.")] = "",
    to: Annotated[str, typer.Option("--output", help="Where there is no token: a file for the comment.")] = "",
) -> None:
    """Write the report on the pull request: one comment for each stack, which later runs update.

    The token is read from GITHUB_TOKEN or GITLAB_TOKEN; without one the comment is printed. Exit codes: 2, no such
    preview or pull request; 3, the token may not; 5, a mandatory policy is against the change.
    """
    # Here, not at the top: no other command does this.
    from agent_deploy.pull_requests.surroundings import TOKENS, surroundings
    from agent_deploy.report.markdown import markdown
    from agent_deploy.rules.problems import InvalidInput

    try:
        at = surroundings(os.environ, forge.value if forge else "", repository, pull_request, commit)
    except InvalidInput as error:
        refuse(str(error))
    found = reported(preview, event_log, project, stack, policies)
    text = markdown(found)
    if at is None:
        typer.echo(f"No token in {' or '.join(TOKENS.values())}: the comment is printed.", err=True)
        write(text, to)
    else:
        _post(at, found, text)
    if summary := os.environ.get(_SUMMARY):
        _append(summary, text)
    end_by_policy(found)


def _post(at: Surroundings, found: Report, text: str) -> None:
    from agent_deploy.pull_requests.forge import ForgeError, NotAllowed
    from agent_deploy.pull_requests.marker import Marker
    from agent_deploy.pull_requests.posting import GAVE_WAY, put

    try:
        done = put(at.connect(), Marker(found.project, found.stack, at.commit), text)
    except ModuleNotFoundError as error:
        refuse(f"{error}. {_EXTRA}")
    except ForgeError as error:
        refuse(str(error), AUTHENTICATION if isinstance(error, NotAllowed) else CONFIGURATION)
    if done.done == GAVE_WAY:
        typer.echo(f"Gave way: {done.url} shows the newer commit {done.commit}.")
    else:
        typer.echo(f"{done.done.capitalize()}: {done.url}")


def _append(file: str, text: str) -> None:
    try:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError as error:
        refuse(f"Cannot write {file} ({_SUMMARY}): {error.strerror}")
