"""What the serving API says about an endpoint: its served entities, their shares of the traffic, its tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PATH = "/api/2.0/serving-endpoints"
Remote = Mapping[str, Any]


def is_platforms_own(remote: Remote) -> bool:
    """Whether it is a foundation model's endpoint, which nobody made: those have no id."""
    return not remote.get("id")


def entities_of(config: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Served entities of a `config` or `pending_config`."""
    return list((config or {}).get("served_entities") or [])


def newest_config(remote: Remote) -> Mapping[str, Any]:
    """The config that the workspace is at, or on its way to."""
    return remote.get("pending_config") or remote.get("config") or {}


def routes_of(config: Mapping[str, Any] | None) -> dict[str, int]:
    """Percentages by entity; an entity without a route gets none."""
    shares = {str(entity["name"]): 0 for entity in entities_of(config)}
    for route in ((config or {}).get("traffic_config") or {}).get("routes") or []:
        name = route.get("served_model_name") or route.get("served_entity_name")
        shares[str(name)] = int(route.get("traffic_percentage") or 0)
    return shares


def tags_of(remote: Remote) -> dict[str, str]:
    """All tags, the owner's mark included."""
    return {str(tag["key"]): str(tag.get("value") or "") for tag in remote.get("tags") or []}
