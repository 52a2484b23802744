"""The platform's part of automatic authentication passthrough: verify who deploys, then grant what a version declares.

Source: Databricks, "Authentication for dependent resources": the endpoint's creator must have access to every
declared resource, and the version's own service principal gets the least of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.serving import mlmodel
from agent_deploy.rules.declared_resources import parse
from agent_deploy.rules.resource_kinds import Access, Resource, WorkspaceObject, agent_access, deployer_access
from agent_deploy.rules.unity_catalog import Securable


def declared(folder: Path) -> list[Resource]:
    """The resources in a version's MLmodel that the platform grants by itself."""
    document = mlmodel.read(folder)
    return [resource for resource in parse(document).resources if not resource.on_behalf_of_user]


def user_scopes(folder: Path) -> tuple[str, ...]:
    """API scopes that a version's MLmodel declares for what it does on behalf of who asks it."""
    return parse(mlmodel.read(folder)).user_scopes


def lacking(workspace: Workspace, creator: Principal, resources: Iterable[Resource]) -> list[str]:
    """What the creator may not do himself, and so may give to no agent; empty when all is well."""
    needed = dict.fromkeys(access for resource in resources for access in deployer_access(resource))
    return [
        f"{creator.name} does not have {access.privilege} on {access.target}"
        for access in needed
        if not _has(workspace, creator, access)
    ]


def grant(workspace: Workspace, application_id: str, resources: Iterable[Resource]) -> None:
    """Least privilege on exactly these resources, for the version's service principal."""
    for access in agent_access(resources):
        target = access.target
        if isinstance(target, Securable):
            held = workspace.authorization.grants(target).get(application_id, ())
            if access.privilege not in held:
                workspace.authorization.change_grants(target.type, target.name, application_id, [access.privilege])
        elif (object_id := _id(workspace, target)) is not None:
            entry = {"kind": "service_principal", "name": application_id, "level": access.privilege}
            workspace.authorization.add_entry(target.type, object_id, entry)


def _has(workspace: Workspace, creator: Principal, access: Access) -> bool:
    target = access.target
    if isinstance(target, Securable):
        return workspace.authorization.allows(creator, access.privilege, target.type, target.name)
    object_id = _id(workspace, target)
    return object_id is not None and workspace.authorization.allows_object(
        creator, target.type, object_id, access.privilege
    )


def _id(workspace: Workspace, target: WorkspaceObject) -> str | None:
    """The id by which the object's permissions are kept; models declare some kinds by name."""
    for document in workspace.store.list("object"):
        if document["type"] == target.type and target.name in (document["id"], document["name"]):
            return str(document["id"])
    return None
