"""Who may change what is read with its owner's privileges: views and functions.

Source: Databricks, "Manage Unity Catalog object ownership": lest somebody borrows another's privileges, whoever is no
metastore admin may give a view or function only to himself or to a group that he is in.
"""

from __future__ import annotations

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements.errors import insufficient
from agent_deploy.local.statements.session import Session


def require_owner(session: Session, document: Document, action: str) -> None:
    """Pass for the owner; else raise SqlError."""
    owner = document["owner"]
    if owner not in session.principal.identities:
        raise insufficient(f"Only the owner {owner} of '{document['full_name']}' may {action}.")


def require_transfer(workspace: Workspace, session: Session, kind: str, document: Document, owner: str) -> None:
    """Pass when the securable may get this owner; else raise ApiError."""
    if not workspace.principals.exists(owner):
        raise ApiError(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {owner}.")
    if not may_own(session.principal, kind, document, owner):
        message = f"Only a metastore admin may make {owner} the owner of '{document['full_name']}', which is read with"
        raise forbidden(f"{message} its owner's privileges.")


def may_own(giver: Principal, kind: str, document: Document, owner: str) -> bool:
    """Whether ``giver`` may make ``owner`` the owner; that he manages the securable is checked elsewhere."""
    borrows = kind == "function" or (kind == "table" and bool(document.get("view_definition")))
    return not borrows or giver.is_admin or owner in giver.identities
