"""Routes of jobs: create, get, list, reset, update, delete."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]

TYPE = "jobs"  # in the permissions API
# All versions answer alike here: what differs on the platform is the paging of tasks.
VERSIONS = ("2.0", "2.1", "2.2")
_PAGE, _LARGEST_PAGE = 20, 100  # Databricks, "List jobs"


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the routes; ``workspace.services["jobs"]`` is `Jobs`."""
    jobs = workspace.services["jobs"] = Jobs(workspace)
    for version in VERSIONS:
        app.include_router(_routes(jobs, workspace, version))


class Jobs:
    """Document ``job`` by id, with its settings as they were given."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def create(self, settings: Document, principal: Principal) -> str:
        """Its id; raises 400 for a job without a name or tasks of one key."""
        _check(settings)
        job_id = str(self._store.next_number("job", 1000))
        document = {"job_id": int(job_id), "creator_user_name": principal.name, "settings": settings}
        document |= {"created_time": int(time.time() * 1000), "run_as_user_name": principal.name}
        self._store.put("job", job_id, document)
        self._workspace.authorization.register_object(TYPE, job_id, principal, str(settings.get("name") or job_id))
        return job_id

    def get(self, job_id: object) -> Document:
        """Raises the platform's 400 when there is none: clients know it as gone by its words."""
        document = self._store.get("job", str(job_id))
        if document is None:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")
        return document

    def list(self) -> list[Document]:
        """Newest first."""
        return list(reversed(self._store.list("job")))

    def change(self, job_id: object, settings: Document) -> None:
        """Replace the settings."""
        _check(settings)
        self._store.put("job", str(job_id), {**self.get(job_id), "settings": settings})

    def delete(self, job_id: object) -> None:
        """With its ACL."""
        self.get(job_id)
        self._store.delete("job", str(job_id))
        self._workspace.authorization.forget_object(TYPE, str(job_id))


def _check(settings: Document) -> None:
    keys = [task.get("task_key") for task in settings.get("tasks") or []]
    if None in keys or len(set(keys)) != len(keys):
        raise invalid("tasks: each needs a task_key of its own.")


def _routes(jobs: Jobs, workspace: Workspace, version: str) -> APIRouter:
    router, access = APIRouter(prefix=f"/api/{version}/jobs"), workspace.authorization

    def reached(job_id: object, principal: Principal, level: str) -> Document:
        document = jobs.get(job_id)
        access.require_object(principal, TYPE, str(job_id), level)
        return document

    @router.post("/create")
    def create(body: Body, principal: Caller) -> Document:
        settings = {name: value for name, value in body.items() if name != "access_control_list"}
        return {"job_id": int(jobs.create(settings, principal))}

    @router.get("/get")
    def get(job_id: str, principal: Caller) -> Document:
        return reached(job_id, principal, "CAN_VIEW")

    @router.get("/list")
    def listing(request: Request, principal: Caller) -> Document:
        query = request.query_params
        size = min(int(query.get("limit") or _PAGE), _LARGEST_PAGE)
        first = int(query.get("page_token") or query.get("offset") or 0)
        found = [j for j in jobs.list() if access.allows_object(principal, TYPE, str(j["job_id"]), "CAN_VIEW")]
        if name := query.get("name"):
            found = [job for job in found if str(job["settings"].get("name", "")).lower() == name.lower()]
        more = first + size < len(found)
        answer: Document = {"jobs": found[first : first + size], "has_more": more}
        return {**answer, "next_page_token": str(first + size)} if more else answer

    @router.post("/reset")
    def reset(body: Body, principal: Caller) -> Document:
        reached(required(body, "job_id"), principal, CAN_MANAGE)
        jobs.change(body["job_id"], dict(required(body, "new_settings")))
        return {}

    @router.post("/update")
    def update(body: Body, principal: Caller) -> Document:
        held = reached(required(body, "job_id"), principal, CAN_MANAGE)["settings"]
        gone = body.get("fields_to_remove") or []
        kept = {name: value for name, value in held.items() if name not in gone}
        jobs.change(body["job_id"], {**kept, **(body.get("new_settings") or {})})
        return {}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        reached(required(body, "job_id"), principal, CAN_MANAGE)
        jobs.delete(body["job_id"])
        return {}

    return router
