"""The Review App's chat page, at the addresses that `review_app_url` gives."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.pages.pages import Pages
from agent_deploy.local.pages.sessions import Session

_QUERY = "CAN_QUERY"


def routes(pages: Pages) -> APIRouter:
    """/ml/review-v2/…"""
    router = APIRouter(prefix="/ml/review-v2")

    @router.get("/chat")
    async def chat(request: Request, endpoint: str = "") -> Response:
        session = pages.sessions.of(request)
        if session is None:
            return pages.to_sign_in(request)
        try:
            return _chat(pages, session, endpoint)
        except ApiError as error:
            return pages.failed(error, session)

    @router.get("/{app_id}/chat")
    async def chat_of_app(request: Request, app_id: str) -> Response:
        session = pages.sessions.of(request)
        if session is None:
            return pages.to_sign_in(request)
        names = _agents(pages, app_id)
        if len(names) == 1:
            return RedirectResponse(request.url_for("chat").include_query_params(endpoint=names[0]), 307)
        if names:
            return pages.show("choose.html", session, endpoints=names)
        return pages.failed(not_found("There is no Review App with this address, or it has no agent."), session)

    return router


def _chat(pages: Pages, session: Session, name: str) -> Response:
    if not name:
        raise not_found("The address names no endpoint: add ?endpoint=NAME.")
    endpoint = pages.endpoints.get(name)
    access = pages.workspace.authorization
    if not access.allows_object(session.principal, "serving-endpoints", endpoint.document["id"], _QUERY):
        message = f"You ({session.principal.name}) may not ask '{name}'. Its owner can give you {_QUERY} on it."
        return pages.show("error.html", session, 403, title="You may not ask this agent", message=message)
    return pages.show("chat.html", session, endpoint=name)


def _agents(pages: Pages, app_id: str) -> list[str]:
    """Endpoints of a Review App, those that still exist."""
    app = pages.workspace.store.get("review_app", app_id) or {}
    served = [(agent.get("model_serving_endpoint") or {}).get("endpoint_name") for agent in app.get("agents") or []]
    return [name for name in dict.fromkeys(served) if name and pages.endpoints.find(name)]
