"""OAuth for machines: discovery, tokens for client credentials, and the secrets that service principals own."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
import uuid
from datetime import datetime, timezone
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote_plus

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from agent_deploy.local.core import endpoint_tokens
from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError, invalid, not_found
from agent_deploy.local.core.principals import TOKEN_SECONDS, Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.vault import Vault
from agent_deploy.rules.credentials import MAX_LIFETIME_DAYS, MAX_SECRETS

MAX_LIFETIME = MAX_LIFETIME_DAYS * 24 * 3600
# The second exchanges a token of one's own. Source: RFC 7523.
_CLIENT, _EXCHANGE = "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"
_OAUTH = "oauth"  # kind of token

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"lifetime": TEXT}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def routes(workspace: Workspace) -> APIRouter:
    """Discovery, /oidc/v1/token and the credentials of service principals."""
    router = APIRouter()
    _add_discovery(router, workspace)
    _add_token(router, workspace)
    _add_secrets(router, workspace)
    return router


def _add_discovery(router: APIRouter, workspace: Workspace) -> None:
    @router.get("/.well-known/databricks-config")
    def configuration() -> Document:
        answer = {"oidc_endpoint": f"{workspace.host}/oidc", "account_id": _account_id(workspace), "cloud": "AWS"}
        return {**answer, "workspace_id": workspace.workspace_id, "host_type": "workspace"}

    @router.get("/oidc/.well-known/oauth-authorization-server")
    @router.get("/oidc/.well-known/openid-configuration")
    def authorization_server() -> Document:
        oidc = f"{workspace.host}/oidc"
        return {
            "issuer": oidc,
            "authorization_endpoint": f"{oidc}/v1/authorize",
            "token_endpoint": f"{oidc}/v1/token",
            "grant_types_supported": [_CLIENT, _EXCHANGE],
            "scopes_supported": ["all-apis"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }


def _account_id(workspace: Workspace) -> str:
    document = workspace.store.get("settings", "account_id")
    document = document or workspace.store.put("settings", "account_id", {"value": str(uuid.uuid4())})
    return str(document["value"])


def _add_token(router: APIRouter, workspace: Workspace) -> None:
    @router.post("/oidc/v1/token")
    async def token(request: Request) -> JSONResponse:
        try:
            sent = parse_qs((await request.body()).decode())
        except ValueError as error:
            return _refused(400, "invalid_request", f"the body is not a form in UTF-8: {error}")
        form = {name: values[0] for name, values in sent.items()}
        try:
            principal = _grantee(workspace, request.headers.get("authorization", ""), form)
            value = _issued(workspace, principal, form)
        except _Refusal as refusal:
            return _refused(refusal.status, refusal.error, str(refusal))
        scope = form.get("scope") or "all-apis"
        return JSONResponse(
            {"access_token": value, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": scope},
            headers={"cache-control": "no-store"},
        )


class _Refusal(Exception):
    """Why no token is given."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status, self.error = status, error


def _grantee(workspace: Workspace, header: str, form: dict[str, str]) -> Principal:
    """Whom the token is for: the service principal with this secret, or the one whose OAuth token is exchanged."""
    grant = form.get("grant_type")
    if grant == _CLIENT:
        client_id, secret = _client(header, form)
        principal = workspace.principals.by_name(client_id)
        if principal is None or not _is_secret_of(workspace, principal, secret):
            raise _Refusal(401, "invalid_client", "Client authentication failed")
        return principal
    if grant != _EXCHANGE:
        raise _Refusal(400, "unsupported_grant_type", f"grant_type {grant!r}: expected {_CLIENT!r} or {_EXCHANGE!r}")
    if "authorization_details" not in form:
        raise _Refusal(
            400, "invalid_request", "authorization_details: a token is exchanged for one that names endpoints"
        )
    document = workspace.store.get("token", Vault.digest(form.get("assertion", "")))
    if document is None or document.get("kind") != _OAUTH:
        raise _Refusal(400, "invalid_grant", "assertion: expected an OAuth access token of this workspace")
    try:
        return workspace.principals.authenticate(form["assertion"])
    except ApiError as error:
        raise _Refusal(400, "invalid_grant", f"assertion: {error}") from error


