"""Routes of personal access tokens: one's own, and those that an administrator makes for service principals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.identity.tokens import delete_token, issue, shown, shown_to_admin, tokens_of

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]


def routes(workspace: Workspace) -> APIRouter:
    """/api/2.0/token and /api/2.0/token-management."""
    router = APIRouter(prefix="/api/2.0")
    _add_own(router, workspace)
    _add_management(router, workspace)
    return router


def _add_own(router: APIRouter, workspace: Workspace) -> None:
    @router.post("/token/create")
    def create(body: Body, principal: Caller) -> Document:
        return issue(workspace, principal, principal, body)

    @router.get("/token/list")
    def listing(principal: Caller) -> Document:
        return {"token_infos": [shown(document) for document in tokens_of(workspace, principal.id)]}

    @router.post("/token/delete")
    def delete(body: Body, principal: Caller) -> Document:
        delete_token(workspace, str(required(body, "token_id")), tokens_of(workspace, principal.id))
        return {}


def _add_management(router: APIRouter, workspace: Workspace) -> None:
    access = workspace.authorization

    @router.post("/token-management/on-behalf-of/tokens")
    def create(body: Body, principal: Caller) -> Document:
        access.require_admin(principal, "create tokens on behalf of others")
        bearer = workspace.principals.by_name(str(required(body, "application_id")))
        is_platforms = bearer is not None and bearer.name in workspace.principals.hidden_names()
        if bearer is None or bearer.kind != "service_principal" or is_platforms:
            raise not_found(f"Service principal with application id {body['application_id']} does not exist.")
        return issue(workspace, bearer, principal, body)

    @router.get("/token-management/tokens")
    def listing(principal: Caller) -> Document:
        access.require_admin(principal, "list the tokens of others")
        return {"token_infos": [shown_to_admin(document) for document in tokens_of(workspace, None)]}

    @router.delete("/token-management/tokens/{token_id}")
    def delete(token_id: str, principal: Caller) -> Document:
        access.require_admin(principal, "revoke the tokens of others")
        delete_token(workspace, token_id, tokens_of(workspace, None))
        return {}
