"""Routes of pipelines: create, get, list, edit, delete; their updates and events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.catalog.paging import asked_page
from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import OBJECTS
from agent_deploy.local.core.store import Document
from agent_deploy.local.pipelines.pipelines import TYPE, Pipelines
from agent_deploy.local.pipelines.updates import Updates
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"clusters": OBJECTS, "libraries": OBJECTS}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]
_SHOWN = ("pipeline_id", "name", "state", "health", "creator_user_name", "run_as_user_name")


def install(app: FastAPI, workspace: Workspace, pipelines: Pipelines, updates: Updates) -> None:
    """Add the routes."""
    access = workspace.authorization

    def reached(pipeline_id: str, principal: Principal, level: str) -> Document:
        document = pipelines.get(pipeline_id)
        access.require_object(principal, TYPE, pipeline_id, level)
        return document

    app.include_router(_objects(pipelines, updates, reached, workspace))
    app.include_router(_updates(updates, reached))


def _objects(pipelines: Pipelines, updates: Updates, reached: Any, workspace: Workspace) -> APIRouter:
    router, access = APIRouter(prefix="/api/2.0/pipelines"), workspace.authorization

    @router.post("")
    def create(body: Body, principal: Caller) -> Document:
        if body.get("dry_run"):
            return {"effective_settings": pipelines.checked(body, principal, None)}
        document = pipelines.create(body, principal)
        updates.keep_running(document)
        return {"pipeline_id": document["pipeline_id"]}

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        found = [p for p in pipelines.list() if access.allows_object(principal, TYPE, p["pipeline_id"], "CAN_VIEW")]
        statuses = [{name: pipeline[name] for name in _SHOWN} for pipeline in found]
        return asked_page("statuses", statuses, request.query_params)

    @router.get("/{pipeline_id}")
    def get(pipeline_id: str, principal: Caller) -> Document:
        return {**reached(pipeline_id, principal, "CAN_VIEW"), "latest_updates": updates.latest(pipeline_id)}

    @router.put("/{pipeline_id}")
    def edit(pipeline_id: str, body: Body, principal: Caller) -> Document:
        reached(pipeline_id, principal, CAN_MANAGE)
        pipelines.change(pipeline_id, body, principal)
        updates.keep_running(pipelines.get(pipeline_id))
        return {}

    @router.delete("/{pipeline_id}")
    def delete(pipeline_id: str, request: Request, principal: Caller) -> Document:
        reached(pipeline_id, principal, CAN_MANAGE)
        updates.stop(pipeline_id)
        pipelines.delete(pipeline_id, request.query_params.get("cascade", "true").lower() != "false")
        return {}

    return router


def _updates(updates: Updates, reached: Any) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/pipelines")

    @router.post("/{pipeline_id}/updates")
    def start(pipeline_id: str, body: Body, principal: Caller) -> Document:
        document = reached(pipeline_id, principal, "CAN_RUN")
        return {"update_id": updates.start(document, str(body.get("cause") or "API_CALL"))}

    @router.get("/{pipeline_id}/updates")
    def listing(pipeline_id: str, request: Request, principal: Caller) -> Document:
        reached(pipeline_id, principal, "CAN_VIEW")
        return asked_page("updates", updates.list(pipeline_id), request.query_params)

    @router.get("/{pipeline_id}/updates/{update_id}")
    def get(pipeline_id: str, update_id: str, principal: Caller) -> Document:
        reached(pipeline_id, principal, "CAN_VIEW")
        return {"update": updates.get(pipeline_id, update_id)}

    @router.get("/{pipeline_id}/events")
    def events(pipeline_id: str, request: Request, principal: Caller) -> Document:
        reached(pipeline_id, principal, "CAN_VIEW")
        return asked_page("events", updates.events(pipeline_id), request.query_params)

    @router.post("/{pipeline_id}/stop")
    def stop(pipeline_id: str, principal: Caller) -> Document:
        reached(pipeline_id, principal, "CAN_RUN")
        updates.stop(pipeline_id)
        return {}

    return router
