"""An endpoint's document as the API shows it: what the platform adds, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.local.core.endpoint_tokens import details_for
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving import pins

State = Mapping[str, str]
# Of a served entity, in the older words of `served_models`.
_RENAMED = {"entity_name": "model_name", "entity_version": "model_version"}
_INTERNAL = ("id", pins.VERSION, pins.CREATOR, pins.DIGEST)
_SUMMARY = ("name", "entity_name", "entity_version")


def detailed(document: Document, states: Mapping[str, State], level: str | None, query_url: str) -> Document:
    """As GET, POST and PUT answer. ``states`` are those of running entities, by entity id; the stored ones fill in.

    ``query_url``: where the endpoint is asked; told of a route-optimised one, whose own it is.

    Never echoed: budget_policy_id, as on the platform. Always there: description, and config once there was one.
    """
    shown = summary(document, states)
    shown["description"] = document["description"]
    if current := document["config"] or document["pending_config"]:
        shown["config"] = _config(current, states)
    if pending := document["pending_config"]:
        shown["pending_config"] = {**_config(pending, states), "start_time": pending["start_time"]}
    if document["email_notifications"]:
        shown["email_notifications"] = document["email_notifications"]
    if document["route_optimized"]:
        # Where clients ask, and what they ask a token with.
        plane = {"endpoint_url": query_url, "authorization_details": details_for(document["id"])}
        shown |= {"endpoint_url": query_url, "data_plane_info": {"query_info": plane}}
    return {**shown, "route_optimized": document["route_optimized"], "permission_level": level or "CAN_VIEW"}


def summary(document: Document, states: Mapping[str, State]) -> Document:
    """As the listing shows it."""
    shown = {key: document[key] for key in ("name", "id", "creator", "creation_timestamp", "last_updated_timestamp")}
    shown["state"] = {"ready": ready(document, states), "config_update": document["config_update"]}
    if current := document["config"] or document["pending_config"]:
        entities = [{key: entity[key] for key in _SUMMARY} for entity in current["served_entities"]]
        shown["config"] = {"served_entities": entities}
    for key in ("tags", "task", "ai_gateway"):
        if document.get(key):
            shown[key] = document[key]
    return shown


def ready(document: Document, states: Mapping[str, State]) -> str:
    """READY when a config was deployed and none of its entities has failed since."""
    config = document["config"]
    if not config or not config["served_entities"]:
        return "NOT_READY"
    failed = any(_state(entity, states)["deployment"] == "DEPLOYMENT_FAILED" for entity in config["served_entities"])
    return "NOT_READY" if failed else "READY"


def _config(config: Document, states: Mapping[str, State]) -> Document:
    entities = [{**entity, "state": dict(_state(entity, states))} for entity in config["served_entities"]]
    for entity in entities:
        for key in _INTERNAL:
            entity.pop(key, None)
    models = [{_RENAMED.get(key, key): value for key, value in entity.items()} for entity in entities]
    routes = [
        {"served_model_name": route["name"], "served_entity_name": route["name"], "traffic_percentage": share}
        for route in config["routes"]
        if (share := route["traffic_percentage"]) is not None
    ]
    shown: dict[str, Any] = {"served_entities": entities, "served_models": models}
    return {**shown, "traffic_config": {"routes": routes}, "config_version": config["config_version"]}


def _state(entity: Document, states: Mapping[str, State]) -> State:
    state: State = states.get(entity["id"]) or entity["state"]
    return state
