"""A service principal of the workspace, over SCIM."""

from __future__ import annotations

from typing import Any, ClassVar

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Created, Found, Values
from agent_deploy.stand_in.vendor_resource import Defaults, VendorResource, present, workspace_of

PRINCIPALS = "/api/2.0/preview/scim/v2/ServicePrincipals"
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal"
HEADERS = {"Content-Type": "application/scim+json; charset=utf-8"}
READ_ATTRIBUTES = "?attributes=userName,displayName,active,externalId,entitlements"
UPDATE_ATTRIBUTES = "?attributes=groups,roles"
ENTITLEMENTS = {
    "allowClusterCreate": "allow-cluster-create",
    "allowInstancePoolCreate": "allow-instance-pool-create",
    "databricksSqlAccess": "databricks-sql-access",
    "workspaceAccess": "workspace-access",
    "workspaceConsume": "workspace-consume",
}


class ServicePrincipal(VendorResource):
    """Id: the SCIM id, a number; grants and access lists name it by the application id."""

    inputs = ("displayName", "applicationId", "active", "externalId", *ENTITLEMENTS, "providerConfig")
    outputs = ("applicationId", "displayName", "aclPrincipalId", "home", "repos")
    replaces = frozenset({"applicationId", "providerConfig"})
    defaults: ClassVar[Defaults] = {("active",): True}

    def make(self, context: Context, inputs: Values) -> Created:
        made = _scim(workspace_of(context), "POST", PRINCIPALS, _body(inputs) | _application(inputs))
        return Created(made["id"], {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        return _properties(_read(workspace_of(context), id))

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        actual = _read(workspace_of(context), id)
        inputs = self.seen(old_inputs, _as_inputs(actual, old_inputs))
        return Found(id, _properties(actual), inputs)

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        workspace = workspace_of(context)
        kept = _scim(workspace, "GET", f"{PRINCIPALS}/{id}{UPDATE_ATTRIBUTES}")
        body = _body(inputs) | present({name: kept.get(name) for name in ("groups", "roles")})
        _scim(workspace, "PUT", f"{PRINCIPALS}/{id}", body)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        _scim(workspace_of(context), "DELETE", f"{PRINCIPALS}/{id}")


def _scim(workspace: Workspace, method: str, path: str, body: Values | None = None) -> dict[str, Any]:
    return workspace.request(method, path, body=body, headers=HEADERS)


def _read(workspace: Workspace, id: str) -> dict[str, Any]:
    return _scim(workspace, "GET", f"{PRINCIPALS}/{id}{READ_ATTRIBUTES}")


def _body(inputs: Values) -> Values:
    entitlements = [{"value": value} for name, value in ENTITLEMENTS.items() if inputs.get(name)]
    body = {
        "displayName": inputs.get("displayName"),
        "active": inputs.get("active", True),
        "externalId": inputs.get("externalId"),
        "schemas": [SCHEMA],
    }
    # The vendor's plugin sends one empty entitlement when there is none.
    return present(body) | {"entitlements": entitlements or [{}]}


def _application(inputs: Values) -> Values:
    return present({"applicationId": inputs.get("applicationId")})


def _as_inputs(actual: dict[str, Any], declared_inputs: Values) -> Values:
    values = {entry.get("value") for entry in actual.get("entitlements", [])}
    found: Values = {name: actual.get(name) for name in ("displayName", "externalId") if actual.get(name)}
    if not actual.get("active", False) or "active" in declared_inputs:
        found["active"] = actual.get("active", False)
    if "applicationId" in declared_inputs:
        found["applicationId"] = actual["applicationId"]
    return found | {
        name: value in values for name, value in ENTITLEMENTS.items() if value in values or name in declared_inputs
    }


def _properties(actual: dict[str, Any]) -> Values:
    application = actual["applicationId"]
    entitled = {entry.get("value") for entry in actual.get("entitlements", [])}
    return {
        # The state has all switches, as the vendor's plugin writes it: it plans a change where one is not there.
        "active": bool(actual.get("active", False)),
        **{name: value in entitled for name, value in ENTITLEMENTS.items()},
        "applicationId": application,
        "displayName": actual.get("displayName", ""),
        "aclPrincipalId": f"servicePrincipals/{application}",
        "home": f"/Users/{application}",
        "repos": f"/Repos/{application}",
    }
