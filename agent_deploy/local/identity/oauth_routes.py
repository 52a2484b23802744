"""Routes of OAuth for machines: discovery, tokens for client credentials, secrets of service principals."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import TOKEN_SECONDS, Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.vault import Vault
from agent_deploy.local.identity.oauth import (
    CLIENT,
    EXCHANGE,
    Refusal,
    account_id,
    grantee,
    issued,
    lifetime_seconds,
    require_principal,
    shown,
)
from agent_deploy.rules.credentials import MAX_SECRETS

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
        answer = {"oidc_endpoint": f"{workspace.host}/oidc", "account_id": account_id(workspace), "cloud": "AWS"}
        return {**answer, "workspace_id": workspace.workspace_id, "host_type": "workspace"}

    @router.get("/oidc/.well-known/oauth-authorization-server")
    @router.get("/oidc/.well-known/openid-configuration")
    def authorization_server() -> Document:
        oidc = f"{workspace.host}/oidc"
        return {
            "issuer": oidc,
            "authorization_endpoint": f"{oidc}/v1/authorize",
            "token_endpoint": f"{oidc}/v1/token",
            "grant_types_supported": [CLIENT, EXCHANGE],
            "scopes_supported": ["all-apis"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }


def _add_token(router: APIRouter, workspace: Workspace) -> None:
    @router.post("/oidc/v1/token")
    async def token(request: Request) -> JSONResponse:
        try:
            sent = parse_qs((await request.body()).decode())
        except ValueError as error:
            return _refused(400, "invalid_request", f"the body is not a form in UTF-8: {error}")
        form = {name: values[0] for name, values in sent.items()}
        try:
            principal = grantee(workspace, request.headers.get("authorization", ""), form)
            value = issued(workspace, principal, form)
        except Refusal as refusal:
            return _refused(refusal.status, refusal.error, str(refusal))
        scope = form.get("scope") or "all-apis"
        return JSONResponse(
            {"access_token": value, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": scope},
            headers={"cache-control": "no-store"},
        )


def _refused(status: int, error: str, description: str) -> JSONResponse:
    # RFC 6749, section 5.2.
    return JSONResponse({"error": error, "error_description": description}, status)


def _add_secrets(router: APIRouter, workspace: Workspace) -> None:
    path = "/api/2.0/accounts/servicePrincipals/{principal_id}/credentials/secrets"

    @router.post(path)
    def create(principal_id: str, body: Body, principal: Caller) -> Document:
        require_principal(workspace, principal_id, principal)
        held = workspace.store.list("oauth_secret", parent=principal_id)
        if len(held) >= MAX_SECRETS:
            message = (
                f"Service principal {principal_id} has {MAX_SECRETS} secrets, the most it may have: delete one first."
            )
            raise ApiError(400, "QUOTA_EXCEEDED", message)
        seconds, now, secret = lifetime_seconds(body.get("lifetime")), time.time(), f"dose{secrets.token_hex(16)}"
        key = str(uuid.uuid4())
        document = {"key": key, "digest": Vault.digest(secret), "created": now, "expires": now + seconds}
        workspace.store.put("oauth_secret", key, document, parent=principal_id)
        return {**shown(document), "secret": secret}

    @router.get(path)
    def listing(principal_id: str, principal: Caller) -> Document:
        require_principal(workspace, principal_id, principal)
        return {"secrets": [shown(s) for s in workspace.store.list("oauth_secret", parent=principal_id)]}

    @router.delete(path + "/{secret_id}")
    def delete(principal_id: str, secret_id: str, principal: Caller) -> Document:
        require_principal(workspace, principal_id, principal)
        held = [document["key"] for document in workspace.store.list("oauth_secret", parent=principal_id)]
        if secret_id not in held:
            raise not_found(f"Secret {secret_id} of service principal {principal_id} does not exist.")
        workspace.store.delete("oauth_secret", secret_id)
        return {}
