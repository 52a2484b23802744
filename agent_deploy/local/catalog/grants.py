"""Grants on securables: what a change may say, what was granted, and what is effective with inheritance."""

from __future__ import annotations

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.authorization import METASTORE
from agent_deploy.local.core.body import required
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.store import Document
from agent_deploy.rules.unity_catalog import PRIVILEGES, Securable


def securable_named(metastore: Metastore, securable_type: str, full_name: str) -> Securable:
    """The securable of a path; raises 400 for a kind that has no grants."""
    securable = Securable.of(securable_type, full_name)
    # Clients name the metastore by its id; SQL and this workspace's own checks by a word.
    if securable == Securable(METASTORE, metastore.id):
        return Securable(METASTORE, METASTORE)
    if securable.type not in PRIVILEGES:
        raise invalid(f"securable_type '{securable_type}': expected one of {', '.join(sorted(PRIVILEGES))}.")
    return securable


def checked_change(workspace: Workspace, securable: Securable, entry: Document) -> tuple[str, list[str], list[str]]:
    """An entry of ``changes`` as principal, privileges to add and to remove; raises ApiError for a bad one."""
    name = str(required(entry, "principal"))
    add, remove = (
        [str(privilege).upper().replace(" ", "_") for privilege in entry.get(field) or []]
        for field in ("add", "remove")
    )
    if unknown := sorted(set(add) - PRIVILEGES[securable.type]):
        known = ", ".join(sorted(PRIVILEGES[securable.type]))
        raise invalid(f"Privilege {', '.join(unknown)} is not applicable to {securable}; applicable are: {known}.")
    if set(add) & set(remove):
        raise invalid(f"Duplicate privileges to add and delete for principal {name}.")
    # What was granted to a principal that has left meanwhile can still be revoked.
    held = name in workspace.authorization.grants(securable)
    if not workspace.principals.exists(name) and not (held and not add):
        raise ApiError(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {name}.")
    return name, add, remove


def assignments(workspace: Workspace, securable: Securable, principal: str | None) -> list[Document]:
    """What was granted on this very securable, by principal; the platform's own principals stay out."""
    hidden = workspace.principals.hidden_names()
    return [
        {"principal": name, "privileges": sorted(privileges)}
        for name, privileges in sorted(workspace.authorization.grants(securable).items())
        if name not in hidden and principal in (None, name)
    ]


def effective_assignments(workspace: Workspace, securable: Securable, principal: str | None) -> list[Document]:
    """What was granted on the securable and on those above it, by principal."""
    found: dict[str, list[Document]] = {}
    for level in (securable, *securable.parents):
        inherited = (
            {} if level == securable else {"inherited_from_type": level.type.upper(), "inherited_from_name": level.name}
        )
        for assignment in assignments(workspace, level, principal):
            entries = [{"privilege": privilege, **inherited} for privilege in assignment["privileges"]]
            found.setdefault(assignment["principal"], []).extend(entries)
    return [{"principal": name, "privileges": privileges} for name, privileges in found.items()]
