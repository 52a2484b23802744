"""The commands, put together; each in a file of its own that imports what it needs only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from agent_deploy.cli import (
    check,
    comment,
    deployments,
    doctor,
    ephemeral,
    feedback,
    import_,
    init,
    local,
    promote,
    query,
    report,
    tables,
)
from agent_deploy.cli.errors import CommandError

__all__ = ["CommandError", "app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(local.app, name="local")
app.add_typer(tables.app, name="tables")
app.add_typer(ephemeral.app, name="ephemeral")
app.command(name="init")(init.init)
app.command(name="check")(check.check)
app.command(name="doctor")(doctor.doctor)
app.command(name="feedback")(feedback.feedback)
app.command(name="deployments")(deployments.deployments)
app.command(name="report")(report.report)
app.command(name="comment")(comment.comment)
app.command(name="promote")(promote.promote)
app.command(name="import")(import_.import_)

app.command(name="query")(query.query)


def _show_version(asked: bool) -> None:
    if asked:
        from agent_deploy.client.workspace import installed_version

        typer.echo(installed_version())
        raise typer.Exit


@app.callback()
def of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """AI agents on Databricks: the local workspace, and what a running deployment is asked."""
