"""One principal's permission on a secret scope: put, and read until it is there."""

from __future__ import annotations

import time

from agent_deploy.provider.plugin.resource import Context, Created, Found, UserError, Values
from agent_deploy.stand_in.vendor_resource import VendorResource, current_user, workspace_of

ACLS = "/api/2.0/secrets/acls"
SEPARATOR = "|||"
PATIENCE = 300.0  # seconds until the permission must be readable, putting it again
PAUSE = 1.0


class SecretAcl(VendorResource):
    """Id: ``scope|||principal``. Every change replaces it; see the thin class on why that wants care."""

    inputs = ("scope", "principal", "permission", "providerConfig")
    required = frozenset({"scope", "principal", "permission"})
    replaces = frozenset({"*"})

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        key = {"principal": inputs["principal"], "scope": inputs["scope"]}
        deadline = context.deadline(PATIENCE)
        while True:
            workspace.post(f"{ACLS}/put", {**key, "permission": inputs["permission"]}, repeatable=True)
            if workspace.get(f"{ACLS}/get", key).get("permission") == inputs["permission"]:
                break
            if time.monotonic() > deadline:
                raise UserError(
                    f"permission {inputs['permission']} of {inputs['principal']} on the secret scope {inputs['scope']} "
                    "was set, but the workspace does not report it"
                )
            context.pause(PAUSE)
        return Created(f"{inputs['scope']}{SEPARATOR}{inputs['principal']}", {})

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        scope, separator, principal = id.partition(SEPARATOR)
        if not separator:
            raise UserError(f"{id!r} is not the id of a secret ACL: expected scope{SEPARATOR}principal")
        entry = workspace_of(context).get(f"{ACLS}/get", {"principal": principal, "scope": scope})
        inputs = {**old_inputs, "scope": scope, "principal": principal, "permission": entry["permission"]}
        return Found(id, {}, inputs)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace = workspace_of(context)
        scope, _, principal = id.partition(SEPARATOR)
        # Whoever takes MANAGE from himself could not delete the scope afterwards.
        if old.get("permission") == "MANAGE" and principal == current_user(workspace):
            return
        workspace.post(f"{ACLS}/delete", {"principal": principal, "scope": scope}, repeatable=True)
