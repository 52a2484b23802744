"""What `report` and `comment` share: which preview they read, and by which policies it is judged."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from agent_deploy.report.structure import Report

# Exit codes, as in Pulumi's own list.
CONFIGURATION, AUTHENTICATION, POLICY = 2, 3, 5
STANDARD_INPUT = "-"
_PARTIAL = (
    "Policies judge a whole stack, and this preview has only what changes. Make it with: "
    "pulumi preview --json --show-sames (or give --event-log)"
)

Preview = Annotated[
    str,
    typer.Argument(help="Output of `pulumi preview --json`; - is standard input. Default: it runs one here itself."),
]
EventLog = Annotated[str, typer.Option(help="Instead: the file of `pulumi preview --event-log`.")]
Project = Annotated[str, typer.Option(help="Refuse a preview of another project.")]
Stack = Annotated[str, typer.Option(help="Refuse a preview of another stack; the one that is previewed here.")]
Policies = Annotated[str, typer.Option(help="Judge by policies: a file of settings, as --policy-pack-config takes it.")]


def reported(preview: str, event_log: str, project: str, stack: str, policies: str) -> Report:
    """The report; ends the command where there is no such preview."""
    # Here, not at the top: no other command reads previews.
    from agent_deploy.report.build import report_of
    from agent_deploy.report.preview import PreviewError, read
    from agent_deploy.rules.problems import InvalidInput

    if preview and event_log:
        refuse("Give a preview or --event-log, not both")
    try:
        text, failed = _read(event_log or preview, stack)
        given = read(text, project, stack.rpartition("/")[2])
        if policies and given.is_partial:
            raise PreviewError(_PARTIAL)
        return report_of(replace(given, failed=max(given.failed, int(failed))), settings_in(policies))
    except (PreviewError, InvalidInput) as error:
        refuse(str(error))


def end_by_policy(found: Report) -> None:
    """Ends the command with exit code 5 where a mandatory policy is against the change."""
    if found.refused_by:
        raise typer.Exit(POLICY)


def write(text: str, to: str) -> None:
    """To a file, or without one to standard output."""
    if not to:
        typer.echo(text, nl=False)
        return
    try:
        Path(to).write_text(text, "utf-8")
    except OSError as error:
        refuse(f"Cannot write {to}: {error.strerror}")


def refuse(reason: str, code: int = CONFIGURATION) -> NoReturn:
    """Why the command cannot do it, and its end."""
    say(f"agent-deploy: {reason}")
    raise typer.Exit(code)


def say(text: str) -> None:
    """On standard error, without credentials."""
    from agent_deploy.client.masking import masked

    typer.echo(masked(text), err=True)


def settings_in(file: str) -> Any:
    """A file's settings of policies; None without a file: no policy is asked. Ends the command where it is none."""
    if not file:
        return None
    try:
        found = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        refuse(f"Cannot read the policies' settings in {file}: {error}")
    if not isinstance(found, dict):
        refuse(f"The policies' settings in {file}: expected an object of policy ids")
    return found


def _read(source: str, stack: str) -> tuple[str, bool]:
    """The preview's text, and whether the engine said that it failed."""
    from agent_deploy.report.engine import run_preview
    from agent_deploy.report.preview import PreviewError, errors

    if not source:
        text, failed = run_preview(stack)
        for error in errors(text):
            say(error.rstrip())
        return text, failed
    try:
        return sys.stdin.read() if source == STANDARD_INPUT else Path(source).read_text("utf-8"), False
    except OSError as error:
        raise PreviewError(f"Cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PreviewError(f"Cannot read {source}: it is no text in UTF-8") from error
