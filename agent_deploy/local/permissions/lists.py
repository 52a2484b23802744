"""An object's access control list: how it is read from requests, kept, and shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.workspace_files.tree import TYPES, Tree
from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.object_permissions import CAN_MANAGE, IS_OWNER, OBJECT_TYPES, ObjectType

_FIELDS = {"user": "user_name", "service_principal": "service_principal_name", "group": "group_name"}
_ENDPOINT_ID = re.compile(r"[0-9a-f]{32}")
# These say so when an ACL leaves the owner out; elsewhere the owner stays.
_OWNER_REQUIRED = ("jobs", "pipelines")

_BY_PATH = {path: kind for kind in OBJECT_TYPES.values() for path in (kind.path, kind.other_path) if path}
# What else Databricks has permissions of.
_ABSENT = frozenset(
    {"authorization", "clusters", "cluster-policies", "instance-pools", "registered-models"}
    | {"alerts", "dbsql-dashboards", "queries"}
)


class Lists:
    """ACLs in the words of the API; the routes check the caller."""

    def __init__(self, workspace: Workspace, tree: Tree) -> None:
        self._tree = tree
        self._principals = workspace.principals
        self._authorization = workspace.authorization

    def locate(self, path: str, below: str = "") -> tuple[ObjectType, str]:
        """``serving-endpoints/<id>`` → type and id; raises 400 for an unknown type and for an endpoint's name, 404."""
        object_type, _, object_id = path.rpartition("/")
        if object_type in _ABSENT:
            message = f"The local workspace has no {object_type}, and so no route /api/2.0/permissions/{path}{below}."
            raise ApiError(501, "ENDPOINT_NOT_FOUND", message)
        kind = _BY_PATH.get(object_type)
        if kind is None:
            raise invalid(f"'{object_type}' is not a supported object type; supported: {', '.join(OBJECT_TYPES)}.")
        if kind.path == "serving-endpoints" and not _ENDPOINT_ID.fullmatch(object_id):
            # The platform knows endpoints by their id here, and by their name everywhere else.
            raise invalid(f"'{object_id}' is not a valid Inference Endpoint ID.")
        self._authorization.object(kind.path, object_id)
        return kind, object_id

    def shown(self, kind: ObjectType, object_id: str) -> Document:
        """The answer of every route: direct entries, then what administrators inherit; hidden principals left out."""
        hidden = self._principals.hidden_names()
        entries = [e for e in self._authorization.entries(kind.path, object_id) if e["name"] not in hidden]
        shown = [self._entry(entry, {"permission_level": entry["level"], "inherited": False}) for entry in entries]
        inherited = {"permission_level": CAN_MANAGE, "inherited": True, "inherited_from_object": [f"/{kind.path}/"]}
        administrators = next((entry for entry in shown if entry.get("group_name") == ADMINS), None)
        if administrators is None:
            shown.append(self._entry({"kind": "group", "name": ADMINS}, inherited))
        else:
            administrators["all_permissions"].append(inherited)
        for entry, folder in self._from_folders(kind, object_id):
            if entry["name"] not in hidden:
                above = {"permission_level": entry["level"], "inherited": True, "inherited_from_object": [folder]}
                _add(shown, self._entry(entry, above))
        answer = {"object_id": f"/{kind.path}/{object_id}", "object_type": kind.name}
        return {**answer, "access_control_list": shown}

    def require(self, principal: Principal, kind: ObjectType, object_id: str, level: str = "") -> None:
        """Pass, or raise 403 without the level, or with none at all; in the tree of files, folders give theirs."""
        if kind.path in TYPES:
            path = self._authorization.object(kind.path, object_id)["name"]
            self._tree.get(path, principal, level or kind.levels[0])
        elif level:
            self._authorization.require_object(principal, kind.path, object_id, level)
        elif not self._authorization.object_levels(principal, kind.path, object_id):
            raise forbidden(f"User {principal.name} does not have any permission on {kind.title.lower()} {object_id}.")

    def _from_folders(self, kind: ObjectType, object_id: str) -> list[tuple[Document, str]]:
        if kind.path not in TYPES:
            return []
        path = self._authorization.object(kind.path, object_id)["name"]
        return self._tree.inherited(path)

    def replace(self, kind: ObjectType, object_id: str, body: Document) -> None:
        """PUT: these are all direct entries, but for the platform's hidden principals and an owner left out."""
        wanted = self._entries(kind, body)
        hidden = self._principals.hidden_names()

        def replaced(held: list[Document]) -> list[Document]:
            kept = [entry for entry in held if entry["name"] in hidden]
            return [*(_with_owner(kind, wanted, held) if kind.has_owner else wanted), *kept]

        self._authorization.change_entries(kind.path, object_id, replaced)

    def update(self, kind: ObjectType, object_id: str, body: Document) -> None:
        """PATCH: set these principals' levels; the others keep theirs."""
        wanted = self._entries(kind, body)
        changed = {entry["name"] for entry in wanted}
        takes_over = any(entry["level"] == IS_OWNER for entry in wanted)

        def updated(held: list[Document]) -> list[Document]:
            others = [
                {**entry, "level": CAN_MANAGE} if takes_over and entry["level"] == IS_OWNER else entry
                for entry in held
                if entry["name"] not in changed
            ]
            if kind.has_owner:
                _require_one_owner(kind, [*others, *wanted])
            return [*others, *wanted]

        self._authorization.change_entries(kind.path, object_id, updated)

    def _entries(self, kind: ObjectType, body: Document) -> list[Document]:
        found: dict[str, Document] = {}
        for index, given in enumerate(body.get("access_control_list") or []):
            entry, level = self._principal(index, given), str(given.get("permission_level", ""))
            if level not in kind.levels:
                expected = f"one of {', '.join(kind.levels)} for {kind.title.lower()}s"
                raise invalid(f"access_control_list[{index}].permission_level {level!r}: expected {expected}.")
            levels = [level, *([found[entry["name"]]["level"]] if entry["name"] in found else [])]
            found[entry["name"]] = {**entry, "level": kind.highest(levels)}
        return list(found.values())

    def _principal(self, index: int, given: Document) -> Document:
        named = [(kind, given[field]) for kind, field in _FIELDS.items() if given.get(field)]
        if len(named) != 1:
            raise invalid(f"access_control_list[{index}]: expected exactly one of {', '.join(_FIELDS.values())}.")
        kind, name = named[0]
        if kind == "group":
            if not self._principals.is_group(name):
                raise not_found(f"Principal: GroupName({name}) does not exist.")
            return {"kind": kind, "name": name}
        # The databricks provider names a service principal that calls as a user: the platform takes it.
        if (principal := self._principals.by_name(name)) is None:
            word = "UserName" if kind == "user" else "ServicePrincipalName"
            raise not_found(f"Principal: {word}({name}) does not exist.")
        return {"kind": principal.kind, "name": principal.name}

    def _entry(self, entry: Document, permission: Document) -> Document:
        principal = None if entry["kind"] == "group" else self._principals.by_name(entry["name"])
        display = {"display_name": principal.display_name} if principal else {}
        return {_FIELDS[entry["kind"]]: entry["name"], **display, "all_permissions": [permission]}


