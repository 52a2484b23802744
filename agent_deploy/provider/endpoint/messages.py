"""What a user is told about a change of an endpoint before it happens, and about what stays when the endpoint goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent_deploy.provider.plugin.resource import UNKNOWN, Path, Values
from agent_deploy.rules.endpoint_fields import rule_for
from agent_deploy.rules.names import FEEDBACK_ENTITY
from agent_deploy.rules.tables import sql_name
from agent_deploy.rules.traffic import shown_change


def traffic_line(before: Values, after: Values) -> str:
    """``traffic: v3 100 % → 90 %, v4 new 10 %``; empty when the shares stay, or are not known yet.

    Both are inputs with their traffic said for each entity.
    """
    old, new = before.get("traffic") or {}, after.get("traffic")
    if new is UNKNOWN or not isinstance(new or {}, dict) or UNKNOWN in (new or {}).values():
        return ""
    label = _labels(before, after)
    # The feedback model never has a share: it is no news that it still has none.
    shown = [
        {label.get(name, name): int(share) for name, share in shares.items() if name != FEEDBACK_ENTITY or share}
        for shares in (old, new or {})
    ]
    change = shown_change(*shown)
    return f"traffic: {change}" if change else ""


def replacement_warning(name: str, new_name: object, paths: list[Path], emptied: bool) -> str:
    """Why an endpoint is replaced, and for how long nobody answers."""
    fields = list(dict.fromkeys(str(path[0]) for path in paths))
    reasons = [
        "the API takes no endpoint back to serving nothing"
        if emptied and field == "servedEntities"
        else f"{field} of an endpoint cannot be changed ({rule_for((field,)).source})"
        for field in fields
    ]
    why = f"The endpoint {name} is replaced: {'; '.join(reasons)}."
    if new_name == name:
        return f"{why} It is deleted first, and answers nothing until the new one is ready."
    called = "under another name" if new_name is UNKNOWN else f"as {new_name}"
    return f"{why} The new one is made first, {called}, and then {name} is deleted: move its callers."


def kept_line(table: str) -> str:
    """What stays when an endpoint is gone, and how to remove it."""
    return f"Kept: the logged payloads in {table}. To remove them: DROP TABLE {sql_name(table)}"


def kept_tables_line(tables: Sequence[str]) -> str:
    """What stays when a pipeline is gone, and how to remove it."""
    drops = "; ".join(f"DROP TABLE {sql_name(table)}" for table in tables)
    return f"Kept: what was derived, in {', '.join(tables)}. To remove it: {drops}"


def _labels(before: Values, after: Values) -> dict[str, str]:
    """Served entity's name → ``v3``, where versions alone tell the entities apart; else its own name."""
    entities: dict[str, Mapping[str, Any]] = {}
    for inputs in (before, after):
        served = inputs.get("servedEntities")
        if served is UNKNOWN:
            return {}
        for name, entity in (served or {}).items():
            if not isinstance(entity, dict) or _version(entities.get(name, entity)) != _version(entity):
                return {}
            if name != FEEDBACK_ENTITY:
                entities[name] = entity
    versions = [_version(entity) for entity in entities.values()]
    models = {entity.get("entityName") for entity in entities.values()}
    if UNKNOWN in versions or UNKNOWN in models or len(models) > 1 or len(set(versions)) < len(versions):
        return {}
    return {name: f"v{_version(entity)}" for name, entity in entities.items()}


def _version(entity: Mapping[str, Any]) -> Any:
    return entity.get("entityVersion")
