"""An OAuth secret of a service principal; its value is told once, at creation, and lives in the state only."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Created, Found, UserError, Values
from agent_deploy.stand_in.vendor_resource import VendorResource, present, workspace_of

# Of a workspace host; an account's host has the account's id in the path.
SECRETS = "/api/2.0/accounts/servicePrincipals/{}/credentials/secrets"
# Output → the API's name.
OUTPUTS = {
    "secretHash": "secret_hash",
    "status": "status",
    "createTime": "create_time",
    "updateTime": "update_time",
    "expireTime": "expire_time",
}


class ServicePrincipalSecret(VendorResource):
    """Id: the secret's id. Every change makes a new one before the old one goes."""

    inputs = ("servicePrincipalId", "lifetime", "timeRotating", "providerConfig")
    outputs = ("secret", "servicePrincipalSecretId", *OUTPUTS, "lifetime")
    secrets = frozenset({"secret"})
    required = frozenset({"servicePrincipalId"})
    replaces = frozenset({"*"})

    def make(self, context: Context, inputs: Values) -> Created:
        body = present({"lifetime": inputs.get("lifetime")})
        made = workspace_of(context).post(SECRETS.format(inputs["servicePrincipalId"]), body)
        return Created(made["id"], {**_properties(made), "secret": made["secret"]})

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        if "servicePrincipalId" not in old_inputs:
            why = "its value is told only when it is created. Create a new one"
            raise UserError(f"a service principal's secret cannot be imported: {why}")
        actual = _find(workspace_of(context), old_inputs["servicePrincipalId"], id)
        if actual is None or _is_expired(actual):
            return None
        return Found(id, {**old, **_properties(actual)}, old_inputs)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        path = SECRETS.format(old_inputs.get("servicePrincipalId", old.get("servicePrincipalId")))
        workspace_of(context).delete(f"{path}/{id}")


def _find(workspace: Workspace, principal: str, id: str) -> dict[str, Any] | None:
    page: dict[str, str] = {}
    while True:
        answer = workspace.get(SECRETS.format(principal), page)
        for secret in answer.get("secrets", []):
            if secret["id"] == id:
                return dict(secret)
        if not answer.get("next_page_token"):
            return None
        page = {"page_token": answer["next_page_token"]}


def _is_expired(secret: dict[str, Any]) -> bool:
    # Python 3.10 reads neither "Z" nor fractions of any length.
    expires = re.sub(r"\.\d+", "", secret.get("expire_time") or "").replace("Z", "+00:00")
    return bool(expires) and datetime.fromisoformat(expires) < datetime.now(timezone.utc)


def _properties(secret: dict[str, Any]) -> Values:
    told = {name: secret[wire] for name, wire in OUTPUTS.items() if secret.get(wire) is not None}
    return {"servicePrincipalSecretId": secret["id"], **told}
