"""`agent-deploy report`: what a preview changes for the agents, for whoever reviews it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agent_deploy.cli.showing import output

if TYPE_CHECKING:
    from agent_deploy.report.structure import Report

# Exit codes, as in Pulumi's own list.
CONFIGURATION, POLICY = 2, 5
STANDARD_INPUT = "-"


class Format(str, Enum):
    """How a report is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"


def report(
    preview: Annotated[
        str,
        typer.Argument(
            help="Output of `pulumi preview --json`; - is standard input. Default: it runs one here itself."
        ),
    ] = "",
    event_log: Annotated[str, typer.Option(help="Instead: the file of `pulumi preview --event-log`.")] = "",
    how: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    project: Annotated[str, typer.Option(help="Refuse a preview of another project.")] = "",
    stack: Annotated[str, typer.Option(help="Refuse a preview of another stack; the one that is previewed here.")] = "",
    policies: Annotated[
        str, typer.Option(help="Judge by policies: a file of settings, as --policy-pack-config takes it.")
    ] = "",
    to: Annotated[str, typer.Option("--output", help="File to write to, instead of standard output.")] = "",
) -> None:
    """Tell what a preview changes: a verdict, versions, access, secrets, tables, cost.

    Exit codes: 2, no such preview; 5, a mandatory policy is against it.
    """
    # Here, not at the top: no other command reads previews.
    from agent_deploy.policies.policy import MANDATORY
    from agent_deploy.report.build import report_of
    from agent_deploy.report.preview import PreviewError, read
    from agent_deploy.rules.problems import InvalidInput

    if preview and event_log:
        _refuse("Give a preview or --event-log, not both")
    try:
        text, failed = _read(event_log or preview, stack)
        given = read(text, project, stack.rpartition("/")[2])
        found = report_of(replace(given, failed=max(given.failed, int(failed))), _settings(policies))
    except (PreviewError, InvalidInput) as error:
        _refuse(str(error))
    _print(found, Format.json if as_json else how, to)
    if any(each.severity == MANDATORY for each in found.findings):
        raise typer.Exit(POLICY)


def _settings(file: str) -> Any:
    """None without a file: no policy is asked."""
    from agent_deploy.report.preview import PreviewError

    if not file:
        return None
    try:
        found = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise PreviewError(f"Cannot read the policies' settings in {file}: {error}") from error
    if not isinstance(found, dict):
        raise PreviewError(f"The policies' settings in {file}: expected an object of policy ids")
    return found


def _read(source: str, stack: str) -> tuple[str, bool]:
    """The preview's text, and whether the engine said that it failed."""
    from agent_deploy.report.engine import run_preview
    from agent_deploy.report.preview import PreviewError

    if not source:
        return run_preview(stack)
    try:
        return sys.stdin.read() if source == STANDARD_INPUT else Path(source).read_text("utf-8"), False
    except OSError as error:
        raise PreviewError(f"Cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PreviewError(f"Cannot read {source}: it is no text in UTF-8") from error


def _print(found: Report, how: Format, to: str) -> None:
    from agent_deploy.report.document import json_text
    from agent_deploy.report.markdown import markdown
    from agent_deploy.report.plain import show

    if how is Format.text and not to:
        show(found, output())
        return
    text = (
        markdown(found) if how is Format.markdown else json_text(found) + "\n" if how is Format.json else _plain(found)
    )
    if not to:
        typer.echo(text, nl=False)
        return
    try:
        Path(to).write_text(text, "utf-8")
    except OSError as error:
        _refuse(f"Cannot write {to}: {error.strerror}")


def _plain(found: Report) -> str:
    from io import StringIO

    from rich.console import Console

    from agent_deploy.cli.showing import UNFOLDED
    from agent_deploy.report.plain import show

    written = StringIO()
    show(found, Console(file=written, width=UNFOLDED, highlight=False, soft_wrap=True))
    return written.getvalue()


def _refuse(reason: str) -> NoReturn:
    from agent_deploy.client.masking import masked

    typer.echo(f"agent-deploy: {masked(reason)}", err=True)
    raise typer.Exit(CONFIGURATION)
