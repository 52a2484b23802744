"""What is written under a principal's name, and how a name gets free of it.

Grants, ACLs and owners name a principal as the APIs do: by a name that another may bear when its bearer is gone. What
is left under it must not be the next one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count

from agent_deploy.local.core.authorization import KINDS
from agent_deploy.local.core.store import Document, Transaction

# What begins so is no principal's name: it stands for one who is gone.
DELETED = "deleted principal "
_NAMED: Mapping[str, str] = {"user": "userName", "service_principal": "applicationId", "group": "displayName"}
# Kind of document → its field with the name of whose it is, or as whom it runs.
OWNERS: Mapping[str, str] = {
    **{kind: "owner" for kinds in KINDS.values() for kind in kinds},
    "genie_conversation": "owner",
    "statement": "owner",
    "job": "run_as_user_name",
    "pipeline": "run_as_user_name",
}


def withdraw(transaction: Transaction, name: str) -> None:
    """The principal is gone from the ACLs of objects and of secret scopes.

    Grants and owners stay to be seen, as on the platform: whoever manages a securable revokes and changes them.
    """
    _entries(transaction, name, None)


def forget(transaction: Transaction, name: str) -> None:
    """Nothing given to the principal remains: for the platform's own ones, and before a name has another bearer."""
    _entries(transaction, name, None)
    _grants(transaction, name, None)


def start_anew(transaction: Transaction, name: str) -> None:
    """A principal is about to bear the name: what is written under it was another's, and becomes nobody's."""
    forget(transaction, name)
    _owners(transaction, name, f"{DELETED}{name}")
    _set_homes_aside(transaction, name)


def carry(transaction: Transaction, name: str, new_name: str) -> None:
    """The principal is called otherwise from now on, and keeps what it has."""
    start_anew(transaction, new_name)
    for rewrite in (_entries, _grants, _owners):
        rewrite(transaction, name, new_name)


def _entries(transaction: Transaction, name: str, new_name: str | None) -> None:
    """``new_name`` None: they are removed."""

    def of_object(document: Document) -> Document:
        named = _renamed(document["entries"], "name", name, new_name)
        return {**document, "entries": named}

    transaction.revise("acl", of_object)
    for scope in transaction.list("secret_scope"):
        entries = transaction.list("secret_acl", scope["name"])
        for entry in (entry for entry in entries if _same(entry["principal"], name)):
            transaction.delete("secret_acl", f"{scope['name']}|{entry['principal']}")
            if new_name is not None:
                moved = {**entry, "principal": new_name}
                transaction.put("secret_acl", f"{scope['name']}|{new_name}", moved, parent=scope["name"])


def _grants(transaction: Transaction, name: str, new_name: str | None) -> None:
    def of_securable(document: Document) -> Document:
        assignments = document["assignments"]
        kept = {bearer: held for bearer, held in assignments.items() if not _same(bearer, name)}
        if new_name is not None and name in assignments:
            kept[new_name] = assignments[name]
        return {**document, "assignments": kept}

    transaction.revise("grant", of_securable)


def _owners(transaction: Transaction, name: str, new_name: str) -> None:
    for kind, field in OWNERS.items():
        transaction.revise(kind, _owned(field, name, new_name))


def _set_homes_aside(transaction: Transaction, name: str) -> None:
    """What lies in the former one's home stays, for administrators; the name's home is free for the next one.

    It becomes no one else's home: whoever is called as it is then could not write there.
    Source of the suffix: Databricks, "Manage users", what becomes of a removed user's folder when he is added again.
    """
    paths = {document["path"] for document in transaction.list("workspace_object")}
    borne = (document[field] for kind, field in _NAMED.items() for document in transaction.list(kind))
    taken = {path.lower() for path in (*paths, *(f"/Users/{bearer}" for bearer in borne))}
    for home in sorted(path for path in paths if path.count("/") == 2 and _same(path, f"/Users/{name}")):
        aside = next(path for number in count(1) if (path := f"{home}_backup_{number}").lower() not in taken)
        _move(transaction, home, aside)


def _move(transaction: Transaction, path: str, to: str) -> None:
    """The object at a path, and all that is below it; contents and lists of access are kept by its id."""

    def moved(name: str) -> str:
        return to + name.removeprefix(path) if name == path or name.startswith(f"{path}/") else name

    for document in transaction.list("workspace_object"):
        if (new := moved(document["path"])) != document["path"]:
            transaction.delete("workspace_object", document["path"])
            transaction.put("workspace_object", new, {**document, "path": new}, parent=new.rpartition("/")[0])
    transaction.revise("object", lambda document: {**document, "name": moved(document["name"])})


def _owned(field: str, name: str, new_name: str) -> Callable[[Document], Document]:
    return lambda document: {**document, field: new_name} if _same(document.get(field), name) else document


def _renamed(entries: Iterable[Document], field: str, name: str, new_name: str | None) -> list[Document]:
    found = []
    for entry in entries:
        if not _same(entry[field], name):
            found.append(entry)
        elif new_name is not None:
            found.append({**entry, field: new_name})
    return found


def _same(one: object, other: str) -> bool:
    """Names of users are one in any case of letters, and so may be what was written under them."""
    return isinstance(one, str) and one.lower() == other.lower()
