"""The resource ServicePrincipal: one that a run which was cut short has made is found again, not made twice.

The vendor's resource of this name makes another one, and the first stays for good.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.access.service_principal_secret import secrets_of
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    Resource,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.rules.problems import Problem

PRINCIPALS = "/api/2.0/preview/scim/v2/ServicePrincipals"
_HEADERS = {"Content-Type": "application/scim+json; charset=utf-8"}
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class ServicePrincipal(Resource):
    """Id: the SCIM id, a number; grants and access lists name it by the application id."""

    inputs: ClassVar[tuple[str, ...]] = ("displayName",)
    outputs: ClassVar[tuple[str, ...]] = ("applicationId",)

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Only the form."""
        name = inputs.get("displayName")
        if name is UNKNOWN or (isinstance(name, str) and name.strip()):
            return inputs, []
        return inputs, [Failure("", str(Problem("displayName", name, "the name of a service principal")))]

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """Of the name alone: what the vendor's resource has besides is no change."""
        return super().diff(context, id, {name: old_inputs.get(name) for name in self.inputs}, old, inputs)

    def create(self, context: Context, inputs: Values) -> Created:
        """Makes one, or goes on with the one that this resource made in a run that was cut short."""
        workspace, name, mark = workspace_of(context), str(inputs["displayName"]), _mark(context.urn)
        principal = _left_over(workspace, name, mark)
        if principal is None:
            body = {"schemas": [_SCHEMA], "displayName": name, "active": True, "externalId": mark}
            principal = workspace.request("POST", PRINCIPALS, body=body, headers=_HEADERS)
        else:
            context.info(f"Went on with service principal {principal['id']}, which an interrupted run made.")
        return Created(str(principal["id"]), {**inputs, "applicationId": principal["applicationId"]})

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """The principal as it is."""
        found = workspace_of(context).find(f"{PRINCIPALS}/{segment(id)}")
        if found is None:
            return None
        inputs = {**old_inputs, "displayName": found.get("displayName", "")}
        return Found(id, {**old, **inputs, "applicationId": found["applicationId"]}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Another name."""
        operation = {"op": "replace", "path": "displayName", "value": inputs["displayName"]}
        body = {"schemas": [_PATCH], "Operations": [operation]}
        workspace_of(context).request("PATCH", f"{PRINCIPALS}/{segment(id)}", body=body, headers=_HEADERS)
        return {**inputs, "applicationId": old["applicationId"]}

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes it and, with it, its secrets."""
        workspace_of(context).remove(f"{PRINCIPALS}/{segment(id)}")


def _mark(urn: str) -> str:
    """By what a principal says which resource of which stack made it."""
    return f"agent-deploy-{hashlib.sha256(urn.encode()).hexdigest()[:32]}"


def _left_over(workspace: Workspace, name: str, mark: str) -> dict[str, Any] | None:
    """One with the resource's mark and no secret: what a run leaves that ends between the principal and its note.

    One with a secret is in use, by a stack of the same name whose state lies elsewhere.
    """
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    listed = workspace.get(PRINCIPALS, {"filter": f'displayName eq "{quoted}"'})
    for principal in listed.get("Resources") or []:
        if principal.get("externalId") == mark and not _has_secret(workspace, str(principal["id"])):
            return dict(principal)
    return None


def _has_secret(workspace: Workspace, id: str) -> bool:
    try:
        return any(True for _ in secrets_of(workspace, id))
    except ApiError as error:
        if error.is_missing or error.status == 403:
            return True  # not to be told: then it is not ours to take
        raise
