"""The vendor's secret: replaced on every change, the new value put first and the key then deleted (#642)."""

from __future__ import annotations

from agent_deploy.provider.plugin.resource import Context, Created, Found, UserError, Values
from agent_deploy.stand_in.vendor_resource import VendorResource, workspace_of

SECRETS = "/api/2.0/secrets"


class Secret(VendorResource):
    """Id: ``<scope>|||<key>``."""

    inputs = ("scope", "key", "stringValue", "providerConfig")
    outputs = ("configReference", "lastUpdatedTimestamp")
    secrets = frozenset({"stringValue"})
    required = frozenset({"scope", "key"})
    replaces = frozenset({"*"})

    def make(self, context: Context, inputs: Values) -> Created:
        body = {"scope": inputs["scope"], "key": inputs["key"], "string_value": inputs.get("stringValue", "")}
        workspace_of(context).post(f"{SECRETS}/put", body, repeatable=True)
        return Created(f"{inputs['scope']}|||{inputs['key']}", {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        scope, key = id.split("|||")
        listed = workspace_of(context).get(f"{SECRETS}/list", {"scope": scope}).get("secrets", [])
        stamps = [secret.get("last_updated_timestamp") for secret in listed if secret["key"] == key]
        reference = f"{{{{secrets/{scope}/{key}}}}}"
        return {"configReference": reference, "lastUpdatedTimestamp": stamps[0] if stamps else None}

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        if not old_inputs:
            raise UserError("a secret cannot be imported: its value is never told. Create it anew")
        found = self.complete(context, id, old_inputs)
        return Found(id, found, old_inputs) if found["lastUpdatedTimestamp"] is not None else None

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        scope, key = id.split("|||")
        workspace_of(context).post(f"{SECRETS}/delete", {"scope": scope, "key": key}, repeatable=True)
