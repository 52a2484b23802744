"""Routes of grants: /permissions and /effective-permissions of a securable."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from agent_deploy.local.catalog.grants import assignments, checked_change, effective_assignments, securable_named
from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT, TEXTS
from agent_deploy.local.core.store import Document

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"changes": [{"principal": TEXT, "add": TEXTS, "remove": TEXTS}]}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def routes(workspace: Workspace, metastore: Metastore) -> APIRouter:
    """/permissions/{type}/{full_name} and /effective-permissions/{type}/{full_name}."""
    router = APIRouter(prefix="/api/2.1/unity-catalog")
    access = workspace.authorization

    @router.get("/permissions/{securable_type}/{full_name}")
    def get(securable_type: str, full_name: str, request: Request, principal: Caller) -> Document:
        securable = securable_named(metastore, securable_type, full_name)
        access.require(principal, "BROWSE", securable.type, securable.name)
        return {"privilege_assignments": assignments(workspace, securable, request.query_params.get("principal"))}

    @router.patch("/permissions/{securable_type}/{full_name}")
    def change(securable_type: str, full_name: str, body: Body, principal: Caller) -> Document:
        securable = securable_named(metastore, securable_type, full_name)
        access.require(principal, "MANAGE", securable.type, securable.name)
        changes = [checked_change(workspace, securable, entry) for entry in body.get("changes") or []]
        for name, add, remove in changes:
            access.change_grants(securable.type, securable.name, name, add, remove)
        return {"privilege_assignments": assignments(workspace, securable, None)}

    @router.get("/effective-permissions/{securable_type}/{full_name}")
    def effective(securable_type: str, full_name: str, request: Request, principal: Caller) -> Document:
        securable = securable_named(metastore, securable_type, full_name)
        access.require(principal, "BROWSE", securable.type, securable.name)
        return {
            "privilege_assignments": effective_assignments(workspace, securable, request.query_params.get("principal"))
        }

    return router
