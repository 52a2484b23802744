"""The vendor's serving endpoint, with what it leaves undone: what our ServingEndpoint is measured against."""

from __future__ import annotations

import time
from typing import Any

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Created, Found, UserError, Values
from agent_deploy.stand_in.vendor_resource import VendorResource, declared, present, workspace_of
from agent_deploy.stand_in.wire_names import from_wire, refreshed, to_wire

ENDPOINTS = "/api/2.0/serving-endpoints"
PATIENCE = 45 * 60.0  # the vendor's default timeout
FIRST_PAUSE, LAST_PAUSE = 1.0, 10.0
NOT_UPDATING, ENDED_BADLY = "NOT_UPDATING", ("UPDATE_FAILED", "UPDATE_CANCELED")


class ModelServing(VendorResource):
    """Id: the endpoint's name. A failed creation is removed again; `ready` is not looked at."""

    inputs = (
        "name", "config", "aiGateway", "tags", "description", "budgetPolicyId", "routeOptimized", "emailNotifications",
        "providerConfig",
    )  # fmt: skip
    outputs = ("servingEndpointId", "endpointUrl")
    replaces = frozenset({"name", "routeOptimized", "providerConfig"})
    autonamed = True
    sets = frozenset({"tags"})

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        body = {name: value for name, value in declared(inputs).items() if name != "providerConfig"}
        workspace.post(ENDPOINTS, to_wire(body))
        try:
            _await(context, workspace, inputs["name"])
        except UserError:
            workspace.delete(f"{ENDPOINTS}/{inputs['name']}")
            raise
        return Created(inputs["name"], {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        return _properties(workspace_of(context).get(f"{ENDPOINTS}/{id}"), inputs)

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        if not old_inputs:
            raise UserError("the stand-in does not import serving endpoints: use the vendor's plugin")
        actual = workspace_of(context).get(f"{ENDPOINTS}/{id}")
        inputs = {**refreshed(old_inputs, from_wire(actual)), "name": id}
        return Found(id, _properties(actual, inputs), inputs)

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        workspace = workspace_of(context)
        config = _with_routes(inputs.get("config"), old.get("config"))
        if config and config != old.get("config"):
            workspace.put(f"{ENDPOINTS}/{id}/config", to_wire(config))
            _await(context, workspace, id)
        if old.get("tags") != inputs.get("tags"):
            workspace.get(f"{ENDPOINTS}/{id}")
            before, after = ({t["key"]: t.get("value", "") for t in v.get("tags") or []} for v in (old, inputs))
            add = [{"key": key, "value": value} for key, value in after.items() if before.get(key) != value]
            body = {"add_tags": add, "delete_tags": sorted(set(before) - set(after))}
            workspace.patch(f"{ENDPOINTS}/{id}/tags", present(body))
        if old.get("aiGateway") != inputs.get("aiGateway"):
            workspace.put(f"{ENDPOINTS}/{id}/ai-gateway", to_wire(inputs.get("aiGateway") or {}))

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).delete(f"{ENDPOINTS}/{id}")


def _await(context: Context, workspace: Workspace, name: str) -> None:
    deadline, pause = context.deadline(PATIENCE), FIRST_PAUSE
    while True:
        state = workspace.get(f"{ENDPOINTS}/{name}").get("state", {}).get("config_update", NOT_UPDATING)
        if state == NOT_UPDATING:
            return
        if state in ENDED_BADLY or time.monotonic() > deadline:
            raise UserError(f"failed to reach {NOT_UPDATING}, got {state}: current status: {state}")
        context.pause(pause)
        pause = min(pause + 1.0, LAST_PAUSE)


def _with_routes(config: Values | None, known: Values | None) -> Values | None:
    """A config without routes takes those that are known: with another entity's name, those of the old one."""
    routes = (known or {}).get("trafficConfig")
    return {"trafficConfig": routes, **config} if config and routes else config


def _properties(actual: dict[str, Any], inputs: Values) -> Values:
    config = _with_routes(inputs.get("config"), from_wire(actual.get("config") or {}))
    ids = {"servingEndpointId": actual.get("id", ""), "endpointUrl": actual.get("endpoint_url", "")}
    return {**ids, **({"config": config} if config else {})}
