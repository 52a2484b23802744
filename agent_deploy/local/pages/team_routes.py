"""Routes of the team's page, and of what it shows of one conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.pages.pages import Pages
from agent_deploy.local.pages.sessions import Session
from agent_deploy.local.pages.team import conversation_in, team_page, turn_shown

Caller = Annotated[Principal, Depends(caller)]


def routes(pages: Pages) -> APIRouter:
    """/ml/review-v2/team, and what it shows of one conversation."""
    router = APIRouter()

    def shown(request: Request, show: Callable[[Session], Response]) -> Response:
        session = pages.sessions.of(request)
        if session is None:
            return pages.to_sign_in(request)
        try:
            return show(session)
        except ApiError as error:
            return pages.failed(error, session)

    # Not coroutines: reading a large table shall not hold up others.
    @router.get("/ml/review-v2/team")
    def team(request: Request, endpoint: str = "", page: int = 1) -> Response:
        return shown(request, lambda session: team_page(pages, session, endpoint, request.query_params, page))

    @router.get("/ml/review-v2/team/conversation")
    def conversation(request: Request, endpoint: str = "", id: str = "", user: str = "") -> Response:
        def show(session: Session) -> Response:
            conversation_in(pages, session.principal, endpoint, id, user)
            return pages.show("conversation.html", session, endpoint=endpoint, id=id, user=user)

        return shown(request, show)

    @router.get("/_local/review/logged")
    def logged(principal: Caller, endpoint: str, conversation: str, user: str = "") -> Any:
        log, found = conversation_in(pages, principal, endpoint, conversation, user)
        whole = log.whole([turn.request_id for turn in found.turns])
        return {"turns": [turn_shown(turn, *whole.get(turn.request_id, (None, None))) for turn in found.turns]}

    return router
