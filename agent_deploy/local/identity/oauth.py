"""OAuth for machines: whom a token is for, and the secrets that service principals own."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
import uuid
from datetime import datetime, timezone
from urllib.parse import unquote_plus

from agent_deploy.local.core import endpoint_tokens
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, invalid, not_found
from agent_deploy.local.core.principals import TOKEN_SECONDS, Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.vault import Vault
from agent_deploy.rules.credentials import MAX_LIFETIME_DAYS

MAX_LIFETIME = MAX_LIFETIME_DAYS * 24 * 3600
# The second exchanges a token of one's own. Source: RFC 7523.
CLIENT, EXCHANGE = "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"
_OAUTH = "oauth"  # kind of token


def account_id(workspace: Workspace) -> str:
    """Of the account that the workspace would belong to; stable."""
    document = workspace.store.get("settings", "account_id")
    document = document or workspace.store.put("settings", "account_id", {"value": str(uuid.uuid4())})
    return str(document["value"])


class Refusal(Exception):
    """Why no token is given."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status, self.error = status, error


def grantee(workspace: Workspace, header: str, form: dict[str, str]) -> Principal:
    """Whom the token is for: the service principal with this secret, or the one whose OAuth token is exchanged."""
    grant = form.get("grant_type")
    if grant == CLIENT:
        client_id, secret = _client(header, form)
        principal = workspace.principals.by_name(client_id)
        if principal is None or not _is_secret_of(workspace, principal, secret):
            raise Refusal(401, "invalid_client", "Client authentication failed")
        return principal
    if grant != EXCHANGE:
        raise Refusal(400, "unsupported_grant_type", f"grant_type {grant!r}: expected {CLIENT!r} or {EXCHANGE!r}")
    if "authorization_details" not in form:
        raise Refusal(
            400, "invalid_request", "authorization_details: a token is exchanged for one that names endpoints"
        )
    document = workspace.store.get("token", Vault.digest(form.get("assertion", "")))
    if document is None or document.get("kind") != _OAUTH:
        raise Refusal(400, "invalid_grant", "assertion: expected an OAuth access token of this workspace")
    try:
        return workspace.principals.authenticate(form["assertion"])
    except ApiError as error:
        raise Refusal(400, "invalid_grant", f"assertion: {error}") from error


def issued(workspace: Workspace, principal: Principal, form: dict[str, str]) -> str:
    """A token for all APIs, or, with ``authorization_details``, for the endpoints that they name."""
    if (details := form.get("authorization_details")) is not None:
        try:
            return endpoint_tokens.issue(workspace, principal.id, endpoint_tokens.endpoints_in(details))
        except ValueError as error:
            raise Refusal(400, "invalid_authorization_details", str(error)) from error  # RFC 9396, section 5
    _forget_expired(workspace, principal)
    token = f"oauth{secrets.token_hex(24)}"
    return workspace.principals.issue_token(principal.id, TOKEN_SECONDS, token=token, kind=_OAUTH)


def _client(header: str, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)


def _is_secret_of(workspace: Workspace, principal: Principal, secret: str) -> bool:
    digest, now = Vault.digest(secret), time.time()
    return any(
        hmac.compare_digest(document["digest"], digest) and document["expires"] > now
        for document in workspace.store.list("oauth_secret", parent=principal.id)
    )


def _forget_expired(workspace: Workspace, principal: Principal) -> None:
    now = time.time()
    for document in workspace.store.list("token", parent=principal.id):
        if document["expires"] is not None and document["expires"] < now:
            workspace.store.delete("token", document["key"])


def require_principal(workspace: Workspace, principal_id: str, principal: Principal) -> None:
    """Pass for an admin and a service principal that exists; else raise 403 and 404."""
    workspace.authorization.require_admin(principal, "manage the secrets of service principals")
    document = workspace.store.get("service_principal", principal_id)
    if document is None or document.get("hidden"):
        raise not_found(f"Service principal with id {principal_id} does not exist.")


def lifetime_seconds(value: str | None) -> float:
    """Of a new secret; raises 400."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", value or f"{MAX_LIFETIME}s")
    seconds = float(match[1]) if match else 0.0
    if not 0 < seconds <= MAX_LIFETIME:
        raise invalid(f"lifetime {value!r}: expected seconds such as '31536000s', at most {MAX_LIFETIME}s (730 days).")
    return seconds


def shown(document: Document) -> Document:
    """A secret as answers show it: without its value."""
    status = "ACTIVE" if document["expires"] > time.time() else "DISABLED"
    created = _timestamp(document["created"])
    # Clients tell secrets apart by this hash; it is one of a random value.
    answer = {"id": document["key"], "secret_hash": document["digest"], "status": status}
    return {**answer, "create_time": created, "update_time": created, "expire_time": _timestamp(document["expires"])}


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
