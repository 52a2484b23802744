"""Routes of the pages that show what is deployed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.pages.deployments import deployment_of, visible
from agent_deploy.local.pages.pages import Pages


def routes(pages: Pages) -> APIRouter:
    """/ml/deployments and /ml/endpoints/{name}."""
    router = APIRouter(prefix="/ml")

    @router.get("/deployments")
    async def deployments(request: Request) -> Response:
        session = pages.sessions.of(request)
        if session is None:
            return pages.to_sign_in(request)
        found = visible(pages, session.principal)
        return pages.show("deployments.html", session, deployments=found)

    @router.get("/endpoints/{name}")
    @router.get("/endpoints/{name}/")
    async def endpoint(request: Request, name: str) -> Response:
        session = pages.sessions.of(request)
        if session is None:
            return pages.to_sign_in(request)
        try:
            found = pages.endpoints.require(session.principal, name, "CAN_VIEW")
        except ApiError as error:
            return pages.failed(error, session)
        deployment = deployment_of(pages, session.principal, found)
        return pages.show("endpoint.html", session, deployment=deployment)

    return router
