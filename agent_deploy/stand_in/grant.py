"""All privileges of one principal on one Unity Catalog object; other principals' privileges are left alone."""

from __future__ import annotations

import time
from typing import Any

from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, Created, Failure, Found, UserError, Values
from agent_deploy.stand_in.refusals import conflicts, one_is_missing
from agent_deploy.stand_in.vendor_resource import VendorResource, present, workspace_of
from agent_deploy.stand_in.wire_names import snake_case

CATALOG_API = "/api/2.1/unity-catalog"
# Input → what the permissions API calls it, where that is not the same in snake case. A model is a function there.
SECURABLE_TYPES = {
    "catalog": "catalog",
    "schema": "schema",
    "table": "table",
    "volume": "volume",
    "function": "function",
    "model": "function",
    "foreignConnection": "connection",
    "externalLocation": "external_location",
    "credential": "credential",
    "storageCredential": "storage_credential",
    "metastore": "metastore",
    "recipient": "recipient",
    "pipeline": "pipeline",
    "modelService": "model_service",
    "mcpService": "mcp_service",
    "modelProviderService": "model_provider_service",
    "secret": "secret",
}
PATIENCE = 60.0  # seconds until the workspace must report what was granted
PAUSE = 0.5


class Grant(VendorResource):
    """Id: ``<kind>/<full name>/<principal>``, the kind as the vendor writes it (``model``, ``foreign_connection``)."""

    inputs = (*SECURABLE_TYPES, "principal", "privileges", "providerConfig")
    required = frozenset({"principal", "privileges"})
    replaces = frozenset({*SECURABLE_TYPES, "principal", "providerConfig"})
    sets = frozenset({"privileges"})

    def check_inputs(self, context: Context, inputs: Values) -> list[Failure]:
        given = [name for name in SECURABLE_TYPES if name in inputs]
        return conflicts(context, given) if given else [one_is_missing(context, SECURABLE_TYPES)]

    def make(self, context: Context, inputs: Values) -> Created:
        field = next(name for name in SECURABLE_TYPES if name in inputs)
        self._apply(context, field, inputs)
        return Created(f"{snake_case(field)}/{inputs[field]}/{inputs['principal']}", {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        field, name, principal = _parse(id)
        actual = _privileges(workspace_of(context), field, name, principal)
        if not actual:
            raise UserError("got empty permissions list")
        return {"privileges": self.seen(inputs, {"privileges": actual})["privileges"]}

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        field, name, principal = _parse(id)
        privileges = _privileges(workspace_of(context), field, name, principal)
        if not privileges:
            return None
        inputs = self.seen(old_inputs, {field: name, "principal": principal, "privileges": privileges})
        return Found(id, {}, inputs)

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        self._apply(context, _parse(id)[0], inputs)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        field, name, principal = _parse(id)
        _settle(context, workspace_of(context), field, name, principal, [])

    def _apply(self, context: Context, field: str, inputs: Values) -> None:
        workspace = workspace_of(context)
        name, principal = inputs[field], inputs["principal"]
        if field == "metastore":
            _check_metastore(workspace, name)
        _settle(context, workspace, field, name, principal, [_normal(one) for one in inputs["privileges"]])

    def _comparable(self, name: str, value: Any) -> Any:
        if name == "privileges" and isinstance(value, list):
            value = [one if one is UNKNOWN else _normal(one) for one in value]
        return super()._comparable(name, value)


def _settle(context: Context, workspace: Workspace, field: str, name: str, principal: str, wanted: list[str]) -> None:
    """Sends the difference once, then reads until there is none; the workspace may take its time to report it."""
    deadline = context.deadline(PATIENCE)
    actual = _privileges(workspace, field, name, principal)
    change = {
        "add": [one for one in wanted if one not in actual],
        "remove": [one for one in actual if one not in wanted],
    }
    if present(change):
        workspace.patch(_path(field, name), {"changes": [{"principal": principal, **present(change)}]})
    while set(actual := _privileges(workspace, field, name, principal)) != set(wanted):
        if time.monotonic() > deadline:
            raise UserError(
                f"permissions for {field} {name} of {principal} are {actual}, but have to be {wanted}. "
                "Write the privileges as the workspace reports them, and ALL_PRIVILEGES alone"
            )
        context.pause(PAUSE)


def _privileges(workspace: Workspace, field: str, name: str, principal: str) -> list[str]:
    assignments = workspace.get(_path(field, name)).get("privilege_assignments", [])
    return [one for entry in assignments if entry["principal"] == principal for one in entry["privileges"]]


def _check_metastore(workspace: Workspace, metastore: str) -> None:
    current = workspace.get(f"{CATALOG_API}/current-metastore-assignment").get("metastore_id")
    if current != metastore:
        raise UserError(f"metastore {metastore} is not the one of this workspace, which is {current}")


def _path(field: str, name: str) -> str:
    return f"{CATALOG_API}/permissions/{SECURABLE_TYPES[field]}/{segment(name)}"


def _parse(id: str) -> tuple[str, str, str]:
    """``model/main.a.qa/users`` → the input's name, the object's, the principal."""
    fields = {snake_case(field): field for field in SECURABLE_TYPES}
    kind, _, rest = id.partition("/")
    name, separator, principal = rest.partition("/")
    if kind not in fields or not separator:
        expected = f"kind/name/principal, kind one of {', '.join(fields)}"
        raise UserError(f"{id!r} is not the id of a grant: expected {expected}")
    return fields[kind], name, principal


def _normal(privilege: str) -> str:
    return privilege.upper().replace(" ", "_")
