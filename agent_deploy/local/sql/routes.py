"""Routes of SQL warehouses: /api/2.0/sql/warehouses and /api/2.0/preview/sql/data_sources."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.body import json_body
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.sql.warehouses import RUNNING, STARTING, STOPPED, STOPPING, TYPE, Warehouses
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]


def install(app: FastAPI, access: Authorization, warehouses: Warehouses) -> None:
    """Add the routes."""
    app.include_router(_routes(warehouses, access))


def _routes(warehouses: Warehouses, access: Authorization) -> APIRouter:
    router = APIRouter(prefix="/api/2.0")

    def sees(principal: Principal, warehouse_id: str) -> bool:
        return bool(access.object_levels(principal, TYPE, warehouse_id))

    # Those that start or stop something run in the event loop, where its arrival is awaited.
    @router.post("/sql/warehouses")
    async def create(body: Body, principal: Caller) -> Document:
        return {"id": warehouses.create(body, principal)["id"]}

    @router.get("/sql/warehouses")
    def listing(principal: Caller) -> Document:
        return {"warehouses": [found for found in warehouses.list() if sees(principal, found["id"])]}

    @router.get("/sql/warehouses/{warehouse_id}")
    def get(warehouse_id: str, principal: Caller) -> Document:
        found = warehouses.get(warehouse_id)
        if not sees(principal, warehouse_id):
            access.require_object(principal, TYPE, warehouse_id, "CAN_VIEW")
        return found

    @router.post("/sql/warehouses/{warehouse_id}/edit")
    def edit(warehouse_id: str, body: Body, principal: Caller) -> Document:
        access.require_object(principal, TYPE, warehouse_id, CAN_MANAGE)
        warehouses.edit(warehouse_id, body)
        return {}

    @router.post("/sql/warehouses/{warehouse_id}/start")
    async def start(warehouse_id: str, principal: Caller) -> Document:
        access.require_object(principal, TYPE, warehouse_id, "CAN_USE")
        warehouses.move(warehouse_id, STARTING, RUNNING)
        return {}

    @router.post("/sql/warehouses/{warehouse_id}/stop")
    async def stop(warehouse_id: str, principal: Caller) -> Document:
        access.require_object(principal, TYPE, warehouse_id, CAN_MANAGE)
        warehouses.move(warehouse_id, STOPPING, STOPPED)
        return {}

    @router.delete("/sql/warehouses/{warehouse_id}")
    def delete(warehouse_id: str, principal: Caller) -> Document:
        access.require_object(principal, TYPE, warehouse_id, CAN_MANAGE)
        warehouses.delete(warehouse_id)
        return {}

    @router.get("/preview/sql/data_sources")
    def data_sources(principal: Caller) -> list[Document]:
        return [found for found in warehouses.data_sources() if sees(principal, found["warehouse_id"])]

    return router
