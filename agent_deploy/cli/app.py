"""The commands, put together; each in a file of its own that imports what it needs only when it runs."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import typer

from agent_deploy.cli import check, comment, deployments, doctor, ephemeral, feedback, local, promote, report, tables
from agent_deploy.cli.errors import CommandError

__all__ = ["CommandError", "app"]

app = typer.Typer(
    help="AI agents on Databricks: the local workspace, and what a running deployment is asked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(local.app, name="local")
app.add_typer(tables.app, name="tables")
app.add_typer(ephemeral.app, name="ephemeral")
app.command(name="check")(check.check)
app.command(name="doctor")(doctor.doctor)
app.command(name="feedback")(feedback.feedback)
app.command(name="deployments")(deployments.deployments)
app.command(name="report")(report.report)
app.command(name="comment")(comment.comment)
app.command(name="promote")(promote.promote)

if find_spec("agent_deploy.cli.query") is not None:
    app.command(name="query")(import_module("agent_deploy.cli.query").query)