def _issued(workspace: Workspace, principal: Principal, form: dict[str, str]) -> str:
    """A token for all APIs, or, with ``authorization_details``, for the endpoints that they name."""
    if (details := form.get("authorization_details")) is not None:
        try:
            return endpoint_tokens.issue(workspace, principal.id, endpoint_tokens.endpoints_in(details))
        except ValueError as error:
            raise _Refusal(400, "invalid_authorization_details", str(error)) from error  # RFC 9396, section 5
    _forget_expired(workspace, principal)
    token = f"oauth{secrets.token_hex(24)}"
    return workspace.principals.issue_token(principal.id, TOKEN_SECONDS, token=token, kind=_OAUTH)


def _refused(status: int, error: str, description: str) -> JSONResponse:
    # RFC 6749, section 5.2.
    return JSONResponse({"error": error, "error_description": description}, status)


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


def _add_secrets(router: APIRouter, workspace: Workspace) -> None:
    path = "/api/2.0/accounts/servicePrincipals/{principal_id}/credentials/secrets"

    @router.post(path)
    def create(principal_id: str, body: Body, principal: Caller) -> Document:
        _require_principal(workspace, principal_id, principal)
        held = workspace.store.list("oauth_secret", parent=principal_id)
        if len(held) >= MAX_SECRETS:
            message = (
                f"Service principal {principal_id} has {MAX_SECRETS} secrets, the most it may have: delete one first."
            )
            raise ApiError(400, "QUOTA_EXCEEDED", message)
        seconds, now, secret = _lifetime(body.get("lifetime")), time.time(), f"dose{secrets.token_hex(16)}"
        key = str(uuid.uuid4())
        document = {"key": key, "digest": Vault.digest(secret), "created": now, "expires": now + seconds}
        workspace.store.put("oauth_secret", key, document, parent=principal_id)
        return {**_shown(document), "secret": secret}

    @router.get(path)
    def listing(principal_id: str, principal: Caller) -> Document:
        _require_principal(workspace, principal_id, principal)
        return {"secrets": [_shown(s) for s in workspace.store.list("oauth_secret", parent=principal_id)]}

    @router.delete(path + "/{secret_id}")
    def delete(principal_id: str, secret_id: str, principal: Caller) -> Document:
        _require_principal(workspace, principal_id, principal)
        held = [document["key"] for document in workspace.store.list("oauth_secret", parent=principal_id)]
        if secret_id not in held:
            raise not_found(f"Secret {secret_id} of service principal {principal_id} does not exist.")
        workspace.store.delete("oauth_secret", secret_id)
        return {}


def _require_principal(workspace: Workspace, principal_id: str, principal: Principal) -> None:
    workspace.authorization.require_admin(principal, "manage the secrets of service principals")
    document = workspace.store.get("service_principal", principal_id)
    if document is None or document.get("hidden"):
        raise not_found(f"Service principal with id {principal_id} does not exist.")


def _lifetime(value: str | None) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", value or f"{MAX_LIFETIME}s")
    seconds = float(match[1]) if match else 0.0
    if not 0 < seconds <= MAX_LIFETIME:
        raise invalid(f"lifetime {value!r}: expected seconds such as '31536000s', at most {MAX_LIFETIME}s (730 days).")
    return seconds


def _shown(document: Document) -> Document:
    status = "ACTIVE" if document["expires"] > time.time() else "DISABLED"
    created = _timestamp(document["created"])
    # Clients tell secrets apart by this hash; it is one of a random value.
    answer = {"id": document["key"], "secret_hash": document["digest"], "status": status}
    return {**answer, "create_time": created, "update_time": created, "expire_time": _timestamp(document["expires"])}


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
