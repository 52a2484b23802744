"""SCIM resources: how users, groups and service principals are kept and shown."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from agent_deploy.local.core import names
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.principals import gone
from agent_deploy.local.core.shapes import TEXT, check
from agent_deploy.local.core.store import Document, Transaction
from agent_deploy.local.identity.scim import ScimError, entries
from agent_deploy.rules.groups import ACCOUNT_USERS, ADMINS, USERS

_CORE = "urn:ietf:params:scim:schemas:core:2.0:"
_SHAPE = dict.fromkeys(("userName", "displayName", "applicationId", "externalId"), TEXT)
_LISTS = ("entitlements", "roles", "members", "emails")


@dataclass(frozen=True)
class Kind:
    """A SCIM resource type: ``kind`` of document, ``route``, the attribute that names it, what a request may set."""

    kind: str
    route: str
    title: str
    schema: str
    name: str
    settable: tuple[str, ...]


USER = Kind(
    "user",
    "Users",
    "User",
    f"{_CORE}User",
    "userName",
    ("displayName", "active", "name", "emails", "externalId", "entitlements", "roles"),
)
SERVICE_PRINCIPAL = Kind(
    "service_principal",
    "ServicePrincipals",
    "Service principal",
    f"{_CORE}ServicePrincipal",
    "applicationId",
    ("displayName", "active", "externalId", "entitlements", "roles"),
)
GROUP = Kind(
    "group",
    "Groups",
    "Group",
    f"{_CORE}Group",
    "displayName",
    ("displayName", "members", "externalId", "entitlements", "roles"),
)
KINDS = (USER, SERVICE_PRINCIPAL, GROUP)
BUILT_IN = (ADMINS, USERS)

Documents = list[Document]


class Resources:
    """Reads and writes of SCIM resources; the routes check the caller."""

    def __init__(self, workspace: Workspace) -> None:
        self._store = workspace.store
        self._principals = workspace.principals

    def list(self, kind: Kind) -> Documents:
        """All that are not the platform's own, as shown."""
        shown = [document for document in self._store.list(kind.kind) if not document.get("hidden")]
        return [self.shown(kind, document) for document in shown]

    def get(self, kind: Kind, resource_id: str) -> Document:
        """The kept document; raises 404, for hidden ones too."""
        document = self._store.get(kind.kind, resource_id)
        if document is None or document.get("hidden"):
            raise ScimError(404, "", f"{kind.title} with id {resource_id} not found.")
        return document

    def own(self, kind: Kind, resource_id: str) -> Document:
        """The caller's own document, which he sees even when it is hidden from others; 401 when he is just gone."""
        if (document := self._store.get(kind.kind, resource_id)) is None:
            raise gone()
        return document

    def create(self, kind: Kind, body: Document) -> Document:
        """A new resource, with no rights yet; raises 409 when its name is taken, 400 for members that do not exist."""
        fields = self._fields(kind, body)
        given = str(body.get(kind.name) or "")
        name = given or (str(uuid.uuid4()) if kind is SERVICE_PRINCIPAL else "")
        if not name:
            raise ScimError(400, "invalidValue", f"{kind.name} is required.")
        if kind is not GROUP and ("/" in name or name in (".", "..")):
            # His home is /Users/<name>: with a slash it would lie within another one's.
            raise ScimError(
                400, "invalidValue", f"{kind.name} {name!r}: expected a name without /, as it names a folder."
            )
        defaults: Document = {"members": []} if kind is GROUP else {"active": True, "displayName": name}
        with self._store.transaction() as transaction:
            if given:
                _require_free(transaction, kind, name)
                names.start_anew(transaction, name)
            resource_id = str(transaction.next_number("scim", 1000))
            document = {"id": resource_id, **defaults, **fields, kind.name: name}
            transaction.put(kind.kind, resource_id, document)
        return document

    def replace(self, kind: Kind, resource_id: str, body: Document) -> Document:
        """PUT: what the body leaves out is gone, but for the names."""
        old = self.get(kind, resource_id)
        kept: Document = {
            name: old[name] for name in ("id", "userName", "applicationId", "displayName", "hidden") if name in old
        }
        defaults: Document = {"members": []} if kind is GROUP else {"active": True}
        return self._write(kind, old, {**defaults, **kept, **self._fields(kind, body)})

    def change(self, kind: Kind, resource_id: str, document: Document) -> Document:
        """Keep a patched document."""
        old = self.get(kind, resource_id)
        return self._write(kind, old, {**old, **self._fields(kind, document)})

    def delete(self, kind: Kind, resource_id: str) -> None:
        """The resource, its tokens, secrets, memberships and entries in ACLs.

        Grants in Unity Catalog stay, as they do on the platform, until somebody revokes them or bears the name anew.
        """
        document = self.get(kind, resource_id)
        if kind is GROUP and document["displayName"] in BUILT_IN:
            raise ScimError(400, "mutability", f"The group {document['displayName']} cannot be deleted.")
        self._principals.delete(kind.kind, resource_id)
        with self._store.transaction() as transaction:
            names.withdraw(transaction, document[kind.name])

    def shown(self, kind: Kind, document: Document) -> Document:
        """As answers have it: with schemas and groups, without empty lists."""
        answer = {name: value for name, value in document.items() if name != "hidden" and value not in ([], None)}
        answer["schemas"] = [kind.schema]
        if groups := self._groups(document["id"]):
            answer["groups"] = groups
        if kind is USER:
            answer.setdefault("emails", [{"type": "work", "value": document["userName"], "primary": True}])
        if kind is GROUP:
            answer["meta"] = {"resourceType": "WorkspaceGroup" if document["displayName"] in BUILT_IN else "Group"}
            answer["members"] = [self._member(member["value"]) for member in self._members(document)]
        return answer

    def _members(self, group: Document) -> Documents:
        if group["displayName"] != USERS:
            return list(group["members"])
        everybody = (*self._store.list("user"), *self._store.list("service_principal"))
        return [{"value": principal["id"]} for principal in everybody if not principal.get("hidden")]

    def _groups(self, member_id: str) -> Documents:
        """Direct ones, and those that these are in (RFC 7643, 4.1.2); everybody's group only for its listed members."""
        around, found = self._principals.groups_of(member_id), []
        for group in self._store.list("group"):
            is_direct = any(member["value"] == member_id for member in group["members"])
            if is_direct or (group["displayName"] in around and group["displayName"] != USERS):
                kind = "direct" if is_direct else "indirect"
                reference = {"value": group["id"], "$ref": f"Groups/{group['id']}"}
                found.append({"display": group["displayName"], "type": kind, **reference})
        return found

    def _member(self, member_id: str) -> Document:
        for kind in KINDS:
            if (document := self._store.get(kind.kind, member_id)) is not None:
                display = document.get("displayName") or document[kind.name]
                return {"value": member_id, "display": display, "$ref": f"{kind.route}/{member_id}"}
        return {"value": member_id}

    def _fields(self, kind: Kind, body: Document) -> Document:
        check(body, _SHAPE)
        fields = {name: body[name] for name in kind.settable if body.get(name) is not None}
        fields |= {name: entries(fields[name]) for name in _LISTS if name in fields}
        if "active" in fields:
            fields["active"] = _boolean(fields["active"])
        for member in fields.get("members", ()):
            if not any(self._store.get(other.kind, str(member.get("value"))) for other in KINDS):
                raise ScimError(400, "invalidValue", f"Member {member.get('value')!r} does not exist.")
        if "members" in fields:
            fields["members"] = [{"value": str(member["value"])} for member in fields["members"]]
        return fields

    def _write(self, kind: Kind, old: Document, new: Document) -> Document:
        with self._store.transaction() as transaction:
            if kind is GROUP and new["displayName"] != old["displayName"]:
                if old["displayName"] in BUILT_IN:
                    raise ScimError(400, "mutability", f"The group {old['displayName']} cannot be renamed.")
                _require_free(transaction, kind, new["displayName"])
                names.carry(transaction, old["displayName"], new["displayName"])
            transaction.put(kind.kind, old["id"], new)
        return new


def _require_free(transaction: Transaction, kind: Kind, name: str) -> None:
    """Raises 409 for a name that is taken, by whatever principal: grants and ACLs tell principals by their names."""
    for other in KINDS:
        if any(document[other.name].lower() == name.lower() for document in transaction.list(other.kind)):
            word = {"user": "username", "group": "name"}.get(other.kind, "application ID")
            raise ScimError(409, "uniqueness", f"{other.title} with {word} {name} already exists.")
    if name.lower().startswith(names.DELETED):
        raise ScimError(409, "uniqueness", f"{kind.title} {name}: what belonged to a deleted one is under this name.")
    if name.lower() == ACCOUNT_USERS:
        raise ScimError(409, "uniqueness", f"{kind.title} {name}: everybody of the account is in a group of this name.")


def _boolean(value: Any) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)
