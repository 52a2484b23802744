"""Who is signed in with a browser: sessions by cookie, and codes that open one session once.

A session is no token: its cookie opens the pages and what they ask (`browser.py`), nothing else.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.vault import Vault

SESSION_SECONDS = 12 * 3600
CODE_SECONDS = 300
CSRF_HEADER = "x-csrf-token"
_SESSION, _CODE = "browser_session", "sign_in_code"  # kinds of document, by the digest of what the browser holds


@dataclass(frozen=True)
class Session:
    """``opened_by`` is the administrator who signed in as this user; empty when the user did himself.

    ``token`` is the key of the access token that opened it: it ends with that one.
    """

    principal: Principal
    secret: str
    opened_by: str = ""
    token: str = ""

    @property
    def csrf_token(self) -> str:
        """What a page of this session sends along with whatever it writes: other pages cannot know it."""
        return Vault.digest(f"csrf:{self.secret}")

    def require_csrf(self, given: str) -> None:
        """Pass, or raise 403."""
        if not hmac.compare_digest(given.encode(), self.csrf_token.encode()):
            raise forbidden("This request does not come from a page of the workspace. Reload the page and try again.")


class Sessions:
    """Documents with the digest of a cookie or code as key: the state alone opens no session."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        # Cookies know no ports: two workspaces on one machine must not sign each other out.
        self._cookie = f"agent_deploy_{workspace.workspace_id}"

    def of(self, request: Request) -> Session | None:
        """The session of a request's cookie, while it lasts and its user is there."""
        secret = request.cookies.get(self._cookie, "")
        document = self._workspace.store.get(_SESSION, Vault.digest(secret)) if secret else None
        if document is None or document["expires"] < time.time():
            return None
        try:
            principal = self._workspace.principals.principal(document["principal_id"])
        except ApiError:
            return None
        opener = document["opened_by"]
        if not self._lasts(document.get("token", "")) or (opener and not self._is_admin(opener)):
            return None
        return Session(principal, secret, opener, document["token"])

    def open(self, response: Response, principal: Principal, token: str, opened_by: str = "") -> None:
        """Sign a user in with the browser that gets the response; raises 403 for who is no user.

        ``token`` is the key of the access token by which it is opened, and with which it ends.
        """
        _require_user(principal)
        self._forget_expired(_SESSION)
        secret = secrets.token_urlsafe(32)
        self._put(_SESSION, secret, principal, SESSION_SECONDS, token, opened_by)
        response.set_cookie(self._cookie, secret, max_age=SESSION_SECONDS, path="/", httponly=True, samesite="strict")

    def close(self, session: Session, response: Response) -> None:
        """Sign out."""
        self.end(session)
        response.delete_cookie(self._cookie, path="/", httponly=True, samesite="strict")

    def end(self, session: Session) -> None:
        """Its cookie opens nothing any more."""
        self._workspace.store.delete(_SESSION, Vault.digest(session.secret))

    def new_code(self, principal: Principal, token: str) -> str:
        """Opens one session of the user, once, within five minutes, while the token with this key lasts."""
        _require_user(principal)
        self._forget_expired(_CODE)
        code = secrets.token_urlsafe(24)
        self._put(_CODE, code, principal, CODE_SECONDS, token)
        return code

    def redeemed(self, code: str) -> tuple[Principal, str]:
        """Whose code it was, and the key of its token; raises 404 for one that is unknown, used or too old."""
        store, key = self._workspace.store, Vault.digest(code)
        document = store.get(_CODE, key)
        # Whoever deletes it first has used it.
        if document is None or not store.delete(_CODE, key) or document["expires"] < time.time():
            raise not_found(
                "This sign-in link was used already or is older than five minutes: ask for a new one with "
                "'agent-deploy local sign-in'."
            )
        return self._workspace.principals.principal(document["principal_id"]), str(document.get("token", ""))

    def _lasts(self, token: str) -> bool:
        document = self._workspace.store.get("token", token)
        return document is not None and (document["expires"] is None or document["expires"] > time.time())

    def _is_admin(self, name: str) -> bool:
        principal = self._workspace.principals.by_name(name)
        return principal is not None and principal.is_admin

    def _put(
        self, kind: str, secret: str, principal: Principal, seconds: float, token: str, opened_by: str = ""
    ) -> None:
        key = Vault.digest(secret)
        body = {"key": key, "principal_id": principal.id, "expires": time.time() + seconds, "opened_by": opened_by}
        body["token"] = token
        self._workspace.store.put(kind, key, body, parent=principal.id)

    def _forget_expired(self, kind: str) -> None:
        for document in self._workspace.store.list(kind):
            if document["expires"] < time.time():
                self._workspace.store.delete(kind, document["key"])


def _require_user(principal: Principal) -> None:
    if principal.kind != "user":
        raise forbidden(f"{principal.name} is a service principal: the pages are for users.")
