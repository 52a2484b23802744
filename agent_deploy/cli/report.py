"""`agent-deploy report`: what a preview changes for the agents, for whoever reviews it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from agent_deploy.cli.reported import EventLog, Policies, Preview, Project, Stack, end_by_policy, reported, write
from agent_deploy.cli.showing import output

if TYPE_CHECKING:
    from agent_deploy.report.structure import Report


class Format(str, Enum):
    """How a report is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"


def report(
    preview: Preview = "",
    event_log: EventLog = "",
    how: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    project: Project = "",
    stack: Stack = "",
    policies: Policies = "",
    to: Annotated[str, typer.Option("--output", help="File to write to, instead of standard output.")] = "",
) -> None:
    """Tell what a preview changes: a verdict, versions, access, secrets, tables, cost.

    Exit codes: 2, no such preview; 5, a mandatory policy is against it.
    """
    found = reported(preview, event_log, project, stack, policies)
    _print(found, Format.json if as_json else how, to)
    end_by_policy(found)


def _print(found: Report, how: Format, to: str) -> None:
    from agent_deploy.report.document import json_text
    from agent_deploy.report.markdown import markdown
    from agent_deploy.report.plain import show

    if how is Format.text and not to:
        show(found, output())
        return
    write(
        markdown(found) if how is Format.markdown else json_text(found) + "\n" if how is Format.json else _plain(found),
        to,
    )


def _plain(found: Report) -> str:
    from io import StringIO

    from rich.console import Console

    from agent_deploy.cli.showing import UNFOLDED
    from agent_deploy.report.plain import show

    written = StringIO()
    show(found, Console(file=written, width=UNFOLDED, highlight=False, soft_wrap=True))
    return written.getvalue()