def _add(shown: list[Document], entry: Document) -> None:
    """With the permissions that the principal is shown with already."""
    named = [field for field in _FIELDS.values() if field in entry]
    held = next((each for each in shown if all(each.get(field) == entry[field] for field in named)), None)
    if held is None:
        shown.append(entry)
    else:
        held["all_permissions"] += entry["all_permissions"]


def levels(kind: ObjectType) -> Document:
    """What the permissionLevels route answers."""
    title = kind.title.lower()
    return {
        "permission_levels": [
            {"permission_level": level, "description": f"{level.replace('_', ' ').capitalize()}: {title}"}
            for level in kind.levels
        ]
    }


def _with_owner(kind: ObjectType, wanted: list[Document], held: list[Document]) -> list[Document]:
    if not any(entry["level"] == IS_OWNER for entry in wanted) and kind.path not in _OWNER_REQUIRED:
        owners = [entry for entry in held if entry["level"] == IS_OWNER]
        names = {entry["name"] for entry in owners}
        wanted = [*(entry for entry in wanted if entry["name"] not in names), *owners]
    _require_one_owner(kind, wanted)
    return wanted


def _require_one_owner(kind: ObjectType, entries: Iterable[Document]) -> None:
    if sum(entry["level"] == IS_OWNER for entry in entries) != 1:
        message = f"The {kind.title.lower()} must have exactly one owner: give one principal {IS_OWNER}."
        raise ApiError(400, "INVALID_PARAMETER_VALUE", message)
