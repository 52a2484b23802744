"""`agent-deploy deployments`: which agents run in a workspace, where, how they are, and who declared them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.showing import output, show_table

if TYPE_CHECKING:
    from rich.console import Console

    from agent_deploy.client.deployments import Deployment

BY_HAND = "(by hand)"


def deployments(
    model: Annotated[str, typer.Argument(help="Registered model: catalog.schema.model. Default: all agents.")] = "",
    version: Annotated[str, typer.Argument(help="Number of one version.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects; dates as in ISO 8601.")] = False,
) -> None:
    """List the deployed agents of a workspace: of all stacks, and those of databricks.agents.deploy()."""
    # Here, not at the top: `agent-deploy --help` needs no HTTP client.
    from agent_deploy.client.deployments import get_deployments, list_deployments
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.workspace import Workspace

    workspace = Workspace()
    try:
        found = get_deployments(model, version or None, workspace) if model else list_deployments(workspace)
        host = workspace.host
    except (WorkspaceError, ValueError) as error:
        raise CommandError(" ".join(str(error).split())) from error
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in found], indent=2, ensure_ascii=False))
    elif found:
        _show(found)
    else:
        wanted = f"{model} version {version}" if version else model or "any agent"
        typer.echo(f"There is no deployment of {wanted} at {host} that you may see.", err=True)


def _plain(deployment: Deployment) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(deployment).items()
    }


def _show(found: Sequence[Deployment]) -> None:
    console = output()
    for model in dict.fromkeys(each.model_name for each in found):
        _show_model(console, model, [each for each in found if each.model_name == model])


def _show_model(console: Console, model: str, found: Sequence[Deployment]) -> None:
    from rich.markup import escape

    columns = ("version", "endpoint", "traffic", "state", "size", "owner", "declared by", "changed (UTC)")
    show_table(console, columns, [_row(each) for each in found], title=model)
    for each in found:
        notes = [each.problem] if each.problem else []
        notes += [] if each.registered else ["not in the register"]
        notes += [each.message] if each.message else []
        for note in notes:
            console.print(f"[yellow]note[/yellow] version {each.model_version}: {escape(note)}")
    for url in dict.fromkeys(_addresses(found)):
        console.print(escape(url))


def _row(each: Deployment) -> list[str]:
    scale = {True: ", to zero", False: "", None: ""}[each.scale_to_zero]
    return [
        each.model_version,
        each.endpoint_name,
        "" if each.traffic_percentage is None else f"{each.traffic_percentage} %",
        each.state.removeprefix("DEPLOYMENT_").lower() or "unknown",
        f"{each.workload_size} {each.workload_type}{scale}".strip(),
        each.creator,
        each.declared_by or BY_HAND if each.created_at else "",
        each.updated_at.strftime("%Y-%m-%d %H:%M") if each.updated_at else "",
    ]


def _addresses(found: Sequence[Deployment]) -> list[str]:
    return [
        *(f"ask version {each.model_version}: {each.query_endpoint}" for each in found if each.state),
        *(f"endpoint: {each.endpoint_url}" for each in found if each.state),
        *(f"review: {each.review_app_url}" for each in found if each.state),
    ]
