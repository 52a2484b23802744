"""What reviewers of an agent are shown, by model: deprecated by the platform, still asked for by its client."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_deploy.local.agents.register import Register
from agent_deploy.local.core.body import json_body
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import forbidden
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[Document, Depends(json_body)]

_NOTES = "agent_review"


def routes(workspace: Workspace, register: Register) -> APIRouter:
    """/{model}/artifacts and /{model}/instructions."""
    router = APIRouter()
    for field in ("artifacts", "instructions"):
        _add(router, workspace, register, field)
    return router


def _add(router: APIRouter, workspace: Workspace, register: Register, field: str) -> None:
    store = workspace.store

    @router.post(f"/{{model}}/{field}")
    async def put(model: str, body: Body, principal: Caller) -> Any:
        _require_writer(workspace, register, principal, model)
        document = store.get(_NOTES, model) or {}
        store.put(_NOTES, model, {**document, field: body.get(field)})
        return {}

    @router.get(f"/{{model}}/{field}")
    async def get(model: str, principal: Caller) -> Any:
        hidden = register.records(model) and not register.visible(principal, model)
        note = (store.get(_NOTES, model) or {}).get(field)
        return {field: note} if note and not hidden else {}


def _require_writer(workspace: Workspace, register: Register, principal: Principal, model: str) -> None:
    """All endpoints of the model show the same notes: who changes them manages each; without any, the model."""
    if records := register.records(model):
        register.require(principal, records)
    elif lacking := workspace.authorization.missing(principal, "MANAGE", "function", model):
        raise forbidden(f"No version of '{model}' is deployed, and user {principal.name} does not have {lacking[-1]}.")
