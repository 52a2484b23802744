"""Personal access tokens: one's own, and those that an administrator makes for service principals."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]
_KIND = "pat"
_LONGEST = 100 * 365 * 24 * 3600  # seconds; what a client can read as a date


def routes(workspace: Workspace) -> APIRouter:
    """/api/2.0/token and /api/2.0/token-management."""
    router = APIRouter(prefix="/api/2.0")
    _add_own(router, workspace)
    _add_management(router, workspace)
    return router


def _add_own(router: APIRouter, workspace: Workspace) -> None:
    @router.post("/token/create")
    def create(body: Body, principal: Caller) -> Document:
        return _issue(workspace, principal, principal, body)

    @router.get("/token/list")
    def listing(principal: Caller) -> Document:
        return {"token_infos": [_info(document) for document in _tokens(workspace, principal.id)]}

    @router.post("/token/delete")
    def delete(body: Body, principal: Caller) -> Document:
        _delete(workspace, str(required(body, "token_id")), _tokens(workspace, principal.id))
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
        return _issue(workspace, bearer, principal, body)

    @router.get("/token-management/tokens")
    def listing(principal: Caller) -> Document:
        access.require_admin(principal, "list the tokens of others")
        return {"token_infos": [_managed(document) for document in _tokens(workspace, None)]}

    @router.delete("/token-management/tokens/{token_id}")
    def delete(token_id: str, principal: Caller) -> Document:
        access.require_admin(principal, "revoke the tokens of others")
        _delete(workspace, token_id, _tokens(workspace, None))
        return {}


def _issue(workspace: Workspace, bearer: Principal, creator: Principal, body: Document) -> Document:
    seconds = body.get("lifetime_seconds")
    if seconds is not None and (not isinstance(seconds, (int, float)) or not 0 < seconds <= _LONGEST):
        raise invalid(f"lifetime_seconds {seconds!r}: expected a number of seconds above 0, at most {_LONGEST}.")
    more: Document = {"kind": _KIND, "token_id": uuid.uuid4().hex, "created": time.time(), "creator": creator.name}
    token = workspace.principals.issue_token(bearer.id, seconds, comment=str(body.get("comment") or ""), **more)
    info = next(found for found in _tokens(workspace, bearer.id) if found["token_id"] == more["token_id"])
    return {"token_value": token, "token_info": _info(info)}


def _tokens(workspace: Workspace, principal_id: str | None) -> list[Document]:
    return [token for token in workspace.store.list("token", parent=principal_id) if token.get("kind") == _KIND]


def _delete(workspace: Workspace, token_id: str, among: list[Document]) -> None:
    for document in among:
        if document["token_id"] == token_id:
            workspace.store.delete("token", document["key"])
            return
    raise not_found(f"Token with id {token_id} does not exist.")


def _info(document: Document) -> Document:
    expiry = -1 if document["expires"] is None else int(document["expires"] * 1000)
    answer = {"token_id": document["token_id"], "creation_time": int(document["created"] * 1000)}
    return {**answer, "expiry_time": expiry, "comment": document["comment"]}


def _managed(document: Document) -> Document:
    return {**_info(document), "owner_id": int(document["principal_id"]), "created_by_username": document["creator"]}
