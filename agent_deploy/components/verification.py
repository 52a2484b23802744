"""What is checked when the program runs, in the preview as well, before anything is created; all problems at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.components.environment import Place
from agent_deploy.components.errors import DeploymentError
from agent_deploy.resources import functions
from agent_deploy.rules import names
from agent_deploy.rules.credentials import MANUAL, PASSTHROUGH, SERVICE_PRINCIPAL
from agent_deploy.rules.declared_resources import combine, from_program
from agent_deploy.rules.deployment import (
    PRINCIPAL_FIELDS,
    Deployment,
    WantedVersion,
    check_arguments,
    entity_names,
    plan,
    resolved_duplicates,
)
from agent_deploy.rules.environment import references
from agent_deploy.rules.previous_versions import kept
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resources import Resource, without_passthrough


@dataclass(frozen=True)
class Verified:
    """A deployment that may be created: its plain arguments, its plan, the versions' numbers in the plan's order."""

    args: Mapping[str, Any]
    deployment: Deployment
    numbers: tuple[str, ...]
    experiment_id: str | None
    workspace_url: str = ""
    # Served entities of earlier runs that stay at 0 %, as they are served; in ServingEndpoint's words on the wire.
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # What each version needs, the kept ones included; and the API scopes that its users consent to.
    resources: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    user_scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # (securable type, name, privilege) that everybody has anyhow, and so need not be given.
    open_to_all: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def auth(self) -> str:
        """PASSTHROUGH, SERVICE_PRINCIPAL or MANUAL."""
        return str(self.args.get("auth") or PASSTHROUGH)


async def verify(
    name: str,
    args: Mapping[str, Any],
    owner_mark: str,
    opts: pulumi.InvokeOptions,
    made_here: frozenset[Place] = frozenset(),
) -> Verified:
    """The deployment, verified against the workspace; raises DeploymentError with every problem that was found."""
    if problems := check_arguments(args):
        raise _error(name, problems)
    deployment = plan(args)
    versions, secrets, served, strangers = await asyncio.gather(
        asyncio.gather(*(_resolve(deployment.model_name, wanted, opts) for wanted in deployment.versions)),
        _check_references(args, opts),
        _served(deployment, args, owner_mark, opts),
        _strangers(args, made_here, opts),
    )
    numbers = tuple(version["version"] for version in versions)
    # The same problem of several versions, such as a workspace that does not answer, is told once.
    by_problem: dict[str, list[str]] = {}
    for wanted, version in zip(deployment.versions, versions, strict=True):
        if version["problem"]:
            by_problem.setdefault(version["problem"], []).append(wanted.field)
    found: list[Problem | str] = [f"{', '.join(fields)}: {problem}" for problem, fields in by_problem.items()]
    found += [*secrets, *strangers, *([served["problem"]] if served["problem"] else [])]
    found += resolved_duplicates(deployment, numbers)
    if found:
        raise _error(name, found)
    declared = entity_names(deployment, numbers)
    keep = int(args.get("keep_previous") or 0)
    previous = kept(served["servedEntities"], served["traffic"], deployment.model_name, declared, keep)
    all_numbers = [*numbers, *(str(entity["entityVersion"]) for entity in previous.values())]
    resources, scopes, unresolved = await _resources(args, deployment.model_name, all_numbers, opts)
    checked = await _check_permissions(args, deployment, resources, opts)
    found = [*unresolved, *checked["problem"].splitlines(), *map(_told, checked["failures"])]
    if found:
        raise _error(name, found)
    for doubt in checked["unverified"]:
        pulumi.log.warn(f"could not be verified: {_told(doubt)}", opts.parent)
    logged_in = versions[0]["experimentId"] if versions else None
    return Verified(
        args=args,
        deployment=deployment,
        numbers=numbers,
        experiment_id=args.get("experiment_id") or logged_in or None,
        workspace_url=versions[0]["workspaceUrl"] if versions else "",
        kept=previous,
        resources=resources,
        user_scopes=scopes,
        open_to_all=frozenset((o["securableType"], o["name"], o["privilege"]) for o in checked["openToAll"]),
    )


async def _resolve(model_name: str, wanted: WantedVersion, opts: pulumi.InvokeOptions) -> functions.ModelVersion:
    return await functions.get_model_version(model_name, wanted.version, wanted.alias, opts)


async def _strangers(
    args: Mapping[str, Any], made_here: frozenset[Place], opts: pulumi.InvokeOptions
) -> list[Problem | str]:
    """Principals in ``permissions`` that do not exist, but for those that this very program may make."""
    named = {
        f"permissions[{index}].{field}": permission[field]
        for index, permission in enumerate(args.get("permissions") or ())
        for field in PRINCIPAL_FIELDS
        if permission.get(field) and (index, field) not in made_here
    }
    existing = args.get("service_principal") or {}
    if existing.get("application_id") and (None, "application_id") not in made_here:
        named["service_principal.application_id"] = existing["application_id"]
    if not named:
        return []
    unknown, problem = await functions.check_principals(sorted(set(named.values())), opts)
    expected, remedy = "a principal of this workspace", "Create it, or correct the name"
    strangers = [Problem(field, name, expected, remedy) for field, name in named.items() if name in unknown]
    return [*strangers, *([problem] if problem else [])]


async def _served(
    deployment: Deployment, args: Mapping[str, Any], owner_mark: str, opts: pulumi.InvokeOptions
) -> functions.ServedVersions:
    if not args.get("keep_previous"):
        return functions.ServedVersions(servedEntities={}, traffic={}, problem="")
    return await functions.get_served_versions(deployment.endpoint_name, owner_mark, opts)


async def _resources(
    args: Mapping[str, Any], model_name: str, numbers: Sequence[str], opts: pulumi.InvokeOptions
) -> tuple[dict[str, list[Resource]], dict[str, list[str]], list[str]]:
    """What each version needs, the scopes that its users consent to, and what cannot be told or served."""
    if args.get("auth") == MANUAL:
        return {}, {}, []
    given = from_program("resources", args.get("resources") or [])[0]
    replace = bool(args.get("replace_resources"))
    declared = await asyncio.gather(*(functions.get_declared_resources(model_name, n, opts) for n in numbers))
    resources: dict[str, list[Resource]] = {}
    problems: list[str] = []
    for number, of_model in zip(numbers, declared, strict=True):
        if of_model["problem"] and not replace:
            problems.append(of_model["problem"])
        for kind in () if replace else of_model["unknownKinds"]:
            remedy = "use a newer agent_deploy, or say resources and replace_resources"
            problems.append(
                f"version {number} declares a {kind!r}, a kind of resource that is not known here: {remedy}"
            )
        model = [Resource(r["kind"], r["name"], bool(r.get("onBehalfOfUser"))) for r in of_model["resources"]]
        resources[number] = combine(model, given or None, replace)
        if (args.get("auth") or PASSTHROUGH) == PASSTHROUGH:
            problems += _beyond_passthrough(number, resources[number], () if of_model["problem"] else model)
    scopes = {number: list(of_model["userScopes"]) for number, of_model in zip(numbers, declared, strict=True)}
    return resources, scopes, problems


def _beyond_passthrough(number: str, needed: Sequence[Resource], granted: Sequence[Resource]) -> Iterator[str]:
    """What the platform will not grant by itself: kinds that it leaves out, and what only the program declares."""
    remedy = "choose auth = SERVICE_PRINCIPAL"
    unsupported = without_passthrough(needed)
    for resource in unsupported:
        yield f"version {number} needs {resource}, which automatic passthrough does not support: {remedy}"
    declared = {(resource.kind, resource.name.lower()) for resource in granted if not resource.on_behalf_of_user}
    for resource in needed:
        known = resource.on_behalf_of_user or resource in unsupported
        if not known and (resource.kind, resource.name.lower()) not in declared:
            why = "its model does not declare it, and automatic passthrough grants only what a model declares"
            yield f"version {number} needs {resource}, but {why}: log the model with it, or {remedy}"


async def _check_permissions(
    args: Mapping[str, Any],
    deployment: Deployment,
    resources: Mapping[str, Sequence[Resource]],
    opts: pulumi.InvokeOptions,
) -> functions.CheckedPermissions:
    """What the deployer lacks, for all versions at once: each object is looked up once."""
    wanted = dict.fromkeys(resource for needed in resources.values() for resource in needed)
    own_principals = args.get("auth") == SERVICE_PRINCIPAL
    catalog, schema, _ = names.split_model_name(deployment.model_name)
    tables = args.get("inference_tables") or {}
    place = f"{tables.get('catalog') or catalog}.{tables.get('schema') or schema}"
    requirements = {
        "model_name": deployment.model_name if deployment.versions else None,
        "endpoint_name": deployment.endpoint_name,
        "inference_schema": None if tables.get("enabled") is False else place,
        "create_service_principal": own_principals and not args.get("service_principal"),
        "grant": own_principals,
        "skip_open": own_principals,
        "secret_scopes": _secret_scopes(args, deployment.endpoint_name, resources),
    }
    listed = [{"kind": r.kind, "name": r.name, "on_behalf_of_user": r.on_behalf_of_user} for r in wanted]
    return await functions.check_permissions(listed, requirements, None, opts)


def _told(failure: functions.PermissionFailure) -> str:
    return f"{failure['object']}: {failure['reason']}. {failure['remedy']}"


def _secret_scopes(args: Mapping[str, Any], endpoint_name: str, versions: Iterable[str]) -> list[str]:
    """Those that the deployment makes: for the environment's secrets, and for each principal that it makes."""
    made = args.get("auth") == SERVICE_PRINCIPAL and not args.get("service_principal")
    of_principals = [names.secret_scope(endpoint_name, version) for version in versions] if made else []
    return [*([endpoint_name] if _has_secrets(args) else []), *of_principals]


def _has_secrets(args: Mapping[str, Any]) -> bool:
    # Secret values were taken out of the arguments: None stands for each.
    environments = [args.get("environment"), *(version.get("environment") for version in args.get("versions") or ())]
    existing = args.get("service_principal") or {}
    return any(None in (variables or {}).values() for variables in (*environments, existing))


async def _check_references(args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> list[str]:
    environments = [args.get("environment") or {}]
    environments += [version.get("environment") or {} for version in args.get("versions") or ()]
    wanted = sorted({str(reference) for variables in environments for reference in references(variables).values()})
    return await functions.check_secret_references(wanted, opts) if wanted else []


def _error(name: str, problems: Sequence[Problem | str]) -> DeploymentError:
    return DeploymentError.of("AgentDeployment", name, problems)
