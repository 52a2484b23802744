"""An endpoint as it stands in the workspace, as the resources that would declare it: what policies are asked about."""

from __future__ import annotations

from agent_deploy.client.serving import tags_of
from agent_deploy.client.workspace import Workspace
from agent_deploy.policies.access import PERMISSIONS
from agent_deploy.policies.endpoints import ENDPOINT
from agent_deploy.policies.policy import Resource
from agent_deploy.provider.endpoint.state import inputs_of
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.records import camel_case
from agent_deploy.rules.review import PRINCIPAL_FIELDS


def deployed_resources(workspace: Workspace, endpoint: str) -> list[Resource]:
    """The endpoint and its direct permissions; nothing where there is no such endpoint. Raises WorkspaceError."""
    remote = workspace.find(f"/api/2.0/serving-endpoints/{endpoint}")
    if remote is None:
        return []
    project, _, rest = tags_of(remote).get(OWNER_TAG, "").partition("/")
    urn = f"urn:pulumi:{rest.partition('/')[0]}::{project}"
    access = workspace.get(f"/api/2.0/permissions/serving-endpoints/{remote['id']}")
    controls = [
        {camel_case(name): entry[name] for name in PRINCIPAL_FIELDS if entry.get(name)}
        | {"permissionLevel": each["permission_level"]}
        for entry in access.get("access_control_list") or []
        for each in entry.get("all_permissions") or []
        if not each.get("inherited")
    ]
    return [
        Resource(ENDPOINT, endpoint, inputs_of(remote, {}), f"{urn}::{ENDPOINT}::{endpoint}"),
        Resource(
            PERMISSIONS,
            f"{endpoint}-permissions",
            {"servingEndpointId": remote["id"], "accessControls": controls},
            f"{urn}::{PERMISSIONS}::{endpoint}-permissions",
        ),
    ]
