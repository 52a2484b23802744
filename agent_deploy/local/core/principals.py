"""Who calls: users, service principals and groups, and the tokens by which they are known."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field, replace

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document, Store
from agent_deploy.local.core.vault import Vault
from agent_deploy.rules.groups import ACCOUNT_USERS, ADMINS, USERS

ADMIN = "admin@local"
_KINDS = ("user", "service_principal", "group")
TOKEN_SECONDS = 3600  # lifetime of an OAuth access token on the platform
ENDPOINT_TOKEN = "endpoint_token"  # kind of document: an OAuth token that asks certain endpoints only


@dataclass(frozen=True)
class Principal:
    """``name`` is what grants and ACLs call it: a user's e-mail address, a service principal's application id."""

    kind: str  # "user" or "service_principal"
    id: str
    name: str
    display_name: str
    groups: frozenset[str] = field(default_factory=frozenset)
    is_confined: bool = False  # a served model's own identity: what was given to it by name, and `confinement.py`
    scopes: frozenset[str] | None = None  # of a token that a served model has on behalf of its caller

    @property
    def is_admin(self) -> bool:
        """Workspace admin."""
        return ADMINS in self.groups

    @property
    def identities(self) -> frozenset[str]:
        """Every name under which a privilege may have been granted: its own and its groups'."""
        return self.groups | {self.name}


def gone() -> ApiError:
    """Of a token whose principal is there no more."""
    return ApiError(401, "UNAUTHENTICATED", "The token's principal does not exist or is not active.")


