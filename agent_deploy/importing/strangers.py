"""What an endpoint says that no argument of an AgentDeployment does: listed, never dropped without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent_deploy.client.serving import entities_of
from agent_deploy.rules.endpoint_fields import below

# What the API answers besides what can be set. Source: Databricks, serving endpoints API reference.
_ANSWERED = {
    "": {
        "id", "creator", "creation_timestamp", "last_updated_timestamp", "state", "permission_level", "task",
        "endpoint_url", "tags", "config", "pending_config", "ai_gateway", "data_plane_info", "model_data_plane_info",
    },
    "config": {"served_entities", "served_models", "traffic_config", "config_version", "start_time",
               "auto_capture_config"},
    "servedEntities.*": {"name", "state", "creator", "creation_timestamp", "model_name", "model_version", "type"},
    "aiGateway": set[str](),
}  # fmt: skip
_LEFT_ALONE = "not known here, and left as it is"
_LOST = "not known here: the next change of versions, sizes or variables leaves it out"
_SENT_ALONG = "no argument says it; it stays, and is sent along whenever the gateway changes"
_LEGACY = (
    "a legacy inference table, which no argument says and no request of ours sends. Databricks no longer fills such; "
    "inference_tables.enabled turns on the AI gateway's, and an InferenceTables with payload_table derives from the old"
)


def strangers(remote: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field and what becomes of it."""
    config = remote.get("config") or remote.get("pending_config") or {}
    yield from ((name, _LEFT_ALONE) for name in _unknown("", remote))
    yield from ((f"config.{name}", _LOST) for name in _unknown("config", config))
    if config.get("auto_capture_config"):
        yield "config.auto_capture_config", _LEGACY
    for entity in entities_of(config):
        where = f"served entity {entity.get('name')}"
        yield from ((f"{where}, {name}", _LOST) for name in _unknown("servedEntities.*", entity))
    yield from ((f"ai_gateway.{name}", _SENT_ALONG) for name in _unknown("aiGateway", remote.get("ai_gateway") or {}))


def _unknown(path: str, values: Mapping[str, Any]) -> Iterator[str]:
    known = {rule.wire for rule in below(path).values()} | _ANSWERED[path]
    yield from (name for name, value in values.items() if name not in known and value not in (None, "", {}, [], False))
