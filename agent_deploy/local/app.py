"""The ASGI application: each API's routes, Databricks' error bodies, 401 for unknown tokens, 501 for unknown routes."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_deploy.local.agents import routes as agents
from agent_deploy.local.apps_and_databases import routes as apps_and_databases
from agent_deploy.local.catalog import routes as catalog
from agent_deploy.local.cluster_policies import routes as cluster_policies
from agent_deploy.local.connections import routes as connections
from agent_deploy.local.control import routes as control
from agent_deploy.local.core.admission import Admission
from agent_deploy.local.core.confinement import require_use
from agent_deploy.local.core.context import Hook, Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.faults import FaultInjection
from agent_deploy.local.core.hosts import Hosts
from agent_deploy.local.core.recording import Recorder
from agent_deploy.local.core.supervision import Escaped, contained, described, explained
from agent_deploy.local.core.vault import Vault
from agent_deploy.local.files import routes as files
from agent_deploy.local.genie import routes as genie
from agent_deploy.local.identity import routes as identity
from agent_deploy.local.jobs import routes as jobs
from agent_deploy.local.pages import routes as pages
from agent_deploy.local.permissions import routes as permissions
from agent_deploy.local.pipelines import routes as pipelines
from agent_deploy.local.protocols import routes as protocols
from agent_deploy.local.registry import routes as registry
from agent_deploy.local.secrets import routes as secrets
from agent_deploy.local.services import Services
from agent_deploy.local.serving import routes as serving
from agent_deploy.local.sql import routes as sql
from agent_deploy.local.statements import routes as statements
from agent_deploy.local.tracking import routes as tracking
from agent_deploy.local.vector_search import routes as vector_search
from agent_deploy.local.workspace_files import routes as workspace_files

# Paths that are asked before there is a token; the pages, the last line, have sessions instead.
PUBLIC = (
    *("/.well-known/", "/oidc/", "/_local/health", "/_signed/", "/app/", "/favicon.ico"),
    *("/ml/", "/browser/", "/login", "/logout"),
    "/route-optimized/",  # has tokens of its own
)
_START = ("/", "/ml")  # where a browser begins
# Asked most: its routes are tried first.
_HOT = "/serving-endpoints/"

_log = logging.getLogger(__name__)


def create_app(workspace: Workspace) -> FastAPI:
    """The whole workspace as one application."""
    services = Services.of(workspace)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await _call(workspace.on_start)
        yield
        await _call(reversed(workspace.on_stop))

    app = Application(
        title="agent_deploy local workspace",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.workspace = workspace
    _install(app, services)
    app.router.routes.sort(key=lambda route: not getattr(route, "path", "").startswith(_HOT))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    # The one added last sees a request first.
    app.add_middleware(Unexpected)
    app.add_middleware(FaultInjection, faults=workspace.faults)
    app.add_middleware(Admission)
    app.add_middleware(Authentication, workspace=workspace)
    app.add_middleware(Recorder, recording=workspace.recording)
    app.add_middleware(Hosts, options=workspace.options)
    app.add_middleware(WorkspaceId, workspace_id=workspace.workspace_id)
    return app


def _install(app: FastAPI, services: Services) -> None:
    """Each API's routes. Order matters where they overlap: the first that matches answers."""
    workspace, access = services.workspace, services.workspace.authorization
    control.install(app, workspace)
    identity.install(app, workspace, services.identities)
    secrets.install(app, services.scopes)
    permissions.install(app, services.lists)
    catalog.install(app, workspace, services.metastore, services.registry)
    workspace_files.install(app, services.tree)
    sql.install(app, access, services.warehouses)
    statements.install(app, access, services.statements)
    vector_search.install(app, services.vector_search_endpoints, services.indexes, services.queries)
    genie.install(app, services.spaces, services.conversations, services.statements)
    connections.install(app, workspace)
    apps_and_databases.install(app, workspace)
    cluster_policies.install(app, workspace)
    pipelines.install(app, workspace, services.pipelines, services.updates)
    jobs.install(app, workspace, services.jobs, services.runs, services.scheduler)
    files.install(app, services.files)
    serving.install(app, services.endpoints)
    registry.install(app, access, services.registry, services.prompts, services.experiments)
    tracking.install(app, workspace, services.mlflow, services.experiments, services.files)
    agents.install(app, workspace, services.register, services.endpoints, services.experiments)
    pages.install(app, services.pages)
    protocols.install(app)


