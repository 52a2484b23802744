"""Routes of /_local: is it there, what was asked of it, faults to inject, how long things take, anybody's token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import whole
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.transitions import MODES

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]
_LONGEST_SECONDS = 24 * 3600  # that a transition may take


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the routes."""
    app.include_router(_health(workspace))
    guarded = Depends(_administrator(workspace))
    for routes in (_faults, _requests, _transitions, _tokens):
        app.include_router(routes(workspace, guarded))


def _administrator(workspace: Workspace) -> Any:
    def check(principal: Caller) -> None:
        workspace.authorization.require_admin(principal, "steer the local workspace")

    return check


def _health(workspace: Workspace) -> APIRouter:
    router = APIRouter(prefix="/_local")

    @router.get("/health")
    async def health() -> Document:
        return {"status": "ok", "workspace_id": workspace.workspace_id}

    return router


def _faults(workspace: Workspace, guarded: Any) -> APIRouter:
    router = APIRouter(prefix="/_local/faults", dependencies=[guarded])

    @router.get("")
    def listing() -> Document:
        return {"faults": workspace.faults.rules()}

    @router.post("")
    def add(body: Body) -> Document:
        return workspace.faults.add(body)

    @router.delete("")
    def clear() -> Document:
        return {"cleared": workspace.faults.clear()}

    @router.delete("/{rule_id}")
    def remove(rule_id: str) -> Document:
        if not workspace.faults.clear(rule_id):
            raise not_found(f"Fault {rule_id} does not exist.")
        return {"cleared": 1}

    return router


def _requests(workspace: Workspace, guarded: Any) -> APIRouter:
    router = APIRouter(prefix="/_local/requests", dependencies=[guarded])

    @router.get("")
    def listing(request: Request) -> Document:
        query = request.query_params
        since, method, path = whole(query, "since"), query.get("method", "*"), query.get("path", "*")
        return {"requests": workspace.recording.entries(since, method, path, query.get("caller"))}

    @router.delete("")
    def clear() -> Document:
        workspace.recording.clear()
        return {}

    return router


def _transitions(workspace: Workspace, guarded: Any) -> APIRouter:
    router, transitions = APIRouter(prefix="/_local/transitions", dependencies=[guarded]), workspace.transitions

    # In the event loop, all three: what waits there is woken there.
    @router.get("")
    async def get() -> Document:
        return {"mode": transitions.mode, "seconds": transitions.seconds, "waiting": transitions.waiting()}

    @router.put("")
    async def put(body: Body) -> Document:
        mode, seconds = body.get("mode"), body.get("seconds", 0)
        if mode not in MODES:
            raise invalid(f"mode {mode!r}: expected one of {', '.join(MODES)}.")
        if not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_SECONDS:
            raise invalid(f"seconds {seconds!r}: expected a number from 0 to {_LONGEST_SECONDS}.")
        transitions.set(mode, float(seconds))
        return await get()

    @router.post("/step")
    async def step(body: Body) -> Document:
        return {"stepped": transitions.step(str(body.get("what") or "*"))}

    return router


def _tokens(workspace: Workspace, guarded: Any) -> APIRouter:
    router = APIRouter(prefix="/_local/tokens", dependencies=[guarded])

    @router.post("")
    def issue(body: Body) -> Document:
        # Users sign in with a browser on the platform; here there is none, and no password either.
        name = str(required(body, "principal"))
        principal = workspace.principals.by_name(name)
        if principal is None:
            raise not_found(f"There is no user nor service principal {name!r}.")
        return {"token_value": workspace.principals.issue_token(principal.id, comment="issued by /_local/tokens")}

    return router