class Principals:
    """Documents: ``user`` and ``service_principal`` by id, ``group`` by id with ``members`` [{value: principal id}].

    A service principal with ``hidden`` true is the platform's own (automatic passthrough): in no listing and no group,
    so that it has what it was given by name, and nothing that everybody has.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # What the kinds of _KINDS say, as of a generation of them: every request asks for its caller.
        self._known: dict[str, Principal] = {}
        self._names: dict[str, str] | None = None
        self._as_of: tuple[int, ...] = ()

    def bootstrap(self, token: str | None = None) -> str | None:
        """On a fresh workspace: groups and the admin; returns the admin's new token, else None."""
        if self._store.get("settings", "bootstrapped"):
            return None
        admin = self.create_user(ADMIN, "Administrator")
        for name in (ADMINS, USERS):
            members = [{"value": admin["id"]}] if name == ADMINS else []
            group_id = str(self._store.next_number("scim", 1000))
            self._store.put("group", group_id, {"id": group_id, "displayName": name, "members": members})
        token = self.issue_token(admin["id"], comment="admin", token=token)
        self._store.put("settings", "bootstrapped", {"admin": admin["id"]})
        return token

    def create_user(self, user_name: str, display_name: str = "") -> Document:
        """A user; raises 409 when the name is taken."""
        if self.by_name(user_name):
            raise ApiError(409, "RESOURCE_ALREADY_EXISTS", f"User with username {user_name} already exists.")
        user_id = str(self._store.next_number("scim", 1000))
        user = {"id": user_id, "userName": user_name, "displayName": display_name or user_name, "active": True}
        return self._store.put("user", user_id, user)

    def create_service_principal(self, display_name: str, hidden: bool = False, **more: object) -> Document:
        """A service principal with a new application id."""
        principal_id = str(self._store.next_number("scim", 1000))
        document: Document = {"id": principal_id, "applicationId": str(uuid.uuid4()), "displayName": display_name}
        document.update({"active": True, "hidden": hidden, "entitlements": []}, **more)
        return self._store.put("service_principal", principal_id, document)

    def delete(self, kind: str, principal_id: str) -> bool:
        """Remove a principal, its tokens, OAuth secrets and memberships."""
        for other in ("token", ENDPOINT_TOKEN, "oauth_secret"):
            for document in self._store.list(other, parent=principal_id):
                self._store.delete(other, document["key"])
        with self._store.transaction() as transaction:
            for group in transaction.list("group"):
                remaining = [member for member in group["members"] if member["value"] != principal_id]
                if remaining != group["members"]:
                    transaction.put("group", group["id"], {**group, "members": remaining})
        return self._store.delete(kind, principal_id)

    def issue_token(
        self,
        principal_id: str,
        seconds: float | None = None,
        comment: str = "",
        token: str | None = None,
        **more: object,
    ) -> str:
        """A bearer token, kept as a digest only; ``seconds`` None never expires."""
        token = token or f"dapi{secrets.token_hex(16)}"
        key = Vault.digest(token)
        expiry = None if seconds is None else time.time() + seconds
        body = {"key": key, "principal_id": principal_id, "expires": expiry, "comment": comment, **more}
        self._store.put("token", key, body, parent=principal_id)
        return token

    def knows(self, token: str) -> bool:
        """Whether the token is one of the workspace's."""
        return self._store.get("token", Vault.digest(token)) is not None

    def admin_id(self) -> str:
        """SCIM id of the administrator that the workspace was made with."""
        document = self._store.get("settings", "bootstrapped")
        return str(document["admin"]) if document else ""

    def authenticate(self, token: str) -> Principal:
        """The caller; raises 401 for an unknown, expired or orphaned token."""
        document = self._store.get("token", Vault.digest(token))
        if document is None:
            raise ApiError(401, "UNAUTHENTICATED", "Invalid access token.")
        if document["expires"] is not None and document["expires"] < time.time():
            raise ApiError(401, "UNAUTHENTICATED", "Access token has expired.")
        principal = self.principal(document["principal_id"])
        scopes = document.get("scopes")
        return principal if scopes is None else replace(principal, scopes=frozenset(scopes))

    def principal(self, principal_id: str) -> Principal:
        """By SCIM id; raises 401 when it was deleted or made inactive."""
        known, _ = self._current()
        if (principal := known.get(principal_id)) is not None:
            return principal
        for kind, name in (("user", "userName"), ("service_principal", "applicationId")):
            if (document := self._store.get(kind, principal_id)) is not None and document.get("active", True):
                hidden, shown_as = bool(document.get("hidden")), document.get("displayName", "")
                groups = frozenset() if hidden else self.groups_of(principal_id)
                principal = Principal(kind, principal_id, document[name], shown_as, groups, is_confined=hidden)
                return known.setdefault(principal_id, principal)
        raise gone()

    def by_name(self, name: str) -> Principal | None:
        """By user name (in any case) or application id; None also for one that is not active."""
        principal_id = self._current()[1].get(name.lower())
        try:
            return self.principal(principal_id) if principal_id else None
        except ApiError:
            return None

    def exists(self, name: str) -> bool:
        """Whether a grant may name it: a user, a service principal (active or not) or a group."""
        return name.lower() in self._current()[1] or self.is_group(name)

    def is_group(self, name: str) -> bool:
        """Whether there is a group of this very name."""
        return name == ACCOUNT_USERS or any(group["displayName"] == name for group in self._store.list("group"))

    def hidden_names(self) -> frozenset[str]:
        """Application ids of the platform's own principals: no API shows them."""
        documents = self._store.list("service_principal")
        return frozenset(document["applicationId"] for document in documents if document.get("hidden"))

    def groups_of(self, member_id: str) -> frozenset[str]:
        """Names of the groups, nested ones included; everybody is in `users` and `account users`."""
        found, pending, groups = {USERS, ACCOUNT_USERS}, [member_id], self._store.list("group")
        while pending:
            member = pending.pop()
            for group in groups:
                if group["displayName"] not in found and any(m["value"] == member for m in group["members"]):
                    found.add(group["displayName"])
                    pending.append(group["id"])
        return frozenset(found)

    def _current(self) -> tuple[dict[str, Principal], dict[str, str]]:
        as_of = self._store.generation(*_KINDS)
        if as_of != self._as_of or self._names is None:
            names = {user["userName"].lower(): user["id"] for user in self._store.list("user")}
            names |= {p["applicationId"].lower(): p["id"] for p in self._store.list("service_principal")}
            # One assignment each, the mark last: a reader beside us at worst builds them once more.
            self._known, self._names = {}, names
            self._as_of = as_of
        return self._known, self._names
