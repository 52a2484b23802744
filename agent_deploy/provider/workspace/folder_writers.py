"""Who may write a file or folder of the workspace's tree, by the access list of what of it exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.provider.workspace.permission_facts import PermissionFacts
from agent_deploy.provider.workspace.workspace_tree import TREE, parent
from agent_deploy.rules.verification import Presence
from agent_deploy.rules.workspace_files import HOMES, WRITING, Writer, open_to, others, unreadable

# Object type → its path in the permissions API.
_KINDS = {"DIRECTORY": "directories", "FILE": "files", "NOTEBOOK": "notebooks", "REPO": "repos"}
_PRINCIPALS = ("user", "group", "service_principal")


class OpenPlace:
    """What is to be told of a place; all empty where only its owner writes. ``error``: everybody may write there."""

    def __init__(self, error: str = "", warning: str = "", note: str = "") -> None:
        self.error, self.warning, self.note = error, warning, note


def open_place(facts: PermissionFacts, path: str) -> OpenPlace:
    """Whether others than its owner may write at the path, whatever of it exists; raises WorkspaceError."""
    while (status := facts.look_up(f"{TREE}/get-status", {"path": path})).presence is Presence.MISSING:
        path = parent(path)
        if path in (HOMES, "/"):
            return OpenPlace()  # a home that is yet to be made is its owner's
    message = status.message
    if status.presence is Presence.FOUND:
        kind = _KINDS.get(str(status.document.get("object_type")), "directories")
        listed = facts.look_up(f"/api/2.0/permissions/{kind}/{status.document['object_id']}")
        if listed.presence is Presence.FOUND:
            return _judged(path, listed.document, facts.principal(None).name)
        message = listed.message
    return OpenPlace(note=unreadable(path, message))


def _judged(path: str, document: Mapping[str, Any], deployer: str) -> OpenPlace:
    writers = [
        Writer(kind, str(entry[f"{kind}_name"]), level)
        for entry in document.get("access_control_list") or []
        for kind in _PRINCIPALS
        if entry.get(f"{kind}_name")
        for level in sorted({str(each.get("permission_level")) for each in entry.get("all_permissions") or []})
        if level in WRITING
    ]
    found = list(others(writers, path, deployer))
    if not found:
        return OpenPlace()
    if everybody := [writer for writer in found if writer.is_everybody]:
        return OpenPlace(error=open_to(path, everybody))
    return OpenPlace(warning=open_to(path, found))
