"""Where Pulumi's resource options of a component go: to itself, to one of its children, or nowhere, with the reason.

Pulumi gives a component's options to the component alone, which has no object of its own; what it inherits to children
are parent, providers, protect, retain_on_delete, deleted_with, aliases and transforms. The rest is data here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.components.errors import DeploymentError
from agent_deploy.rules import names
from agent_deploy.rules.endpoint_fields import PLAIN_ARGUMENTS
from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.records import snake_case

Paths = tuple[tuple[str, str], ...]  # (child's role, path of its property)


@dataclass(frozen=True)
class Routes:
    """Of one component: the children that are the object it is about, its arguments' properties, its outputs."""

    primary: tuple[str, ...]
    arguments: Mapping[str, Paths]
    outputs: tuple[str, ...]


def _endpoint(**paths: str) -> dict[str, Paths]:
    return {name: (("endpoint", path),) for name, path in paths.items()}


_ENTITIES, _TABLE = "servedEntities[*]", "aiGateway.inferenceTableConfig"
_ENTITY_FIELDS = {
    "scale_to_zero": "scaleToZeroEnabled",
    "workload_size": "workloadSize",
    "workload_type": "workloadType",
    "environment": "environmentVars",
}
ROUTES: Mapping[str, Routes] = {
    "AgentDeployment": Routes(
        ("endpoint",),
        {
            **_endpoint(
                endpoint_name="name",
                tags="tags",
                **{argument: rule.path for argument, rule in PLAIN_ARGUMENTS.items()},
                traffic="traffic",
                instance_profile_arn=f"{_ENTITIES}.instanceProfileArn",
                **{name: f"{_ENTITIES}.{of_entity}" for name, of_entity in _ENTITY_FIELDS.items()},
            ),
            "inference_tables.catalog": (("endpoint", f"{_TABLE}.catalogName"),),
            "inference_tables.schema": (("endpoint", f"{_TABLE}.schemaName"),),
            "inference_tables.prefix": (("endpoint", f"{_TABLE}.tableNamePrefix"),),
            "inference_tables.delete_on_destroy": (("endpoint", f"{_TABLE}.deleteOnDestroy"),),
            "permissions": (("permissions", "accessControls"),),
        },
        (
            "endpoint_name", "endpoint_id", "query_endpoint", "endpoint_url", "review_app_url", "served_entities",
            "inference_tables", "identities",
        ),
    ),
    "FeedbackModel": Routes(
        ("model",),
        {"catalog": (("model", "modelName"),), "schema": (("model", "modelName"),)},
        ("model_name", "version", "created"),
    ),
    "InferenceTables": Routes(
        ("payload", "derived"),
        {
            "catalog": (("payload", "catalogName"),),
            "schema": (("payload", "schemaName"),),
            "prefix": (("payload", "tableNamePrefix"),),
            "delete_on_destroy": (("payload", "deleteOnDestroy"), ("derived", "deleteOnDestroy")),
            "schedule": (("job", "schedule"),),
            "schedule_timezone": (("job", "schedule.timezoneId"),),
        },
        ("table_names", "pipeline_id", "job_id"),
    ),
    "AgentServicePrincipal": Routes(
        ("principal",),
        {"display_name": (("principal", "displayName"),)},
        ("application_id", "client_secret", "environment"),
    ),
}  # fmt: skip
# Options that are the primary children's, as they are.
_TO_PRIMARY = ("custom_timeouts", "delete_before_replace", "hooks", "replace_with", "replacement_trigger")
# Options that mean nothing here, and what to do instead.
_REFUSED = {
    "import_": "A component has no object to import: `agent-deploy` resources take over what exists with a transform "
    "that sets import_ on the child (docs/coming-from.md)",
    "id": "A component has no id: it cannot be read",
    "urn": "A component cannot be read: use a stack reference to its stack's outputs",
    "version": "The version is that of the installed package: pip install agent-deploy==…",
    "plugin_download_url": "The plugin is that of the installed package",
}
_VERSION = re.compile(r"versions\[(\d+)\]\.(\w+)(.*)")
_FIRST = re.compile(r"(\w+(?:\.\w+)?)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Routed:
    """The component's ``own`` options, those of its children by role, and which of its outputs are secret."""

    own: pulumi.ResourceOptions | None
    of_children: Mapping[str, pulumi.ResourceOptions] = field(default_factory=dict)
    secret_outputs: Sequence[str] = ()


def routed(kind: str, name: str, opts: pulumi.ResourceOptions | None, args: Mapping[str, Any]) -> Routed:
    """The options where they belong; raises DeploymentError for those that belong nowhere."""
    if opts is None:
        return Routed(None)
    routes, problems, of_children = ROUTES[kind], list[Problem](), dict[str, dict[str, Any]]()
    for option, remedy in _REFUSED.items():
        if getattr(opts, option, None) is not None:
            problems.append(Problem(f"opts.{option}", None, "not to be set on a component", remedy))
    for option in _TO_PRIMARY:
        if (value := getattr(opts, option, None)) is not None:
            for role in routes.primary:
                of_children.setdefault(role, {})[option] = value
    for option in ("ignore_changes", "replace_on_changes", "hide_diffs"):
        for path in getattr(opts, option, None) or ():
            found = list(_paths(routes, path, args))
            if not found:
                can = f"one of {kind}'s arguments {', '.join(sorted(routes.arguments))}, or a place in one"
                problems.append(not_one_of(f"opts.{option}", path, routes.arguments, can))
            for role, property_path in found:
                of_children.setdefault(role, {}).setdefault(option, []).append(property_path)
    secret = [snake_case(output) for output in opts.additional_secret_outputs or ()]
    unknown, outputs = [output for output in secret if output not in routes.outputs], ", ".join(routes.outputs)
    problems += [
        not_one_of("opts.additional_secret_outputs", output, routes.outputs, f"one of {kind}'s outputs {outputs}")
        for output in unknown
    ]
    if problems:
        raise DeploymentError.of(kind, name, problems)
    children = {role: pulumi.ResourceOptions(**given) for role, given in of_children.items()}
    return Routed(_own(opts), children, secret)


def _own(opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    own = pulumi.ResourceOptions.merge(None, opts)
    for option in (*_TO_PRIMARY, "ignore_changes", "replace_on_changes", "hide_diffs", "additional_secret_outputs"):
        if hasattr(own, option):
            setattr(own, option, None)
    return own


def _paths(routes: Routes, path: str, args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The children's properties of a place in the component's arguments, in Python's words or the wire's."""
    if (of_version := _VERSION.fullmatch(path)) and "versions" not in routes.arguments:
        yield from _of_version(of_version, args)
        return
    first = _FIRST.fullmatch(path)
    for head, rest in _splits(path) if first else ():
        if found := routes.arguments.get(snake_case(head)):
            yield from ((role, f"{property_path}{rest}") for role, property_path in found)
            return


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """The argument and what is within it: ``inference_tables.prefix`` is one, ``tags.team`` is in `tags`."""
    for end in (match.end() for match in re.finditer(r"\w+", path)):
        if "[" not in path[:end] and '"' not in path[:end]:
            yield path[:end], path[end:]


def _of_version(match: re.Match[str], args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of one version's served entity, which is named after model and version: both must be plain."""
    index, argument, rest = int(match[1]), snake_case(match[2]), match[3]
    versions, model = args.get("versions"), args.get("model_name")
    given = versions[index] if isinstance(versions, (list, tuple)) and index < len(versions) else None
    number = given.get("version") if isinstance(given, Mapping) else None
    if not isinstance(model, str) or isinstance(number, bool) or not isinstance(number, (str, int)):
        return
    entity = names.served_entity_name(model, str(number))
    if argument == "traffic_percentage":
        yield "endpoint", f'traffic["{entity}"]'
    elif argument in _ENTITY_FIELDS:
        yield "endpoint", f'servedEntities["{entity}"].{_ENTITY_FIELDS[argument]}{rest}'
