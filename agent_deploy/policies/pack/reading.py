"""From properties as Pulumi writes them (a message, a state, a preview's JSON) to those that policies look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.policies.policy import Resource
from agent_deploy.provider.plugin.signatures import OUTPUT, RESOURCE, SECRET, SIGNATURE, UNKNOWNS
from agent_deploy.rules.values import Secret, Unknown

# What a preview's JSON has in place of a secret.
_NOT_SHOWN = "[secret]"


def resource(
    type: str,
    name: str,
    properties: Mapping[str, Any],
    urn: str = "",
    parent: str = "",
    before: Mapping[str, Any] | None = None,
) -> Resource:
    """A resource to judge; ``properties`` and ``before`` as Pulumi writes them."""
    return Resource(type, name, readable(properties), urn, parent, None if before is None else readable(before))


def readable(value: Any) -> Any:
    """The value with `Secret` and `Unknown` where Pulumi marks them; a `Secret` keeps its text where that is there."""
    if isinstance(value, str):
        return Unknown() if value in UNKNOWNS else Secret() if value == _NOT_SHOWN else value
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    signature = value.get(SIGNATURE)
    if signature == SECRET:
        return _secret(value.get("value", value.get("plaintext")))
    if signature == OUTPUT:
        within = readable(value["value"]) if "value" in value else Unknown()
        return _secret(within) if value.get("secret") and not isinstance(within, Unknown) else within
    if signature == RESOURCE:
        return readable(value.get("id", value.get("urn")))
    return {key: readable(item) for key, item in value.items() if item is not None}


def _secret(value: Any) -> Secret | Unknown:
    within = readable(value)
    return within if isinstance(within, Secret | Unknown) else Secret(within)
