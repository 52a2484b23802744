"""Which versions an endpoint's entities were made of, by ids: a number is given again when a model is made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.model_registry import CATALOG, identity_of
from agent_deploy.client.workspace import segment
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.workspace.connection import looked_up
from agent_deploy.provider.workspace.look_ups import Memory, begin, memory_of

# The output of a ServingEndpoint: served entity → id of the version that was deployed. Without those whose id nobody
# told, and not there at all in the state of earlier versions of this package.
RECORD = "servedVersionIds"
_NAMES = ("entityName", "entityVersion")


def remember(memory: Memory, model: str, version: str, identity: str) -> None:
    """Somebody has just read the version: nobody need ask for a moment."""
    memory.once(_key(model, version), lambda: identity)


def registered(context: Context, entities: object) -> dict[str, str]:
    """Served entity → id of the version that the registry has now under its name and number; without unknown ones."""
    named = {name: _named(entity) for name, entity in entities.items()} if isinstance(entities, dict) else {}
    asked = {name: begin(_identity, context, *version) for name, version in named.items() if version}
    found = {name: future.result() for name, future in asked.items()}
    return {name: identity for name, identity in found.items() if identity}


def registered_anew(context: Context, old: Mapping[str, Any], wanted: object) -> dict[str, str]:
    """Of the entities that stay as they are by name and number, those whose version is another by now: its id.

    Costs no call where the state has no record.
    """
    before, record = old.get("servedEntities") or {}, old.get(RECORD) or {}
    if not isinstance(wanted, dict):
        return {}
    same = {name: each for name, each in wanted.items() if name in record and _same(before.get(name), each)}
    return changed(record, registered(context, same))


def changed(record: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Of what was found, what differs from the record; what one of the two does not know is no difference."""
    return {name: identity for name, identity in found.items() if record.get(name, identity) != identity}


def carried(old: Mapping[str, Any], entities: Mapping[str, Any]) -> dict[str, str]:
    """What the record says of those entities that are still as they were."""
    before, record = old.get("servedEntities") or {}, old.get(RECORD) or {}
    return {name: record[name] for name, each in entities.items() if name in record and _same(before.get(name), each)}


def anew_texts(old: Mapping[str, Any], anew: Mapping[str, str]) -> dict[str, str]:
    """What a user is told of each entity whose version is another by now, with both ids."""
    return {name: _anew_text(old["servedEntities"][name], old[RECORD][name], now) for name, now in anew.items()}


def _anew_text(entity: Mapping[str, Any], deployed: str, now: str) -> str:
    return (
        f"version {entity['entityVersion']} of {entity['entityName']} was deleted and registered anew since it was "
        f"deployed: the endpoint was made of the former one (id {deployed}), and `pulumi up` deploys the one that is "
        f"there now (id {now})"
    )


def _identity(context: Context, model: str, version: str) -> str:
    """Empty where the registry does not tell: whoever needs the version itself says why it is not to be had."""

    def ask() -> str:
        try:
            found = looked_up(context).find(f"{CATALOG}/models/{segment(model)}/versions/{segment(version)}")
        except WorkspaceError:
            return ""
        return identity_of(found or {})

    return memory_of(context).once(_key(model, version), ask)


def _key(model: str, version: str) -> tuple[str, str, str]:
    return "version id", model.lower(), version


def _named(entity: object) -> tuple[str, str] | None:
    """Model and version; None while they are not known."""
    if not isinstance(entity, dict):
        return None
    model, version = (entity.get(field) for field in _NAMES)
    return (model, version) if isinstance(model, str) and isinstance(version, str) else None


def _same(before: object, after: object) -> bool:
    return _named(before) is not None and _named(before) == _named(after)
