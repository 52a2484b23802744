"""A registered model in Unity Catalog, without its versions and aliases."""

from __future__ import annotations

from typing import Any

from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.plugin.resource import Context, Created, Found, Values
from agent_deploy.stand_in.vendor_resource import VendorResource, declared, present, workspace_of
from agent_deploy.stand_in.wire_names import from_wire, to_wire

MODELS = "/api/2.1/unity-catalog/models"
OUTPUTS = ("fullName", "metastoreId", "owner", "storageLocation", "createdAt", "createdBy", "updatedAt", "updatedBy")
NAME = ("catalogName", "schemaName", "name")
# What an update sends: the vendor's plugin sends the whole object, computed parts included, but for the owner.
AUDIT = ("createdAt", "createdBy", "updatedAt", "updatedBy")
OBJECT = (*NAME, "comment", "storageLocation", "metastoreId", *AUDIT)


class RegisteredModel(VendorResource):
    """Id: the full name, ``catalog.schema.model``."""

    inputs = (*NAME, "comment", "owner", "storageLocation", "aliases", "providerConfig")
    outputs = OUTPUTS
    replaces = frozenset({*NAME, "storageLocation"})
    caseless = frozenset(NAME)
    autonamed = True

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        sent = {name: value for name, value in declared(inputs).items() if name != "providerConfig"}
        made = workspace.post(MODELS, to_wire(sent))
        id = made["full_name"]
        if inputs.get("owner"):
            workspace.patch(_path(id), to_wire({name: sent.get(name) for name in ("owner", *OBJECT)}))
        return Created(id, {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        return _properties(_get(workspace_of(context), id))

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        actual = _get(workspace_of(context), id)
        # Aliases are accepted and never applied, so what is there says nothing. Of the rest, a refresh sees changes of
        # what was declared, but not that it is gone; an import sees all but what is computed.
        others = [name for name in ("comment", "owner", "storageLocation") if name in old_inputs]
        visible = [*NAME, *(others if old_inputs else ["comment"])]
        inputs = self.seen(old_inputs, {name: actual.get(name) or None for name in visible})
        return Found(id, _properties(actual), inputs)

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        workspace = workspace_of(context)
        if inputs.get("owner") and inputs["owner"] != old.get("owner"):
            workspace.patch(_path(id), {"owner": inputs["owner"]})
        if all(_same(old, inputs, name) for name in ("comment", "aliases")):
            return
        body = _object(old, inputs)
        # Twice, as the vendor's plugin does.
        workspace.patch(_path(id), body)
        workspace.patch(_path(id), body)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).delete(_path(id))


def _same(old: Values, inputs: Values, name: str) -> bool:
    return (old.get(name) or None) == (inputs.get(name) or None)


def _path(id: str) -> str:
    return f"{MODELS}/{segment(id)}"


def _get(workspace: Workspace, id: str) -> dict[str, Any]:
    actual: dict[str, Any] = from_wire(workspace.get(_path(id)))
    return actual


def _properties(actual: dict[str, Any]) -> Values:
    return {name: actual[name] for name in OUTPUTS if actual.get(name) is not None}


def _object(old: Values, inputs: Values) -> Values:
    whole = {**{name: old.get(name) for name in OUTPUTS}, **declared(inputs)}
    sent: Values = to_wire(present({name: whole.get(name) for name in OBJECT}))
    return sent