class Application(FastAPI):
    """FastAPI with one flat list of routes: its nested routers cost every request a walk through all of them."""

    def include_router(self, router: APIRouter, *, prefix: str = "", **options: Any) -> None:
        """Take the router's own routes over; other options than the prefix belong to the router itself."""
        if options:
            raise TypeError(f"include_router takes a router and a prefix; give {', '.join(options)} to the router")
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise TypeError(f"{route} is not a route of its own: include its router in the application")
            self.router.add_api_route(
                prefix + route.path,
                # One that is not awaited runs in a thread.
                route.endpoint if inspect.iscoroutinefunction(route.endpoint) else contained(route.endpoint),
                methods=list(route.methods or ()),
                status_code=route.status_code,
                response_model=route.response_model,
                response_class=route.response_class,
                dependencies=route.dependencies,
            )


async def _call(hooks: Iterable[Hook]) -> None:
    for hook in hooks:
        result = hook()
        if inspect.isawaitable(result):
            await result


_REQUEST_ID = b"x-request-id"


class WorkspaceId:
    """Every answer carries the workspace's id, without which the databricks provider fails, and its request's."""

    def __init__(self, app: ASGIApp, workspace_id: str) -> None:
        self._app = app
        self._header = (b"x-databricks-org-id", workspace_id.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; add the header to the answer."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), self._header]
                if _REQUEST_ID not in dict(headers):  # a model's answer has one, by which it is logged
                    headers.append((_REQUEST_ID, str(uuid.uuid4()).encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)


class Authentication:
    """Sets ``request.state.principal`` from a bearer token, or from Basic ``token:<token>`` as curl sends it.

    A served model's own identity comes no further than `require_use` lets it.

    ``request.state.token`` is the key of the token's document.
    """

    def __init__(self, app: ASGIApp, workspace: Workspace) -> None:
        self._app = app
        self._principals = workspace.principals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its principal, or answer 401 or 403."""
        if scope["type"] == "http" and not scope["path"].startswith(PUBLIC) and scope["path"] not in _START:
            try:
                token = _token(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
                state = scope.setdefault("state", {})
                state["principal"], state["token"] = self._principals.authenticate(token), Vault.digest(token)
                require_use(state["principal"], scope)
            except ApiError as error:
                return await JSONResponse(error.body(), error.status)(scope, receive, send)
        await self._app(scope, receive, send)


class Unexpected:
    """A bug of ours is a 500 with Databricks' error body; its trace goes to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer 500 for what no handler expected, if nothing was answered yet."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._escaping(scope, receive, sending)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            _log.exception("%s %s", scope["method"], scope["path"])
            body = {"error_code": "INTERNAL_ERROR", "message": explained(error), "details": []}
            await JSONResponse(body, 500)(scope, receive, send)

    async def _escaping(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except (Exception, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            # Out of a thread that was awaited: as it is, a SystemExit would end the event loop.
            raise Escaped(described(error)) from error


def _token(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError as error:
            raise ApiError(401, "UNAUTHENTICATED", "The Basic credentials are not base64.") from error
        if user == "token":
            return password
    message = (
        "Credential was not sent or was of an unsupported type for this API: send 'Authorization: Bearer <token>'."
    )
    raise ApiError(401, "UNAUTHENTICATED", message)


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), error.status)


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = "; ".join(f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors())
    return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": problems, "details": []}, 400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code not in (404, 405):
        return JSONResponse(
            {"error_code": "BAD_REQUEST", "message": str(error.detail), "details": []}, error.status_code
        )
    # A route that we do not have: 501 tells it apart from an object that does not exist.
    message = (
        f"The local workspace does not have {request.method} {request.url.path}. docs/parity.md lists what it has."
    )
    return JSONResponse({"error_code": "ENDPOINT_NOT_FOUND", "message": message, "details": []}, 501)
