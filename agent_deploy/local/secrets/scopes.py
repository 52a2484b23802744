"""Scopes, secrets and ACLs as documents, and who may do what with them."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.groups import USERS
from agent_deploy.rules.secrets import SecretReference, parse_reference

# Databricks, "Secret management": 1000 secrets a scope, 128 KB a value, 128 characters a name.
MAX_SECRETS = 1000
MAX_BYTES = 128 * 1024
_SCOPE = re.compile(r"[\w.@/-]{1,128}")
_KEY = re.compile(r"[\w.@-]{1,128}")

READ, WRITE, MANAGE = "READ", "WRITE", "MANAGE"
LEVELS = (READ, WRITE, MANAGE)  # each includes those before it


class Scopes:
    """Documents: ``secret_scope`` by name; ``secret`` by ``scope/key``, ``secret_acl`` by ``scope|principal`` below it.

    Other APIs use `resolve`.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._store = workspace.store
        self._vault = workspace.vault
        self._principals = workspace.principals

    def resolve(self, reference: str | SecretReference, principal: Principal) -> str:
        """The value behind ``{{secrets/scope/key}}``, for a principal that may read it; raises 400, 403 and 404."""
        parsed = parse_reference(reference) if isinstance(reference, str) else reference
        if parsed is None:
            raise invalid("A secret reference has the form {{secrets/scope/key}}.")
        return self._vault.decrypt(self.get(parsed.scope, parsed.key, principal)["value"])

    def require(self, scope: str, principal: Principal, level: str) -> None:
        """Pass, or raise 404 for an unknown scope and 403 for a level that the caller does not have."""
        if self._store.get("secret_scope", scope) is None:
            raise not_found(f"Scope {scope} does not exist!")
        if not self._allows(scope, principal, level):
            raise forbidden(f"User {principal.name} does not have {level} permission on scope {scope}.")

    def scopes(self, principal: Principal) -> list[Document]:
        """Those in which the caller may read."""
        return [s for s in self._store.list("secret_scope") if self._allows(s["name"], principal, READ)]

    def create_scope(self, body: Document, principal: Principal) -> None:
        """Its creator manages it, and everybody when ``initial_manage_principal`` is `users`."""
        name, manager = str(body.get("scope") or ""), body.get("initial_manage_principal")
        if not _SCOPE.fullmatch(name):
            raise invalid(f"scope {name!r}: expected 1 to 128 letters, digits, '-', '_', '.', '@' or '/'.")
        if body.get("scope_backend_type") not in (None, "DATABRICKS"):
            raise invalid(
                f"scope_backend_type {body['scope_backend_type']!r}: the local workspace has DATABRICKS only."
            )
        if manager not in (None, USERS):
            raise invalid(f"initial_manage_principal {manager!r}: expected '{USERS}' or nothing.")
        with self._store.transaction() as transaction:
            if transaction.get("secret_scope", name) is not None:
                raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Scope {name} already exists!")
            transaction.put("secret_scope", name, {"name": name, "creator": principal.name})
            holder = manager or principal.name
            transaction.put("secret_acl", f"{name}|{holder}", {"principal": holder, "permission": MANAGE}, parent=name)

    def delete_scope(self, scope: str) -> None:
        """With its secrets and ACLs."""
        with self._store.transaction() as transaction:
            for secret in transaction.list("secret", scope):
                transaction.delete("secret", f"{scope}/{secret['key']}")
            for acl in transaction.list("secret_acl", scope):
                transaction.delete("secret_acl", f"{scope}|{acl['principal']}")
            transaction.delete("secret_scope", scope)

    def put(self, scope: str, body: Document) -> None:
        """Create or overwrite; raises 400 for a bad key, none or two values, and beyond the platform's limits."""
        key, value = str(body.get("key") or ""), _value(body)
        if not _KEY.fullmatch(key):
            raise invalid(f"key {key!r}: expected 1 to 128 letters, digits, '-', '_', '.' or '@'.")
        if len(value.encode()) > MAX_BYTES:
            raise invalid(f"The value of {scope}/{key} is larger than {MAX_BYTES} bytes.")
        document = {"key": key, "value": self._vault.encrypt(value), "last_updated_timestamp": int(time.time() * 1000)}
        with self._store.transaction() as transaction:
            is_new = transaction.get("secret", f"{scope}/{key}") is None
            if is_new and len(transaction.list("secret", scope)) >= MAX_SECRETS:
                raise ApiError(400, "QUOTA_EXCEEDED", f"Scope {scope} has {MAX_SECRETS} secrets, the most it may have.")
            transaction.put("secret", f"{scope}/{key}", document, parent=scope)

    def get(self, scope: str, key: str, principal: Principal) -> Document:
        """The secret, encrypted; raises 403 and 404."""
        self.require(scope, principal, READ)
        document = self._store.get("secret", f"{scope}/{key}")
        if document is None:
            raise _no_secret(scope, key)
        return document

    def value(self, scope: str, key: str, principal: Principal) -> str:
        """The value in base64, as the API answers it."""
        return base64.b64encode(self._vault.decrypt(self.get(scope, key, principal)["value"]).encode()).decode()

    def secrets(self, scope: str) -> list[Document]:
        """Keys and times, never values."""
        return [
            {"key": secret["key"], "last_updated_timestamp": secret["last_updated_timestamp"]}
            for secret in sorted(self._store.list("secret", scope), key=lambda secret: str(secret["key"]))
        ]

    def delete(self, scope: str, key: str) -> None:
        """Raises 404 when there is none."""
        if not self._store.delete("secret", f"{scope}/{key}"):
            raise _no_secret(scope, key)

    def acls(self, scope: str) -> list[Document]:
        """All entries of a scope."""
        return self._store.list("secret_acl", scope)

    def acl(self, scope: str, principal_name: str) -> Document:
        """One principal's entry; raises 404."""
        document = self._store.get("secret_acl", f"{scope}|{principal_name}")
        if document is None:
            raise not_found(f"ACL for principal {principal_name} on scope {scope} does not exist.")
        return document

    def put_acl(self, scope: str, principal_name: str, permission: Any) -> None:
        """Replace one principal's entry; raises 400 for an unknown level and 404 for an unknown principal."""
        if permission not in LEVELS:
            raise invalid(f"permission {permission!r}: expected one of {', '.join(LEVELS)}.")
        if not self._principals.exists(principal_name):
            raise not_found(f"Principal {principal_name} does not exist.")
        entry = {"principal": principal_name, "permission": permission}
        self._store.put("secret_acl", f"{scope}|{principal_name}", entry, parent=scope)

    def delete_acl(self, scope: str, principal_name: str) -> None:
        """Raises 404 when there is none."""
        self.acl(scope, principal_name)
        self._store.delete("secret_acl", f"{scope}|{principal_name}")

    def _allows(self, scope: str, principal: Principal, level: str) -> bool:
        # Databricks, "Secret ACLs": workspace admins manage every scope.
        if principal.is_admin:
            return True
        entries = (self._store.get("secret_acl", f"{scope}|{name}") for name in principal.identities)
        return any(LEVELS.index(entry["permission"]) >= LEVELS.index(level) for entry in entries if entry)


def _no_secret(scope: str, key: str) -> ApiError:
    return not_found(f"Failed to get secret {key} for scope {scope}: it does not exist.")


def _value(body: Document) -> str:
    given = [name for name in ("string_value", "bytes_value") if body.get(name) is not None]
    if len(given) != 1:
        raise invalid("Exactly one of string_value and bytes_value is needed.")
    if given == ["string_value"]:
        return str(body["string_value"])
    try:
        return base64.b64decode(body["bytes_value"], validate=True).decode()
    except ValueError as error:
        raise invalid("bytes_value: expected base64 of UTF-8 text.") from error
