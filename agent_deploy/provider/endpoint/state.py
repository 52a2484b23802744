"""What the serving API answers about an endpoint, in the words of ServingEndpoint: inputs, outputs, condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Asked for here by all who deal with an endpoint's state.
from agent_deploy.client.serving import PATH as PATH
from agent_deploy.client.serving import Remote as Remote
from agent_deploy.client.serving import entities_of as entities_of
from agent_deploy.client.serving import newest_config as newest_config
from agent_deploy.client.serving import routes_of as routes_of
from agent_deploy.client.serving import tags_of as tags_of
from agent_deploy.provider.endpoint.request import completed, is_on
from agent_deploy.provider.plugin.resource import Values
from agent_deploy.rules.endpoint_fields import (
    ENTITY_FIELDS,
    NOTIFICATION_FIELDS,
    OWNER_TAG,
    PLAIN_FIELDS,
    TABLE_FIELDS,
)
from agent_deploy.rules.tables import payload_table

# state.config_update, state.ready and a served entity's state.deployment. Source: serving endpoints API reference.
IN_PROGRESS, NOT_UPDATING, READY = "IN_PROGRESS", "NOT_UPDATING", "READY"
UPDATE_ENDED_BADLY = frozenset({"UPDATE_FAILED", "UPDATE_CANCELED"})
ENTITY_READY = "DEPLOYMENT_READY"
ENTITY_FAILED, ENTITY_ABORTED = "DEPLOYMENT_FAILED", "DEPLOYMENT_ABORTED"


def config_update(remote: Remote) -> str:
    """NOT_UPDATING, IN_PROGRESS, UPDATE_FAILED or UPDATE_CANCELED."""
    return str((remote.get("state") or {}).get("config_update") or NOT_UPDATING)


def ready(remote: Remote) -> str:
    """READY or NOT_READY."""
    return str((remote.get("state") or {}).get("ready") or "NOT_READY")


def is_updating(remote: Remote) -> bool:
    """Whether a config is being rolled out, so that another would be refused with 409."""
    return config_update(remote) == IN_PROGRESS


def same_config(wanted: Mapping[str, Any], remote: Mapping[str, Any] | None) -> bool:
    """Whether a config of the workspace is what a request body asks for, defaults filled in on both sides."""
    if routes_of(wanted) != routes_of(remote):
        return False
    ours, theirs = ({e["name"]: _comparable(e) for e in entities_of(c)} for c in (wanted, remote))
    return ours == theirs


def is_healthy(remote: Remote) -> bool:
    """Whether the endpoint has nothing to wait for; one without entities only has to exist."""
    if config_update(remote) != NOT_UPDATING:
        return False
    return ready(remote) == READY or not entities_of(newest_config(remote))


def unhealthy_reason(remote: Remote) -> str:
    """Why an endpoint is not healthy, in one line."""
    waiting = [f"{name} is {state['deployment']}" for name, state in entity_states(remote).items()]
    states = "; ".join(waiting) or "no served entity reports a state"
    return f"the endpoint {remote['name']} is {ready(remote)}, config_update {config_update(remote)} ({states})"


def entity_states(remote: Remote) -> dict[str, dict[str, str]]:
    """Served entity → ``{deployment, message}``; those being rolled out win. A ready one needs no message."""
    states = {}
    for config in (remote.get("config"), remote.get("pending_config")):
        for entity in entities_of(config):
            state = entity.get("state") or {}
            deployment = str(state.get("deployment") or "")
            message = "" if deployment == ENTITY_READY else str(state.get("deployment_state_message") or "")
            states[str(entity["name"])] = {"deployment": deployment, "message": message}
    return states


def outputs_of(remote: Remote, host: str) -> Values:
    """The outputs of the resource."""
    table = (remote.get("ai_gateway") or {}).get("inference_table_config") or {}
    prefix = str(table.get("table_name_prefix") or "") if is_on(table) else ""
    names = (table.get("catalog_name"), table.get("schema_name"))
    return {
        "endpointId": str(remote.get("id") or ""),
        "endpointUrl": str(remote.get("endpoint_url") or ""),
        "creator": str(remote.get("creator") or ""),
        "ready": ready(remote),
        "configUpdate": config_update(remote),
        "configVersion": int((remote.get("config") or {}).get("config_version") or 0),
        "servedEntityStates": entity_states(remote),
        "payloadTable": payload_table(*names, prefix) if prefix else "",
        "tableNamePrefix": prefix,
        "workspaceUrl": host,
    }


# What of an inference_table_config names its table.
TABLE_NAME_FIELDS = tuple(rule.wire for rule in TABLE_FIELDS.values())


def payload_table_in(config: Mapping[str, Any]) -> str:
    """Full name of the raw inference table, from an inference_table_config."""
    return payload_table(*(config.get(field) for field in TABLE_NAME_FIELDS))


def inputs_of(remote: Remote, old: Mapping[str, Any]) -> Values:
    """The inputs that would make the endpoint as it is.

    The platform's defaults are left out, unless ``old``, the inputs in the state, say them; for an import ``old`` is
    empty. What the API never tells is taken from ``old``.
    """
    inputs: Values = {"name": remote["name"]}
    config = remote.get("config") or (remote.get("pending_config") if not old else None) or {}
    entities = {str(e["name"]): _entity_inputs(e, old) for e in entities_of(config)}
    if entities or "servedEntities" in old:
        inputs["servedEntities"] = entities
    if (traffic := _traffic_inputs(config, old)) is not None:
        inputs["traffic"] = traffic
    if (gateway := _gateway_inputs(remote.get("ai_gateway") or {}, old.get("aiGateway"))) is not None:
        inputs["aiGateway"] = gateway
    tags = tags_of(remote)
    if mark := tags.pop(OWNER_TAG, ""):
        inputs["ownerMark"] = mark
    if tags or "tags" in old:
        inputs["tags"] = tags
    for name, rule in PLAIN_FIELDS.items():
        value = remote.get(rule.wire) or (rule.default if rule.echoed else old.get(name))
        if value or (rule.echoed and name in old):
            inputs[name] = value
    if (notifications := _notification_inputs(remote, old)) is not None:
        inputs["emailNotifications"] = notifications
    return inputs


def _comparable(entity: Mapping[str, Any]) -> Values:
    ours = {field: entity.get(rule.wire) for field, rule in ENTITY_FIELDS.items()}
    full = completed({**ours, "entityVersion": str(ours["entityVersion"])})
    if "minProvisionedConcurrency" in full or "maxProvisionedConcurrency" in full:
        full.pop("workloadSize", None)  # the platform may or may not tell the size that this amounts to
    return full


def _entity_inputs(entity: Mapping[str, Any], old: Mapping[str, Any]) -> Values:
    before = (old.get("servedEntities") or {}).get(entity["name"]) or {}
    inputs = {}
    for field, rule in ENTITY_FIELDS.items():
        value = entity.get(rule.wire)
        if value is None and field in before:
            value = rule.default if rule.default is not None else {} if before[field] == {} else None
        if value is not None and (field in before or value not in (rule.default, {}, "")):
            inputs[field] = str(value) if field == "entityVersion" else value
    return inputs


def _traffic_inputs(config: Mapping[str, Any], old: Mapping[str, Any]) -> Values | None:
    routes = routes_of(config)
    before = old.get("traffic")
    if not before:
        implied = len(routes) == 1 and set(routes.values()) == {100}
        return before if implied or not routes else routes
    return {name: share for name, share in routes.items() if share or name in before}


def _gateway_inputs(remote: Mapping[str, Any], before: Mapping[str, Any] | None) -> Values | None:
    gateway: Values = {}
    table = _table_inputs(remote.get("inference_table_config") or {}, (before or {}).get("inferenceTableConfig"))
    if table is not None:
        gateway["inferenceTableConfig"] = table
    usage = (before or {}).get("usageTrackingConfig")
    if is_on(remote.get("usage_tracking_config")):
        gateway["usageTrackingConfig"] = {"enabled": True}
    elif usage is not None:
        gateway["usageTrackingConfig"] = {"enabled": False} if "enabled" in usage else {}
    return gateway if gateway or before is not None else None


def _table_inputs(remote: Mapping[str, Any], before: Mapping[str, Any] | None) -> Values | None:
    if not is_on(remote):
        if before is None:
            return None
        # Turned off by hand, or off as declared: the names stay as they were declared.
        return {**before, "enabled": False}
    table: Values = {name: remote.get(rule.wire) for name, rule in TABLE_FIELDS.items()}
    if before is not None and "enabled" in before:
        table["enabled"] = True
    # Ours: the workspace knows nothing of these.
    table |= {name: before[name] for name in ("tableNamePrefixHint", "deleteOnDestroy") if before and name in before}
    return {name: value for name, value in table.items() if value is not None}


def _notification_inputs(remote: Remote, old: Mapping[str, Any]) -> Values | None:
    before = old.get("emailNotifications")
    there = remote.get("email_notifications") or {}
    addresses = {name: list(there.get(rule.wire) or []) for name, rule in NOTIFICATION_FIELDS.items()}
    found = {name: told for name, told in addresses.items() if told or name in (before or {})}
    return found if found or before is not None else None
