"""What the pages' scripts ask: the REST API below /browser/, with the privileges of the user who is signed in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_deploy.local.core.errors import ApiError, forbidden
from agent_deploy.local.pages.sessions import CSRF_HEADER, Session, Sessions

PREFIX = "/browser"
# What the pages need, and no more: a script that got into a page could not make itself a token.
_OPEN = (
    "/serving-endpoints/",
    "/api/2.0/serving-endpoints/",
    "/api/3.0/mlflow/traces/",
    "/api/2.0/agents/deployments/",
    "/_local/review/",
)
_READING = ("GET", "HEAD")


class Browser:
    """Middleware: turns a session's request into one of its user, or refuses it."""

    def __init__(self, app: ASGIApp, sessions: Sessions, host: str) -> None:
        self._app = app
        self._sessions = sessions
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what lies below the prefix as the user's, everything else as it is."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            return await self._app(scope, receive, send)
        try:
            session = self._admitted(Request(scope), scope["path"].removeprefix(PREFIX))
        except ApiError as error:
            return await JSONResponse(error.body(), error.status)(scope, receive, send)
        path = scope["path"].removeprefix(PREFIX)
        scope.setdefault("state", {})["principal"] = session.principal
        # The cookie is the workspace's and stays here.
        headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        inner = {**scope, "path": path, "raw_path": path.encode(), "headers": headers}
        await self._app(inner, receive, send)

    def _admitted(self, request: Request, path: str) -> Session:
        require_own_origin(request, self._host)
        session = self._sessions.of(request)
        if session is None:
            raise ApiError(401, "UNAUTHENTICATED", "You are not signed in any more. Sign in, then try again.")
        if request.method not in _READING:
            session.require_csrf(request.headers.get(CSRF_HEADER, ""))
        if not path.startswith(_OPEN) or ".." in path:
            raise forbidden(f"The pages do not open {path} to a browser: call it with an access token.")
        return session


def require_own_origin(request: Request, host: str) -> None:
    """Pass requests that a page of this very origin sends, or raise 403.

    Cookies and SameSite know no ports: a page of another server on this machine is kept out here.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    # The Host header was judged at the door: a page of that name is one of ours.
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in (None, "same-origin") or origin not in (None, host, own):
        raise forbidden(f"Only pages of {host} may send this request.")
