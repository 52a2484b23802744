"""May this caller do that? Unity Catalog privileges and object ACLs, over the workspace's documents.

Documents: ``grant`` by ``type:name`` with ``assignments`` {principal: [privileges]}; ``object`` by ``type/id`` with its
creator; ``acl`` by ``type/id`` with ``entries`` [{kind, name, level}]. Types are those of the request paths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from agent_deploy.local.core.errors import ApiError, forbidden, invalid, not_found
from agent_deploy.local.core.principals import Principal, Principals
from agent_deploy.local.core.store import Document, Store, Transaction
from agent_deploy.rules import unity_catalog
from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.object_permissions import CAN_MANAGE, OBJECT_TYPES, ObjectType
from agent_deploy.rules.unity_catalog import Securable

# Securable type → the kinds of document that describe it; registered models and prompts are functions, too.
KINDS: Mapping[str, tuple[str, ...]] = {
    "catalog": ("catalog",),
    "schema": ("schema",),
    "table": ("table",),
    "volume": ("volume",),
    "function": ("registered_model", "function", "prompt"),
    "connection": ("connection",),
    "model_service": ("model_service",),
}
METASTORE = "metastore"  # its name, too: there is one
_METASTORE = Securable(METASTORE, METASTORE)


class Authorization:
    """Unity Catalog (`require`, `allows`, `effective`, …) and object ACLs (`require_object`, `register_object`, …)."""

    def __init__(self, store: Store, principals: Principals) -> None:
        self._store = store
        self._principals = principals

    # Unity Catalog -----------------------------------------------------------------------------------------------

    def owner(self, securable: Securable) -> str:
        """Its owner; empty when it does not exist."""
        if securable == _METASTORE:
            return ADMINS
        for kind in KINDS.get(securable.type, ()):
            if (document := self._store.get(kind, securable.name)) is not None:
                return str(document.get("owner", ""))
        return ""

    def grants(self, securable: Securable) -> Mapping[str, Collection[str]]:
        """What was granted on this very securable, by principal."""
        document = self._store.get("grant", _grant_key(securable))
        return document["assignments"] if document else {}

    def exists(self, securable: Securable) -> bool:
        """Whether there is such a securable."""
        kinds = KINDS.get(securable.type, ())
        return securable == _METASTORE or any(self._store.get(kind, securable.name) for kind in kinds)

    def require(self, principal: Principal, privilege: str, securable_type: str, full_name: str) -> None:
        """Pass, or raise 404 for what does not exist and 403 with the missing privilege and its object.

        USE CATALOG and USE SCHEMA on the parents are checked first, as the platform does.
        """
        securable = Securable.of(securable_type, full_name)
        lacking = unity_catalog.missing(principal.identities, privilege, securable, self)
        for level in (*reversed(securable.parents), securable):
            # In this order: nobody learns what is in a schema that he may not use.
            if not self.exists(level):
                raise not_found(f"{level} does not exist.")
            if (first := next((needed for needed in lacking if needed.securable == level), None)) is not None:
                raise forbidden(f"User does not have {first}.")

    def missing(
        self, principal: Principal, privilege: str, securable_type: str, full_name: str
    ) -> list[unity_catalog.Requirement]:
        """All that the caller lacks for it, parents first; empty when allowed."""
        securable = Securable.of(securable_type, full_name)
        return unity_catalog.missing(principal.identities, privilege, securable, self)

    def allows(self, principal: Principal, privilege: str, securable_type: str, full_name: str) -> bool:
        """Whether it exists and nothing is missing."""
        exists = self.exists(Securable.of(securable_type, full_name))
        return exists and not self.missing(principal, privilege, securable_type, full_name)

    def effective(self, principal: Principal, securable_type: str, full_name: str) -> frozenset[str]:
        """Privileges on a securable, however they came."""
        securable = Securable.of(securable_type, full_name)
        return unity_catalog.effective(principal.identities, securable, self)

    def visible(self, principal: Principal, securable_type: str, full_name: str) -> bool:
        """Whether a listing shows it to the caller."""
        return unity_catalog.visible(principal.identities, Securable.of(securable_type, full_name), self)

    def change_grants(
        self,
        securable_type: str,
        full_name: str,
        principal_name: str,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
    ) -> None:
        """Grant and revoke, unchecked: the routes check the caller, the platform's own grants need no caller."""
        securable = Securable.of(securable_type, full_name)
        with self._store.transaction() as transaction:
            key = _grant_key(securable)
            document = transaction.get("grant", key) or {"key": key, "assignments": {}}
            held = set(document["assignments"].pop(principal_name, ()))
            gone = set(remove)
            left = set() if unity_catalog.ALL_PRIVILEGES in gone else held - gone
            if left := left | set(add):
                document["assignments"][principal_name] = sorted(left)
            transaction.put("grant", key, document)

    def forget_grants(self, securable_type: str, full_name: str) -> None:
        """The securable is gone: nothing granted on it remains."""
        self._store.delete("grant", _grant_key(Securable.of(securable_type, full_name)))

    # Objects -----------------------------------------------------------------------------------------------------

    def register_object(
        self,
        object_type: str,
        object_id: str,
        creator: Principal,
        name: str = "",
        transaction: Transaction | None = None,
    ) -> None:
        """A new object with its creator's entry; ``object_type`` is the path of the permissions API.

        ``transaction``: the one in which the object itself is written.
        """
        kind, key = _type(object_type), f"{object_type}/{object_id}"
        entry = {"kind": creator.kind, "name": creator.name, "level": kind.creator_level}
        document = {"type": object_type, "id": object_id, "creator": creator.name, "name": name or object_id}
        with self._within(transaction) as writes:
            writes.put("object", key, document)
            writes.put("acl", key, {"key": key, "entries": [entry]})

    def forget_object(self, object_type: str, object_id: str, transaction: Transaction | None = None) -> None:
        """The object is gone, and its ACL with it; ``transaction`` as of `register_object`."""
        with self._within(transaction) as writes:
            writes.delete("object", f"{object_type}/{object_id}")
            writes.delete("acl", f"{object_type}/{object_id}")

    def _within(self, transaction: Transaction | None) -> AbstractContextManager[Transaction]:
        return self._store.transaction() if transaction is None else nullcontext(transaction)

    def object(self, object_type: str, object_id: str) -> Document:
        """The registered object; raises 404 when there is none."""
        kind = _type(object_type)
        document = self._store.get("object", f"{object_type}/{object_id}")
        if document is None:
            raise not_found(f"{kind.title} with id {object_id} does not exist.")
        return document

    def entries(self, object_type: str, object_id: str) -> list[Document]:
        """The direct entries of an object's ACL; administrators inherit theirs."""
        document = self._store.get("acl", f"{object_type}/{object_id}")
        return document["entries"] if document else []

    def change_entries(
        self, object_type: str, object_id: str, change: Callable[[list[Document]], list[Document]]
    ) -> None:
        """Replace the direct entries by what ``change`` makes of them, unchecked; nobody writes in between."""
        key = f"{object_type}/{object_id}"
        with self._store.transaction() as transaction:
            document = transaction.get("acl", key)
            held = document["entries"] if document else []
            if (entries := change(held)) != held:
                transaction.put("acl", key, {"key": key, "entries": entries})

    def add_entry(self, object_type: str, object_id: str, entry: Document) -> None:
        """One more direct entry, unless it is there."""

        def added(entries: list[Document]) -> list[Document]:
            return entries if entry in entries else [*entries, entry]

        self.change_entries(object_type, object_id, added)

    def object_levels(self, principal: Principal, object_type: str, object_id: str) -> frozenset[str]:
        """Every level that the caller has on an object, those included in others too."""
        kind, names = _type(object_type), principal.identities
        held = {entry["level"] for entry in self.entries(object_type, object_id) if entry["name"] in names}
        if principal.is_admin:
            held.add(CAN_MANAGE)
        return frozenset(level for top in held for level in kind.includes.get(top, ()))

    def object_level(self, principal: Principal, object_type: str, object_id: str) -> str | None:
        """The highest level that the caller has, as ``permission_level`` in answers."""
        return _type(object_type).highest(self.object_levels(principal, object_type, object_id))

    def allows_object(self, principal: Principal, object_type: str, object_id: str, level: str) -> bool:
        """Whether the caller has the level or one that includes it."""
        return level in self.object_levels(principal, object_type, object_id)

    def require_object(self, principal: Principal, object_type: str, object_id: str, level: str) -> None:
        """Pass, or raise 404 for an unknown object and 403 that names level and object."""
        name = self.object(object_type, object_id)["name"]
        if not self.allows_object(principal, object_type, object_id, level):
            title = _type(object_type).title.lower()
            message = f"User {principal.name} does not have permission {level} on {title} '{name}' (id {object_id})."
            raise forbidden(message)

    def require_admin(self, principal: Principal, action: str) -> None:
        """Pass for workspace administrators; else 403."""
        if not principal.is_admin:
            raise ApiError(403, "PERMISSION_DENIED", f"Only workspace admins may {action}.")


def _type(object_type: str) -> ObjectType:
    kind = OBJECT_TYPES.get(object_type)
    if kind is None:
        raise invalid(f"Objects of type '{object_type}' have no permissions; known: {', '.join(OBJECT_TYPES)}.")
    return kind


def _grant_key(securable: Securable) -> str:
    return f"{securable.type}:{securable.name}"
