"""Route of requests through a connection: /api/2.0/external-function. The catalog has the connections themselves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the route."""
    router = APIRouter(prefix="/api/2.0")

    @router.post("/external-function")
    def send(body: Body, principal: Caller) -> None:
        name = str(required(body, "connection_name"))
        workspace.authorization.require(principal, "USE_CONNECTION", "connection", name)
        message = (
            f"{principal.name} may use connection '{name}', but the local workspace sends nothing to other systems."
        )
        raise ApiError(
            501, "NOT_IMPLEMENTED", f"{message} Ask it on Databricks, or stand in for the system in your test."
        )

    app.include_router(router)
