"""Routes of MLflow's tracking API: checked, then passed on to MLflow's own server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response

from agent_deploy.local.core.body import json_body
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError, forbidden, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.files.storage import Files
from agent_deploy.local.tracking import artifact_routes, scorer_routes
from agent_deploy.local.tracking.access import READ, check_path, level, subjects
from agent_deploy.local.tracking.experiments import Experiments
from agent_deploy.local.tracking.scorers import Scorers
from agent_deploy.local.tracking.server import MlflowServer
from agent_deploy.local.tracking.spans import Spans

if TYPE_CHECKING:
    import httpx

Caller = Annotated[Principal, Depends(caller)]

# What MLflow's server does for Databricks' clients; the registry is Unity Catalog's, all else is refused with 501.
# Datasets and scorers, too: Databricks has them in another API (managed-evals), and their ids tell no experiment.
_PASSED_ON = ("experiments", "runs", "metrics", "traces", "logged-models")
_IN_CATALOG = "Models are registered in Unity Catalog: set MLFLOW_REGISTRY_URI to databricks-uc."
_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
_TRACES, _TRACE_SEARCHES = "traces", ("traces", "traces/search")
_SEARCH, _EXPERIMENT_LISTS = "/api/2.0/mlflow/experiments/search", ("experiments/search", "experiments/list")
_NAMES_NO_EXPERIMENT = (*_EXPERIMENT_LISTS, "experiments/get-by-name")
_EXPERIMENTS_PAGE = 1000  # MLflow's own default
# Where MLflow's server puts logged models and traces below an experiment, and where Databricks does.
_MODEL_URI = re.compile(rb"(dbfs:/databricks/mlflow-tracking/\d+)/models/(m-[0-9a-f]+)/")
_TRACE_URI = re.compile(rb"(dbfs:/databricks/mlflow-tracking/\d+)/traces/(tr-[0-9A-Za-z-]+)/")


def install(app: FastAPI, workspace: Workspace, server: MlflowServer, experiments: Experiments, files: Files) -> None:
    """Add the routes."""
    app.include_router(artifact_routes.routes(experiments, files))
    app.include_router(scorer_routes.routes(Scorers(workspace, server), experiments))
    app.include_router(_routes(Proxy(server, experiments, Spans(workspace, server))))


def _routes(proxy: Proxy) -> APIRouter:
    router = APIRouter()

    @router.api_route("/api/4.0/mlflow/{path:path}", methods=_METHODS)
    @router.api_route("/api/5.0/mlflow/{path:path}", methods=_METHODS)
    def traces_in_tables(path: str) -> Response:
        # Traces are in experiments here, not in tables of the catalog; on this answer clients turn to API 3.0.
        raise ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for 'mlflow/{path}': traces are kept in experiments.")

    @router.api_route("/api/2.0/mlflow/{path:path}", methods=_METHODS)
    @router.api_route("/api/3.0/mlflow/{path:path}", methods=_METHODS)
    async def passed_on(request: Request, path: str, principal: Caller) -> Response:
        if path.split("/", 1)[0] not in _PASSED_ON:
            in_registry = path.startswith(("registered-models", "model-versions"))
            raise not_here(request, _IN_CATALOG if in_registry else "")
        return await proxy.answer(request, path, principal)

    return router


class Proxy:
    """Checks the caller's level on every experiment that a request is about."""

    def __init__(self, server: MlflowServer, experiments: Experiments, spans: Spans) -> None:
        self._server = server
        self._experiments = experiments
        self._spans = spans

    async def answer(self, request: Request, path: str, principal: Principal) -> Response:
        """MLflow's answer, as Databricks would word it."""
        check_path(path)
        content, body = await request.body(), await json_body(request)
        creating = path == "experiments/create"
        target, method, query = request.url.path, request.method, request.query_params.multi_items()
        if path in _EXPERIMENT_LISTS:
            # MLflow's server wants a number there, and knows the older list no longer.
            target, method, body = _SEARCH, "POST", {"max_results": _EXPERIMENTS_PAGE, **dict(query), **body}
            content, query = json.dumps(body).encode(), []
        if creating:
            body = await to_thread.run_sync(self._experiments.creation, principal, body)
            content = json.dumps(body).encode()
        else:
            await to_thread.run_sync(self._check, principal, request, path, body)
            if path in _TRACE_SEARCHES:
                await to_thread.run_sync(self._prepare_search, request, path, body)
        if not self._server.running:
            await to_thread.run_sync(self._server.start)
        response = await self._server.forward(
            method,
            quote(target),  # it came decoded, and what it names is to stay what was checked
            params=query,
            content=content,
            headers={"Content-Type": request.headers.get("content-type", "application/json")},
        )
        if creating and response.status_code == 200:
            await to_thread.run_sync(
                self._experiments.created, principal, response.json()["experiment_id"], body["name"]
            )
        if response.status_code in (404, 405) and b"error_code" not in response.content:
            raise not_here(request)
        return self._reworded(response, path, principal)

    def _prepare_search(self, request: Request, path: str, body: Any) -> None:
        query = request.query_params
        named = subjects(path, query.multi_items(), body)
        asked = body.get("filter") or query.get("filter")
        self._spans.prepare(asked, {key for kind, key in named if kind == "experiment"})

    def _check(self, principal: Principal, request: Request, path: str, body: Any) -> None:
        named = subjects(path, request.query_params.multi_items(), body)
        needed = level(request.method, path)
        sends_trace = path == _TRACES and request.method == "POST"
        enough = "experiment" in dict(named) if sends_trace else named or path in _NAMES_NO_EXPERIMENT
        if not enough:
            _refuse_without_experiment(request, needed, principal)
        for kind, key in sorted(named):
            # What MLflow does not know it says itself; a trace that is sent may be there, in another experiment.
            if experiment_id := self._experiments.find(kind, key):
                self._experiments.require(principal, experiment_id, needed)

    def _reworded(self, response: httpx.Response, path: str, principal: Principal) -> Response:
        content = response.content
        if path in _EXPERIMENT_LISTS and response.status_code == 200:
            content = self._only_readable(response.json(), principal)
        elif path == "experiments/get-by-name" and response.status_code == 200:
            self._experiments.require(principal, response.json()["experiment"]["experiment_id"], READ)
        content = _MODEL_URI.sub(rb"\1/logged_models/\2/", content)
        content = _TRACE_URI.sub(rb"\1/\2/", content)
        return Response(content, response.status_code, media_type=response.headers.get("content-type"))

    def _only_readable(self, found: dict[str, Any], principal: Principal) -> bytes:
        shown = [e for e in found.get("experiments", []) if self._experiments.readable(principal, e["experiment_id"])]
        return json.dumps({**found, "experiments": shown}).encode()


def not_here(request: Request, more: str = "") -> ApiError:
    """501 that names the route."""
    message = f"The local workspace does not have {request.method} {request.url.path}."
    return ApiError(501, "ENDPOINT_NOT_FOUND", f"{message} {more}".strip())


def _refuse_without_experiment(request: Request, needed: str, principal: Principal) -> None:
    what = f"{request.method} {request.url.path} names no experiment"
    if needed != READ:
        raise invalid(f"{what}: set MLFLOW_EXPERIMENT_ID, or call mlflow.set_experiment('/Users/{principal.name}/…').")
    if not principal.is_admin:
        raise forbidden(f"{what}: only admins may send it.")
