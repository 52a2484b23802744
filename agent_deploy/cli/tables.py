"""`agent-deploy tables`: derives an endpoint's request and assessment logs on this machine, and shows them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.folder import DEFAULT_FOLDER, Folder, running_status
from agent_deploy.cli.showing import output, show_table, waiting
from agent_deploy.rules.problems import not_one_of

if TYPE_CHECKING:
    from agent_deploy.client.workspace import Workspace

app = typer.Typer(help="Inference tables of a local workspace's endpoints.", no_args_is_help=True)
Endpoint = Annotated[str, typer.Argument(help="Name of the serving endpoint.")]
# After a destroy that kept them, for example.
_OUTLIVED = "Tables that outlived their endpoint are read with SQL: SELECT * FROM CATALOG.SCHEMA.PREFIX_payload."
_WIDTH = 60  # of a cell, without --json
_SHOWN = {
    "requests": ("timestamp", "databricks_request_id", "status_code", "conversation_id", "request", "response"),
    "assessments": ("timestamp", "request_id", "source", "text_assessment", "retrieval_assessment"),
    "payload": ("request_time", "databricks_request_id", "status_code", "request", "response"),
    "quarantine": ("timestamp", "databricks_request_id", "status_code", "reason", "request_raw"),
}


@app.command()
def refresh(
    endpoint: Endpoint,
    folder: Folder = DEFAULT_FOLDER,
    start_over: Annotated[
        bool, typer.Option("--start-over", help="Drop what was derived, and derive all that the payload table has.")
    ] = False,
) -> None:
    """Derive what has been logged since the last time, with Apache Spark."""
    from agent_deploy.tables import refresh as tables
    from agent_deploy.tables.jars import JarsMissing
    from agent_deploy.tables.java import JavaMissing
    from agent_deploy.tables.reading import target_of
    from agent_deploy.tables.spark import SparkFailed

    described = _described(endpoint, folder)
    try:
        target = target_of(folder, described)
        models = _served(endpoint, folder)
        with waiting(f"Apache Spark derives what is new in {target.payload}; it takes half a minute to start"):
            added = tables.refresh(target.folder, target.payload, endpoint, models, start_over=start_over)
    except (tables.RefreshFailed, SparkFailed, JavaMissing, JarsMissing) as error:
        raise CommandError(str(error)) from error
    for key, count in added.items():
        typer.echo(f"{key}: {count} {'row' if count == 1 else 'rows'} added")


@app.command()
def show(
    endpoint: Endpoint,
    table: Annotated[str, typer.Argument(help="requests, assessments, payload or quarantine.")] = "requests",
    since: Annotated[str, typer.Option(help="Only rows since then: 90m, 12h, 7d, or an ISO date or time.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows, the newest.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, with all columns.")] = False,
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Show rows, the newest last; needs no Spark."""
    from agent_deploy.tables.reading import KEYS, parse_since, read, target_of
    from agent_deploy.tables.refresh import RefreshFailed

    if table not in KEYS:
        raise CommandError(str(not_one_of("table", table, KEYS)))
    try:
        start = parse_since(since, datetime.datetime.now(datetime.timezone.utc)) if since else None
    except ValueError:
        raise CommandError(f"--since {since!r}: expected 90m, 12h, 7d, or a date or time like 2026-11-23") from None
    try:
        rows = read(target_of(folder, _described(endpoint, folder)), table, start, limit, endpoint)
    except RefreshFailed as error:
        raise CommandError(str(error)) from error
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_plain(row), ensure_ascii=False, default=str))
    else:
        _print(rows, _SHOWN[table])


def _described(endpoint: str, folder: Path) -> dict[str, Any]:
    """The endpoint as the workspace on the folder describes it."""
    from agent_deploy.client.query import unknown_endpoint

    workspace = _workspace(folder)
    with _refusals_told():
        described = workspace.find(f"/api/2.0/serving-endpoints/{quote(endpoint, safe='')}")
        if described is None:
            raise CommandError(f"{unknown_endpoint(workspace, endpoint)} {_OUTLIVED}")
        return described


def _served(endpoint: str, folder: Path) -> Any:
    """Models and versions of all that the endpoint has served, by the served entity's id."""
    with _refusals_told():
        return _workspace(folder).get(f"/_local/serving/entities/{quote(endpoint, safe='')}")["entities"]


@contextmanager
def _refusals_told() -> Iterator[None]:
    """Turns what goes wrong with the workspace into an error of the command."""
    from agent_deploy.client.errors import WorkspaceError

    try:
        yield
    except WorkspaceError as error:
        raise CommandError(" ".join(str(error).split())) from error


def _workspace(folder: Path) -> Workspace:
    """The workspace on the folder, as its administrator."""
    from agent_deploy.client.configuration import Settings
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.local.running import TOKEN_FILE

    status = running_status(folder)
    token = (folder / TOKEN_FILE).read_text(encoding="utf-8").strip()
    return Workspace(Settings(host=str(status["host"]), method="pat", token=token))


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    show_table(output(), columns, [[_cell(row.get(column)) for column in columns] for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False, default=str)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _plain(value: Any) -> Any:
    """Arrow gives maps as lists of pairs; JSON has objects, and times in ISO 8601."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        pairs = value and all(isinstance(inner, tuple) for inner in value)
        return {name: _plain(inner) for name, inner in value} if pairs else [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime.date) else value
