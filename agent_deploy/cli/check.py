"""`agent-deploy check`: whether an agent may be deployed, by the caller or by somebody else; for people and for CI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_deploy.cli.showing import output, show_table

if TYPE_CHECKING:
    from agent_deploy.provider.resource import Context

SIGNS = {"yes": "[green]yes[/green]", "no": "[red]no[/red]", "unknown": "[yellow]unknown[/yellow]"}
FAILED = 1  # exit code


def check(
    model: Annotated[str, typer.Argument(help="Registered model: catalog.schema.model.")],
    version: Annotated[str, typer.Argument(help="Number of the version, or an alias.")],
    principal: Annotated[
        str, typer.Option(help="Check this user, service principal (application id) or group instead of the caller.")
    ] = "",
    endpoint: Annotated[
        str, typer.Option(help="Serving endpoint to deploy to. Default: as databricks.agents.deploy() names it.")
    ] = "",
    service_principal: Annotated[
        bool,
        typer.Option("--service-principal", help="Check what it takes to give the agent a service principal, too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every permission that deploying a model version takes; changes nothing. Exit code 1 when one is missing."""
    # Here, not at the top: `agent-deploy --help` needs no HTTP client.
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.provider.resource import Context

    result = examine(Context(configuration=Workspace()), model, version, principal, endpoint, service_principal)
    if as_json:
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _show(result)
    if result["problems"] or result["failures"]:
        raise typer.Exit(FAILED)


def examine(
    context: Context, model: str, version: str, principal: str = "", endpoint: str = "", service_principal: bool = False
) -> dict[str, Any]:
    """What the version declares, what was checked, what is missing; ``problems`` say why it could not be checked."""
    from agent_deploy.provider.check_permissions import check_permissions
    from agent_deploy.provider.get_declared_resources import get_declared_resources
    from agent_deploy.provider.get_model_version import get_model_version
    from agent_deploy.rules import names
    from agent_deploy.rules.declared_resources import from_program
    from agent_deploy.rules.resources import without_passthrough

    result: dict[str, Any] = {"model": model, "version": version, "problems": [], "failures": [], "unverified": []}
    found = get_model_version(context, {"modelName": model, "version" if version.isdecimal() else "alias": version})
    if found["problem"]:
        return {**result, "problems": [found["problem"]]}
    declared = get_declared_resources(context, {"modelName": model, "version": found["version"]})
    if declared["problem"]:
        result["problems"] = declared["problem"].split("\n")
        return {**result, "version": found["version"], **_declared(declared)}
    name = endpoint or names.endpoint_name(model)
    scope = names.secret_scope(name, found["version"])
    of_principal = {
        "createServicePrincipal": True,
        "grant": True,
        "secretScopes": [scope],
        "experimentId": found["experimentId"] or None,
    }
    requirements = {
        "modelName": model,
        "endpointName": name,
        "inferenceSchema": ".".join(names.split_model_name(model)[:2]),
        **(of_principal if service_principal else {}),
    }
    arguments = {"resources": declared["resources"], "requirements": requirements, "principal": principal or None}
    checked = check_permissions(context, arguments)
    problem = checked.pop("problem")
    resources = [] if service_principal else without_passthrough(from_program("resources", declared["resources"])[0])
    return {
        **result,
        "version": found["version"],
        "endpoint": name,
        **_declared(declared),
        "withoutPassthrough": [str(resource) for resource in resources],
        **checked,
        "problems": [problem] if problem else [],
    }


def _declared(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: declared[name] for name in ("resources", "userScopes", "unknownKinds")}


def _show(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.text import Text

    console = output()
    if checks := result.get("checks"):
        title = f"{result['model']} version {result['version']}, deployed by {result['principal']}"
        rows = [(each["object"], each["privilege"], Text.from_markup(SIGNS[each["outcome"]])) for each in checks]
        show_table(console, ("object", "privilege", "held"), rows, title)
    for text in _remarks(result):
        console.print(f"[yellow]note[/yellow] {escape(text)}")
    for failure in result["failures"]:
        console.print(f"[red]missing[/red] {escape(_sentence(failure))}")
    errors = Console(highlight=False, soft_wrap=True, stderr=True)
    for problem in result["problems"]:
        errors.print(f"[red]problem[/red] {escape(problem)}")
    if not result["failures"] and not result["problems"]:
        console.print(f"{result['principal']} may deploy it: {result['checked']} checks, none failed.")


def _remarks(result: Mapping[str, Any]) -> list[str]:
    """What is worth knowing and no failure."""
    found = [f"not verified: {_sentence(each)}" for each in result["unverified"]]
    found += [
        f"{each} is not supported by automatic passthrough: give the agent a service principal"
        for each in result.get("withoutPassthrough", [])
    ]
    if kinds := result.get("unknownKinds"):
        found.append(f"declared, but of a kind that this version does not know: {', '.join(kinds)}")
    if scopes := result.get("userScopes"):
        found.append(f"asks its users for the API scopes {', '.join(scopes)}; they are never granted here")
    on_behalf = [f"{each['kind']} {each['name']}" for each in result.get("resources", []) if each["onBehalfOfUser"]]
    if on_behalf:
        found.append(f"reached as the user who asks, so the agent is given nothing: {', '.join(on_behalf)}")
    return found


def _sentence(failure: Mapping[str, str]) -> str:
    return f"{failure['object']}: {failure['reason']}. {failure['remedy']}"
