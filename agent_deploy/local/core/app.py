"""The ASGI application: each API's routes, Databricks' error bodies, 401 for unknown tokens, 501 for unknown routes."""

from __future__ import annotations

import base64
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError

# Each API is a folder with `routes.py`, whose `install(app, workspace)` adds its routes and services.
# Order matters where routes overlap: the first that matches answers.
APIS = (
    "identity",
    "secrets",
    "permissions",
    "catalog",
    "files",
    "serving",
    "registry",
    "tracking",
    "agents",
    "control",
)

# Paths that are asked before there is a token; `/dashboard`-like pages do their own sign-in.
PUBLIC = ("/.well-known/", "/oidc/", "/_local/health", "/_signed/", "/app/", "/favicon.ico")


def create_app(workspace: Workspace, apis: tuple[str, ...] = APIS) -> FastAPI:
    """The whole workspace as one application."""
    app = FastAPI(title="agent_deploy local workspace", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.workspace = workspace
    for api in apis:
        import_module(f"agent_deploy.local.{api}.routes").install(app, workspace)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Authentication, workspace=workspace)
    return app


class Authentication:
    """Sets ``request.state.principal`` from a bearer token, or from Basic ``token:<token>`` as curl sends it."""

    def __init__(self, app: ASGIApp, workspace: Workspace) -> None:
        self._app = app
        self._workspace = workspace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its principal, or answer 401."""
        if scope["type"] != "http" or scope["path"].startswith(PUBLIC):
            return await self._app(scope, receive, send)
        try:
            token = _token(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
            scope.setdefault("state", {})["principal"] = self._workspace.principals.authenticate(token)
        except ApiError as error:
            return await _answer(error, self._workspace)(scope, receive, send)
        await self._app(scope, receive, _with_workspace_id(send, self._workspace.workspace_id))


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


def _with_workspace_id(send: Send, workspace_id: str) -> Send:
    header = (b"x-databricks-org-id", workspace_id.encode())

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), header]
        await send(message)

    return sending


def _answer(error: ApiError, workspace: Workspace) -> Response:
    return JSONResponse(error.body(), error.status, headers={"x-databricks-org-id": workspace.workspace_id})


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
