"""Who may change what is read with its owner's privileges: views and functions.

Source: Databricks, "Manage Unity Catalog object ownership": lest somebody borrows another's privileges, whoever is no
metastore admin may give a view or function only to himself or to a group that he is in.
"""

from __future__ import annotations

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.groups import ACCOUNT_USERS


def require_owner(principal: Principal, document: Document, action: str) -> None:
    """Pass for the owner; else raise 403."""
    owner = document["owner"]
    if owner not in principal.identities:
        raise forbidden(f"Only the owner {owner} of '{document['full_name']}' may {action}.")


def require_transfer(workspace: Workspace, giver: Principal, kind: str, document: Document, owner: str) -> None:
    """Pass when ``giver``, who manages the securable, may make ``owner`` its owner; else raise 404 or 403.

    ``document`` is the securable as the new owner gets it: one request may give both another owner and a query.
    """
    if not workspace.principals.exists(owner):
        raise ApiError(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {owner}.")
    borrows = kind == "function" or (kind == "table" and bool(document.get("view_definition")))
    if borrows and not giver.is_admin and owner not in giver.identities:
        message = f"Only a metastore admin may make {owner} the owner of a view or function"
        raise forbidden(f"{message}: it is read with its owner's privileges.")


def definer(workspace: Workspace, document: Document) -> Principal | None:
    """The owner of a securable, a group included, as the one by whose privileges it is read; None when he is gone."""
    owner = str(document["owner"])
    if (principal := workspace.principals.by_name(owner)) is not None:
        return principal
    for group in workspace.store.list("group"):
        if group["displayName"] == owner:
            names = workspace.principals.groups_of(group["id"]) | {owner}
            return Principal("group", group["id"], owner, owner, names)
    return Principal("group", owner, owner, owner, frozenset({owner})) if owner == ACCOUNT_USERS else None
