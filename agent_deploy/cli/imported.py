"""What `agent-deploy import` says: what is taken over, what changes, what is left alone, what to do next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent_deploy.cli.showing import output

if TYPE_CHECKING:
    from agent_deploy.importing.take_over import TakeOver


def tell(
    found: Sequence[TakeOver],
    left: Mapping[str, str],
    notes: Sequence[str],
    programs: Sequence[str],
    written: Sequence[str],
) -> None:
    """Everything but what to do next."""
    for each in found:
        _show(each)
    for program in programs:
        typer.echo(program)
    _show_left(left)
    for note in notes:
        typer.echo(f"note: {note}")
    if written:
        typer.echo(f"Written: {', '.join(written)}")
        if not programs:
            typer.echo("The program reads the entry by agent_deploy.declared_agents().")


def _show(found: TakeOver) -> None:
    from rich.markup import escape

    console = output()
    console.print(f"[bold]{escape(found.found.name)}[/bold] → {escape(found.name)}")
    for key, value in found.entry.args.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        console.print(f"  [green]taken over[/green] {escape(key)}: {escape(_printable(text))}")
    for note in found.entry.notes:
        console.print(f"  [yellow]note[/yellow] {escape(_printable(str(note)))}")
    for difference in found.differences:
        console.print(f"  [yellow]changes[/yellow] {escape(_printable(str(difference)))}")
    for problem in found.problems:
        console.print(f"  [red]refused by the preview[/red] {escape(_printable(problem))}")
    if not found.is_there:
        console.print("  There is no such endpoint yet: the next `pulumi up` makes it.")
    elif not found.differences and not found.problems:
        console.print("  The next preview is empty.")


def _printable(text: str) -> str:
    """On one line, whatever the workspace has in a text: no line and no escape sequence is forged."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _show_left(left: Mapping[str, str]) -> None:
    from rich.markup import escape

    for endpoint, reason in left.items():
        output().print(f"[dim]left alone[/dim] {escape(endpoint)}: {escape(_printable(reason))}")


def tell_next(before: Sequence[str], found: Sequence[TakeOver], stack: str, file: Path) -> None:
    """The commands that follow, in their order; none where nothing is taken over."""
    if not found:
        return
    steps, named = [*before], shlex.quote(stack)
    steps += [
        f"pulumi config set --stack {named} --secret {shlex.quote(key)}"
        for each in found
        for key in each.entry.secrets.values()
    ]
    if any(each.is_there for each in found):
        steps.append(
            f"pulumi import --stack {named} --file {shlex.quote(str(file))} --generate-code=false --protect=false"
        )
    unchanged = all(each.is_there and not each.differences and not each.problems for each in found)
    steps.append(f"pulumi preview --stack {named}{' --expect-no-changes' if unchanged else ''}")
    typer.echo("Next:")
    for step in steps:
        typer.echo(f"  {step}")


def plain(
    found: Sequence[TakeOver], left: Mapping[str, str], notes: Sequence[str], before: Sequence[str]
) -> dict[str, Any]:
    """For `--json`."""
    return {
        "imports": [_plain(each) for each in found],
        "left": dict(left),
        "notes": list(notes),
        "before": list(before),
    }


def _plain(found: TakeOver) -> dict[str, Any]:
    return {
        "endpoint": found.found.name,
        "name": found.name,
        "exists": found.is_there,
        "entry": dict(found.entry.args),
        "secrets": dict(found.entry.secrets),
        "notes": [asdict(each) for each in found.entry.notes],
        "differences": [asdict(each) for each in found.differences],
        "problems": list(found.problems),
    }
