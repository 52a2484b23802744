"""`agent-deploy doctor`: what keeps a first deployment from working, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from agent_deploy.cli.showing import output

_SIGNS = {"ok": "[green]OK[/]     ", "warning": "[yellow]warning[/]", "error": "[red]error[/]  "}


def doctor(
    schema: Annotated[str, typer.Option(help="catalog.schema of the first agent's model and tables.")] = "main.default",
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """Look at this machine, the sign-in and the workspace. Exit code 1 when something is an error; changes nothing."""
    # Here, not at the top: no other command needs these.
    from rich.markup import escape

    from agent_deploy.client.masking import masked
    from agent_deploy.doctor import machine, workspace
    from agent_deploy.doctor.line import ERROR, OK

    console = output()
    found = []
    for line in (*machine.lines(), *workspace.lines(schema)):
        found.append(line)
        if not as_json:
            console.print(f"{_SIGNS[line.status]} {escape(line.about)}: {escape(masked(line.found))}")
            if line.status != OK and line.remedy:
                console.print(f"          [dim]→[/] {escape(masked(line.remedy))}")
    if as_json:
        typer.echo(masked(json.dumps([asdict(line) for line in found], indent=2, ensure_ascii=False)))
    if any(line.status == ERROR for line in found):
        raise typer.Exit(1)
