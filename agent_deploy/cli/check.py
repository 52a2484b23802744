"""`agent-deploy check`: whether an agent may be deployed, by the caller or by somebody else; for people and for CI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_deploy.cli.reported import POLICY, refuse, settings_in
from agent_deploy.cli.showing import output, show_table

if TYPE_CHECKING:
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.provider.plugin.resource import Context

SIGNS = {"yes": "[green]yes[/green]", "no": "[red]no[/red]", "unknown": "[yellow]unknown[/yellow]"}
SEVERITIES = {"mandatory": "red", "advisory": "yellow"}
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
    policies: Annotated[
        str, typer.Option(help="Judge the endpoint as it stands by policies: a file as --policy-pack-config takes it.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every permission that deploying a model version takes; changes nothing. Exit code 1 when one is missing.

    Exit code 5 when a mandatory policy is against the endpoint that is there already.
    """
    # Here, not at the top: `agent-deploy --help` needs no HTTP client.
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.policies.policy import MANDATORY
    from agent_deploy.provider.plugin.resource import Context

    settings, workspace = settings_in(policies), Workspace()
    result = examine(Context(configuration=workspace), model, version, principal, endpoint, service_principal)
    result["findings"] = [] if settings is None else _findings(workspace, result["endpoint"], settings)
    if as_json:
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _show(result)
    if result["problems"] or result["failures"]:
        raise typer.Exit(FAILED)
    if any(each["severity"] == MANDATORY for each in result["findings"]):
        raise typer.Exit(POLICY)


def _findings(workspace: Workspace, endpoint: str, settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """What policies have against the endpoint as it stands; nothing where there is none."""
    from agent_deploy.policies.judging import judge
    from agent_deploy.provider.verification.deployed_resources import deployed_resources
    from agent_deploy.rules.problems import InvalidInput

    try:
        found = judge(deployed_resources(workspace, endpoint), settings)
    except InvalidInput as error:
        refuse(str(error))
    return [{"id": each.policy.id, "severity": each.severity, "text": str(each)} for each in found]


def examine(
    context: Context, model: str, version: str, principal: str = "", endpoint: str = "", service_principal: bool = False
) -> dict[str, Any]:
    """What the version needs, what was checked, what is missing; ``problems`` are what else keeps it from being made.

    The options are the arguments of an AgentDeployment, which its preview verifies in the same way.
    """
    from agent_deploy.provider.verification.verify_deployment import verify
    from agent_deploy.rules.argument_checks import check_arguments
    from agent_deploy.rules.credentials import SERVICE_PRINCIPAL
    from agent_deploy.rules.declaration import declared
    from agent_deploy.rules.records import wire
    from agent_deploy.rules.verifiable import look_ups
    from agent_deploy.rules.verification import Failure

    args: dict[str, Any] = {
        "model_name": model,
        "versions": [{"version" if version.isdecimal() else "alias": version}],
        **({"endpoint_name": endpoint} if endpoint else {}),
        **({"auth": SERVICE_PRINCIPAL} if service_principal else {}),
    }
    deployment = declared(args)
    found = verify(context, replace(look_ups(deployment, ()), principal=principal or None))
    failures = [each for each in found.problems if isinstance(each, Failure)]
    others = [each for each in found.problems if not isinstance(each, Failure)]
    checks = [check.shown() for check in found.verdict.checks]
    return {
        "model": model,
        "version": "".join(found.answer.numbers) or version,
        "endpoint": deployment.endpoint_name or endpoint,
        "resources": [wire(resource) for needs in found.answer.needs for resource in needs.resources],
        "userScopes": [scope for needs in found.answer.needs for scope in needs.user_scopes],
        "openToAll": wire(found.answer.open_to_all),
        "principal": found.principal,
        "problems": [str(each) for each in (*check_arguments(args), *others)],
        "failures": [each.shown() for each in failures],
        "unverified": [each.shown() for each in found.verdict.unverified],
        "checks": checks,
        "checked": len(checks),
    }


def _show(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.text import Text

    console = output()
    # Without the version nobody knows all that it takes.
    if (checks := result["checks"]) and not result["problems"]:
        title = f"{result['model']} version {result['version']}, deployed by {result['principal']}"
        rows = [(each["object"], each["privilege"], Text.from_markup(SIGNS[each["outcome"]])) for each in checks]
        show_table(console, ("object", "privilege", "held"), rows, title)
    for text in _remarks(result):
        console.print(f"[yellow]note[/yellow] {escape(text)}")
    for failure in result["failures"]:
        console.print(f"[red]missing[/red] {escape(_sentence(failure))}")
    for finding in result["findings"]:
        console.print(f"[{SEVERITIES[finding['severity']]}]{finding['severity']}[/] {escape(finding['text'])}")
    errors = Console(highlight=False, soft_wrap=True, stderr=True)
    for problem in result["problems"]:
        errors.print(f"[red]problem[/red] {escape(problem)}")
    if not result["failures"] and not result["problems"]:
        console.print(f"{result['principal']} may deploy it: {result['checked']} checks, none failed.")


def _remarks(result: Mapping[str, Any]) -> list[str]:
    """What is worth knowing and no failure."""
    found = [f"not verified: {_sentence(each)}" for each in result["unverified"]]
    if scopes := result["userScopes"]:
        found.append(f"asks its users for the API scopes {', '.join(scopes)}; they are never granted here")
    on_behalf = [f"{each['kind']} {each['name']}" for each in result["resources"] if each["onBehalfOfUser"]]
    if on_behalf:
        found.append(f"reached as the user who asks, so the agent is given nothing: {', '.join(on_behalf)}")
    return found


def _sentence(failure: Mapping[str, str]) -> str:
    return f"{failure['object']}: {failure['reason']}. {failure['remedy']} [{failure['id']}]"
