"""Routes of /api/2.0/permissions/{type}/{id}; types have one or two parts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.permissions.lists import Lists, levels
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
_ENTRY_FIELDS = ("user_name", "group_name", "service_principal_name", "permission_level")
_SHAPE = {"access_control_list": [dict.fromkeys(_ENTRY_FIELDS, TEXT)]}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def install(app: FastAPI, lists: Lists) -> None:
    """Add the routes; other APIs register their objects with ``workspace.authorization.register_object``."""
    router = APIRouter(prefix="/api/2.0/permissions")

    @router.get("/{path:path}/permissionLevels")
    def permission_levels(path: str) -> Document:
        kind, _ = lists.locate(path, "/permissionLevels")
        return levels(kind)

    @router.get("/{path:path}")
    def get(path: str, principal: Caller) -> Document:
        kind, object_id = lists.locate(path)
        lists.require(principal, kind, object_id)
        return lists.shown(kind, object_id)

    @router.put("/{path:path}")
    def replace(path: str, body: Body, principal: Caller) -> Document:
        kind, object_id = lists.locate(path)
        lists.require(principal, kind, object_id, CAN_MANAGE)
        lists.replace(kind, object_id, body)
        return lists.shown(kind, object_id)

    @router.patch("/{path:path}")
    def update(path: str, body: Body, principal: Caller) -> Document:
        kind, object_id = lists.locate(path)
        lists.require(principal, kind, object_id, CAN_MANAGE)
        lists.update(kind, object_id, body)
        return lists.shown(kind, object_id)

    app.include_router(router)
