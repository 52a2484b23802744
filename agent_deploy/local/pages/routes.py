"""Routes of the pages: signing in, the Review App, static files, and what their scripts ask."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from agent_deploy.local.core.errors import not_found
from agent_deploy.local.pages import conversation_routes, deployment_routes, review_routes, sign_in_routes, team_routes
from agent_deploy.local.pages.browser import Browser
from agent_deploy.local.pages.pages import HEADERS, HERE, START, Pages

_STATIC = HERE / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def install(app: FastAPI, pages: Pages) -> None:
    """Add the routes; they lie ahead of nothing: other APIs' addresses are different ones."""
    app.include_router(sign_in_routes.routes(pages))
    app.include_router(conversation_routes.routes(pages.workspace.store, pages.endpoints))
    app.include_router(review_routes.routes(pages))
    app.include_router(team_routes.routes(pages))
    app.include_router(deployment_routes.routes(pages))
    app.include_router(_rest(pages))
    app.add_middleware(Browser, sessions=pages.sessions, host=pages.workspace.host)


def _rest(pages: Pages) -> APIRouter:
    router = APIRouter()
    files = {path.name: path for path in _STATIC.iterdir()}

    @router.get("/ml/static/{name}")
    async def static(name: str) -> Response:
        if (path := files.get(name)) is None:
            raise not_found(f"There is no file {name}.")
        return FileResponse(path, media_type=_TYPES[path.suffix], headers={**HEADERS, "Cache-Control": "no-cache"})

    @router.get("/")
    @router.get("/ml")
    async def start() -> Response:
        return RedirectResponse(START, 307)

    @router.get("/ml/{path:path}")
    async def nothing(request: Request, path: str) -> Response:
        session = pages.sessions.of(request)
        message = f"The local workspace has no page /ml/{path}. It has the deployments, and the Review App of each."
        return pages.failed(not_found(message), session)

    return router
