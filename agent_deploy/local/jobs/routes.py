"""Routes of jobs: create, get, list, reset, update, delete, run; and of their runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import whole
from agent_deploy.local.core.shapes import ID, TEXTS
from agent_deploy.local.core.store import Document, Documents
from agent_deploy.local.jobs.jobs import TYPE, Jobs
from agent_deploy.local.jobs.runs import PENDING, RUNNING, Runs
from agent_deploy.local.jobs.scheduler import Scheduler
from agent_deploy.local.jobs.settings import SHAPE
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {**SHAPE, "new_settings": SHAPE, "fields_to_remove": TEXTS, "job_id": ID, "run_id": ID}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]

# All versions answer alike here: what differs on the platform is the paging of tasks.
VERSIONS = ("2.0", "2.1", "2.2")
_PAGE, _LARGEST_PAGE = 20, 100  # Databricks, "List jobs"


def install(app: FastAPI, workspace: Workspace, jobs: Jobs, runs: Runs, scheduler: Scheduler) -> None:
    """Add the routes."""
    for version in VERSIONS:
        app.include_router(_routes(jobs, scheduler, workspace, version))
        app.include_router(_run_routes(jobs, runs, workspace, version))


def _routes(jobs: Jobs, scheduler: Scheduler, workspace: Workspace, version: str) -> APIRouter:
    router, access = APIRouter(prefix=f"/api/{version}/jobs"), workspace.authorization

    def reached(job_id: object, principal: Principal, level: str) -> Document:
        document = jobs.get(job_id)
        access.require_object(principal, TYPE, str(job_id), level)
        return document

    @router.post("/create")
    def create(body: Body, principal: Caller) -> Document:
        settings = {name: value for name, value in body.items() if name != "access_control_list"}
        job_id = int(jobs.create(settings, principal))
        scheduler.changed()
        return {"job_id": job_id}

    @router.get("/get")
    def get(job_id: str, principal: Caller) -> Document:
        return reached(job_id, principal, "CAN_VIEW")

    @router.get("/list")
    def listing(request: Request, principal: Caller) -> Document:
        query = request.query_params
        found = [j for j in jobs.list() if access.allows_object(principal, TYPE, str(j["job_id"]), "CAN_VIEW")]
        if name := query.get("name"):
            found = [job for job in found if str(job["settings"].get("name", "")).lower() == name.lower()]
        return _page("jobs", found, request)

    @router.post("/reset")
    def reset(body: Body, principal: Caller) -> Document:
        reached(required(body, "job_id"), principal, CAN_MANAGE)
        jobs.change(body["job_id"], required(body, "new_settings"), principal)
        scheduler.changed()
        return {}

    @router.post("/update")
    def update(body: Body, principal: Caller) -> Document:
        held = reached(required(body, "job_id"), principal, CAN_MANAGE)["settings"]
        gone = body.get("fields_to_remove") or []
        kept = {name: value for name, value in held.items() if name not in gone}
        jobs.change(body["job_id"], {**kept, **(body.get("new_settings") or {})}, principal)
        scheduler.changed()
        return {}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        reached(required(body, "job_id"), principal, CAN_MANAGE)
        jobs.delete(body["job_id"])
        return {}

    return router


def _run_routes(jobs: Jobs, runs: Runs, workspace: Workspace, version: str) -> APIRouter:
    router, access = APIRouter(prefix=f"/api/{version}/jobs"), workspace.authorization

    def reached(run_id: object, principal: Principal, level: str) -> Document:
        run = runs.get(run_id)
        # Whoever may see the job may see its runs; of a deleted job, only admins.
        if workspace.store.get("job", str(run["job_id"])) is None:
            access.require_admin(principal, "see runs of a deleted job")
        else:
            access.require_object(principal, TYPE, str(run["job_id"]), level)
        return run

    @router.post("/run-now")
    def run_now(body: Body, principal: Caller) -> Document:
        job = jobs.get(required(body, "job_id"))
        access.require_object(principal, TYPE, str(job["job_id"]), "CAN_MANAGE_RUN")
        run = runs.start(job, "ONE_TIME")
        return {"run_id": run["run_id"], "number_in_job": run["number_in_job"]}

    @router.get("/runs/get")
    def get(run_id: str, principal: Caller) -> Document:
        return reached(run_id, principal, "CAN_VIEW")

    @router.get("/runs/get-output")
    def output(run_id: str, principal: Caller) -> Document:
        run = reached(run_id, principal, "CAN_VIEW")
        message = run["state"].get("state_message") or ""
        return {"metadata": run, **({"error": message} if message else {})}

    @router.get("/runs/list")
    def listing(request: Request, principal: Caller) -> Document:
        query = request.query_params
        found = runs.list(query.get("job_id"))
        found = [r for r in found if access.allows_object(principal, TYPE, str(r["job_id"]), "CAN_VIEW")]
        if query.get("active_only") == "true":
            found = [run for run in found if run["state"]["life_cycle_state"] in (PENDING, RUNNING)]
        if query.get("completed_only") == "true":
            found = [run for run in found if run["state"]["life_cycle_state"] not in (PENDING, RUNNING)]
        return _page("runs", found, request)

    @router.post("/runs/cancel")
    def cancel(body: Body, principal: Caller) -> Document:
        run = reached(required(body, "run_id"), principal, "CAN_MANAGE_RUN")
        runs.cancel(run["run_id"])
        return {}

    return router


def _page(key: str, found: Documents, request: Request) -> Document:
    query = request.query_params
    size = min(whole(query, "limit") or _PAGE, _LARGEST_PAGE)
    first = whole(query, "page_token") or whole(query, "offset")
    more = first + size < len(found)
    answer: Document = {key: found[first : first + size], "has_more": more}
    return {**answer, "next_page_token": str(first + size)} if more else answer
