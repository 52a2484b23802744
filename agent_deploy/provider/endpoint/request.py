"""From a ServingEndpoint's inputs to the bodies that the serving API takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.provider.plugin.resource import Values
from agent_deploy.rules.endpoint_fields import ENTITY_FIELDS, OWNER_TAG, PLAIN_FIELDS, below, body_of
from agent_deploy.rules.names import FEEDBACK_ENTITY

Body = dict[str, Any]
_CONCURRENCY = ("minProvisionedConcurrency", "maxProvisionedConcurrency")


def ordered(entities: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The served entities' names as they are sent: by model and number of version, the feedback model last."""

    def place(name: str) -> tuple[bool, str, tuple[int, str], str]:
        version = str(entities[name].get("entityVersion", ""))
        number = int(version) if version.isdigit() else 0
        return name == FEEDBACK_ENTITY, str(entities[name].get("entityName", "")), (number, version), name

    return sorted(entities, key=place)


def traffic_of(inputs: Mapping[str, Any]) -> dict[str, int]:
    """Percentages by entity; a single entity has all of it unless the inputs say otherwise."""
    entities, traffic = inputs.get("servedEntities") or {}, inputs.get("traffic")
    if not traffic and len(entities) == 1:
        return {next(iter(entities)): 100}
    return {name: int(percentage) for name, percentage in (traffic or {}).items()}


def config_body(inputs: Mapping[str, Any]) -> Body:
    """The body of PUT …/config: every entity and an explicit route for each."""
    entities = inputs.get("servedEntities") or {}
    traffic = traffic_of(inputs)
    names = ordered(entities)
    return {
        "served_entities": [_entity_body(name, entities[name]) for name in names],
        "traffic_config": {
            "routes": [{"served_model_name": name, "traffic_percentage": traffic.get(name, 0)} for name in names]
        },
    }


def create_body(inputs: Mapping[str, Any]) -> Body:
    """The body of POST /api/2.0/serving-endpoints."""
    body: Body = {"name": inputs["name"], "tags": tag_list(wanted_tags(inputs))}
    if inputs.get("servedEntities"):
        body["config"] = config_body(inputs)
    gateway = gateway_body(inputs.get("aiGateway") or {})
    if is_on(gateway.get("inference_table_config")) or is_on(gateway.get("usage_tracking_config")):
        body["ai_gateway"] = gateway
    body |= {rule.wire: inputs[name] for name, rule in PLAIN_FIELDS.items() if inputs.get(name)}
    if inputs.get("emailNotifications"):
        body["email_notifications"] = notifications_body(inputs["emailNotifications"])
    return body


def gateway_body(gateway: Mapping[str, Any]) -> Body:
    """The body of PUT …/ai-gateway; what is off is said to be off, as leaving it out leaves it on."""
    parts = {name: rule for name, rule in below("aiGateway").items() if gateway.get(name) is not None}
    return {rule.wire: body_of(rule.path, gateway[name]) for name, rule in parts.items()}


def is_on(part: Mapping[str, Any] | None) -> bool:
    """Whether a part of a gateway is enabled, in a request or an answer."""
    return bool(part and part.get("enabled"))


def wanted_tags(inputs: Mapping[str, Any]) -> dict[str, str]:
    """The user's tags and the owner's mark."""
    mark = {OWNER_TAG: str(inputs["ownerMark"])} if inputs.get("ownerMark") else {}
    return {**{key: str(value) for key, value in (inputs.get("tags") or {}).items()}, **mark}


def tag_list(tags: Mapping[str, str]) -> list[Body]:
    """Tags as the API writes them, in the order of their keys."""
    return [{"key": key, "value": tags[key]} for key in sorted(tags)]


def notifications_body(notifications: Mapping[str, Any]) -> Body:
    """E-mail addresses; an empty list clears."""
    return body_of("emailNotifications", notifications)


def completed(entity: Mapping[str, Any]) -> Values:
    """An entity with what is left out filled in; provisioned concurrency takes the place of a size."""
    defaults = {name: rule.default for name, rule in ENTITY_FIELDS.items() if rule.default is not None}
    if any(entity.get(name) is not None for name in _CONCURRENCY):
        del defaults["workloadSize"]
    return {**defaults, **{name: value for name, value in entity.items() if value is not None and value != {}}}


def _entity_body(name: str, entity: Mapping[str, Any]) -> Body:
    full = completed(entity)
    said = {field: full.get(field) for field, rule in ENTITY_FIELDS.items() if rule.always or field in entity}
    body = {"name": name, **body_of("servedEntities.*", said)}
    if "workloadSize" not in full:
        del body["workload_size"]
    return {**body, "entity_version": str(body["entity_version"])}
