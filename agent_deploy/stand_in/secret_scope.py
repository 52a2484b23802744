"""A secret scope: looked for in the list of all, replaced on every change."""

from __future__ import annotations

from typing import Any

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Created, Found, UserError, Values
from agent_deploy.stand_in.vendor_resource import VendorResource, present, workspace_of

SCOPES = "/api/2.0/secrets/scopes"
DATABRICKS, AZURE = "DATABRICKS", "AZURE_KEYVAULT"


class SecretScope(VendorResource):
    """Id: the scope's name."""

    inputs = ("name", "backendType", "initialManagePrincipal", "keyvaultMetadata", "providerConfig")
    outputs = ("backendType",)
    replaces = frozenset({"*"})
    autonamed = True

    def make(self, context: Context, inputs: Values) -> Created:
        vault = inputs.get("keyvaultMetadata")
        body = {
            "scope": inputs["name"],
            "initial_manage_principal": inputs.get("initialManagePrincipal"),
            "scope_backend_type": AZURE if vault else DATABRICKS,
            "backend_azure_keyvault": vault and {"resource_id": vault["resourceId"], "dns_name": vault["dnsName"]},
        }
        workspace_of(context).post(f"{SCOPES}/create", present(body))
        return Created(inputs["name"], {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        if (scope := _find(workspace_of(context), id)) is None:
            raise UserError(f"the secret scope {id} is not in the list of scopes")
        return _properties(scope)

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        if (scope := _find(workspace_of(context), id)) is None:
            return None
        return Found(id, _properties(scope), old_inputs or {"name": id})

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).post(f"{SCOPES}/delete", {"scope": id}, repeatable=True)


def _find(workspace: Workspace, name: str) -> dict[str, Any] | None:
    scopes = workspace.get(f"{SCOPES}/list").get("scopes", [])
    return next((scope for scope in scopes if scope["name"] == name), None)


def _properties(scope: dict[str, Any]) -> Values:
    return {"name": scope["name"], "backendType": scope.get("backend_type", DATABRICKS)}
