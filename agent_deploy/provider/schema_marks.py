"""What the components' Python types cannot say of their arguments: closed sets, what is secret, what replaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent_deploy.rules.credentials import AUTHS
from agent_deploy.rules.resource_kinds import KINDS
from agent_deploy.rules.review import PERMISSION_LEVELS
from agent_deploy.rules.workload import CONCURRENCY, WORKLOAD_SIZES, WORKLOAD_TYPES


def _enum(description: str, values: Iterable[str], told: Mapping[str, str] | None = None) -> dict[str, Any]:
    """``told``: value → what it means, where the name alone does not say it."""
    described = {value: {"description": text} for value, text in (told or {}).items()}
    # Pascal case: of one word, in each language's own style.
    names = {value: "".join(word[:1].upper() + word[1:].lower() for word in value.split("_")) for value in values}
    return {
        "type": "string",
        "description": description,
        "enum": [{"name": name, "value": value, **described.get(value, {})} for value, name in names.items()],
    }


ENUMS: Mapping[str, dict[str, Any]] = {
    "AgentAuth": _enum("How an agent reaches Databricks.", AUTHS),
    "WorkloadSize": _enum(
        "Size of a version's compute.",
        WORKLOAD_SIZES,
        {size: f"{requests} requests at once." for size, requests in CONCURRENCY.items()},
    ),
    "WorkloadType": _enum("Kind of a version's compute.", WORKLOAD_TYPES),
    "EndpointPermissionLevel": _enum("What a principal may do with a serving endpoint.", PERMISSION_LEVELS),
    "AgentResourceKind": _enum(
        "Kind of a resource that an agent uses, as MLflow names it.",
        KINDS,
        {kind.name: f"{kind.title}." for kind in KINDS.values()},
    ),
}


def marks(reference: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """(component or type, property) → what is said of it besides its Python type; ``reference(name)`` is a type's."""
    replaces = {"willReplaceOnChanges": True}
    return {
        ("AgentDeployment", "auth"): reference("AgentAuth"),
        ("AgentDeployment", "workloadSize"): reference("WorkloadSize"),
        ("AgentDeployment", "workloadType"): reference("WorkloadType"),
        ("AgentDeployment", "endpointName"): replaces,
        ("AgentDeployment", "routeOptimized"): replaces,
        ("AgentVersion", "workloadSize"): reference("WorkloadSize"),
        ("AgentVersion", "workloadType"): reference("WorkloadType"),
        ("AgentPermission", "level"): reference("EndpointPermissionLevel"),
        ("AgentResource", "kind"): reference("AgentResourceKind"),
        ("AgentIdentity", "auth"): reference("AgentAuth"),
        ("ExistingServicePrincipal", "clientSecret"): {"secret": True},
        ("FeedbackModel", "catalog"): replaces,
        ("FeedbackModel", "schema"): replaces,
        ("InferenceTables", "endpointName"): replaces,
    }
