"""Routes of pipelines: create, get, list, edit, delete."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.catalog.paging import page
from agent_deploy.local.core.body import json_body
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import already_exists, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]

TYPE = "pipelines"  # in the permissions API
IDLE = "IDLE"
_NOT_IN_SPEC = ("allow_duplicate_names", "dry_run", "run_as", "expected_last_modified")


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the routes; ``workspace.services["pipelines"]`` is `Pipelines`."""
    pipelines = workspace.services["pipelines"] = Pipelines(workspace)
    app.include_router(_routes(pipelines, workspace))


class Pipelines:
    """Document ``pipeline`` by id, with its spec as it was given."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def create(self, body: Document, principal: Principal) -> Document:
        """A new pipeline; raises 400 for a name that is missing or taken."""
        spec = self._spec(body, None)
        pipeline_id, now = str(uuid.uuid4()), int(time.time() * 1000)
        document = {"pipeline_id": pipeline_id, "name": spec["name"], "spec": {"id": pipeline_id, **spec}}
        document |= {"state": IDLE, "creator_user_name": principal.name, "run_as_user_name": principal.name}
        self._store.put("pipeline", pipeline_id, {**document, "last_modified": now, "health": "HEALTHY"})
        self._workspace.authorization.register_object(TYPE, pipeline_id, principal, spec["name"])
        return self.get(pipeline_id)

    def get(self, pipeline_id: str) -> Document:
        """Raises 404."""
        document = self._store.get("pipeline", pipeline_id)
        if document is None:
            raise not_found(f"The specified pipeline {pipeline_id} was not found.")
        return document

    def list(self) -> list[Document]:
        """In the order of their creation."""
        return self._store.list("pipeline")

    def change(self, pipeline_id: str, body: Document) -> None:
        """Replace the spec."""
        spec = self._spec(body, pipeline_id)
        changed = {"name": spec["name"], "spec": {**spec, "id": pipeline_id}, "last_modified": int(time.time() * 1000)}
        self._store.put("pipeline", pipeline_id, {**self.get(pipeline_id), **changed})

    def delete(self, pipeline_id: str) -> None:
        """With its ACL; the tables that it made stay."""
        self.get(pipeline_id)
        self._store.delete("pipeline", pipeline_id)
        self._workspace.authorization.forget_object(TYPE, pipeline_id)

    def _spec(self, body: Document, own: str | None) -> Document:
        spec = {name: value for name, value in body.items() if name not in _NOT_IN_SPEC}
        if not spec.get("name"):
            raise invalid("name: a pipeline needs one.")
        taken = (p for p in self._store.list("pipeline") if p["name"] == spec["name"] and p["pipeline_id"] != own)
        if next(taken, None) is not None and not body.get("allow_duplicate_names"):
            raise already_exists(f"The pipeline name '{spec['name']}' is already used by another pipeline.")
        return spec


def _routes(pipelines: Pipelines, workspace: Workspace) -> APIRouter:
    router, access = APIRouter(prefix="/api/2.0/pipelines"), workspace.authorization

    def reached(pipeline_id: str, principal: Principal, level: str) -> Document:
        document = pipelines.get(pipeline_id)
        access.require_object(principal, TYPE, pipeline_id, level)
        return document

    @router.post("")
    def create(body: Body, principal: Caller) -> Document:
        return {"pipeline_id": pipelines.create(body, principal)["pipeline_id"]}

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        query, names = request.query_params, ("pipeline_id", "name", "state", "creator_user_name", "run_as_user_name")
        found = [p for p in pipelines.list() if access.allows_object(principal, TYPE, p["pipeline_id"], "CAN_VIEW")]
        statuses = [{name: pipeline[name] for name in names} for pipeline in found]
        return page("statuses", statuses, int(query.get("max_results") or 0), query.get("page_token", ""))

    @router.get("/{pipeline_id}")
    def get(pipeline_id: str, principal: Caller) -> Document:
        return reached(pipeline_id, principal, "CAN_VIEW")

    @router.put("/{pipeline_id}")
    def edit(pipeline_id: str, body: Body, principal: Caller) -> Document:
        reached(pipeline_id, principal, CAN_MANAGE)
        pipelines.change(pipeline_id, body)
        return {}

    @router.delete("/{pipeline_id}")
    def delete(pipeline_id: str, principal: Caller) -> Document:
        reached(pipeline_id, principal, CAN_MANAGE)
        pipelines.delete(pipeline_id)
        return {}

    return router
