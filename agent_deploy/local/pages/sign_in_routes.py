"""Signing in and out: with an access token, with a code of `agent-deploy local sign-in`, as admin for another user."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.vault import Vault
from agent_deploy.local.pages.browser import require_own_origin
from agent_deploy.local.pages.pages import Pages, local_path
from agent_deploy.local.pages.sessions import CODE_SECONDS, Session

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]


def routes(pages: Pages) -> APIRouter:
    """/login, /logout, and /_local/sign-in-codes."""
    router = APIRouter()
    _add_forms(router, pages)
    _add_codes(router, pages)
    return router


def _add_forms(router: APIRouter, pages: Pages) -> None:
    @router.get("/login")
    async def form(request: Request) -> Response:
        return _form(pages, request, pages.sessions.of(request))

    @router.post("/login")
    async def sign_in(request: Request) -> Response:
        try:
            require_own_origin(request, pages.workspace.host)
            fields = await request.form()
            principal, token = _signing_in(
                pages, str(fields.get("token") or "").strip(), str(fields.get("code") or "").strip()
            )
            return _entered(pages, fields, principal, token, pages.sessions.of(request))
        except ApiError as error:
            return _form(pages, request, None, error)

    @router.post("/login/as")
    async def sign_in_as(request: Request) -> Response:
        session = pages.sessions.of(request)
        try:
            fields, session = await _checked(pages, request, session)
            # The same that POST /_local/tokens gives an administrator: anybody's session, and nobody else may.
            pages.workspace.authorization.require_admin(session.principal, "sign in as another user")
            name = str(fields.get("user") or "")
            user = pages.workspace.principals.by_name(name)
            if user is None:
                raise not_found(f"There is no user {name!r} in this workspace.")
            return _entered(pages, fields, user, session.token, session, opened_by=session.principal.name)
        except ApiError as error:
            return _form(pages, request, session, error)

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        session = pages.sessions.of(request)
        try:
            _, session = await _checked(pages, request, session)
        except ApiError as error:
            return pages.failed(error, session)
        response = RedirectResponse("/login", 303)
        pages.sessions.close(session, response)
        return response


def _add_codes(router: APIRouter, pages: Pages) -> None:
    @router.post("/_local/sign-in-codes")
    async def new_code(body: Body, request: Request, principal: Caller) -> Any:
        # A link for oneself, or from the administrator for anybody, who could take any token as well.
        name = str(body.get("principal") or principal.name)
        user = pages.workspace.principals.by_name(name)
        if name != principal.name:
            pages.workspace.authorization.require_admin(principal, "make sign-in links for others")
        if user is None:
            raise not_found(f"There is no user {required(body, 'principal')!r} in this workspace.")
        code = pages.sessions.new_code(user, request.state.token)
        return {"code": code, "seconds": CODE_SECONDS, "user": user.name}


def _signing_in(pages: Pages, token: str, code: str) -> tuple[Principal, str]:
    """Who signs in, and the key of the access token by which he does."""
    if code:
        return pages.sessions.redeemed(code)
    if not token:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", "Enter an access token.")
    try:
        return pages.workspace.principals.authenticate(token), Vault.digest(token)
    except ApiError as error:
        message = "This workspace does not know the access token, or it has expired."
        raise ApiError(401, "UNAUTHENTICATED", message) from error


def _entered(
    pages: Pages, fields: Any, principal: Principal, token: str, before: Session | None, opened_by: str = ""
) -> Response:
    """A new session in place of the one before, on the page that was wanted."""
    response = RedirectResponse(local_path(str(fields.get("next") or "")), 303)
    pages.sessions.open(response, principal, token, opened_by=opened_by)
    if before is not None:
        pages.sessions.end(before)
    return response


async def _checked(pages: Pages, request: Request, session: Session | None) -> tuple[Any, Session]:
    """The form's fields, if a page of this session sent them."""
    require_own_origin(request, pages.workspace.host)
    if session is None:
        raise ApiError(401, "UNAUTHENTICATED", "You are not signed in any more.")
    fields = await request.form()
    session.require_csrf(str(fields.get("csrf_token") or ""))
    return fields, session


def _form(pages: Pages, request: Request, session: Session | None, error: ApiError | None = None) -> Response:
    users = []
    if session is not None and session.principal.is_admin:
        documents = pages.workspace.store.list("user")
        users = sorted(user["userName"] for user in documents if user.get("active", True))
    wanted = local_path(request.query_params.get("next", ""))
    status, message = (error.status, error.message) if error else (200, "")
    return pages.show("sign_in.html", session, status, users=users, next=wanted, message=message)
