"""The workspace's REST API: signed requests with retries, over connections that stay open; safe to share by threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

import httpx
import tenacity

from agent_deploy.client.configuration import PAT, PROVIDER_INPUT, Settings, normal_host, resolve
from agent_deploy.client.credentials import Credentials, credentials_for
from agent_deploy.client.errors import (
    ApiError,
    ConfigurationError,
    ConnectionLost,
    Unreachable,
    WorkspaceError,
    parse_error,
)
from agent_deploy.client.masking import cause, hide, masked
from agent_deploy.client.retries import Tries

CONNECT_TIMEOUT = 4.0
READ_TIMEOUT = 75.0  # the platform answers, or closes, within a minute
TOKEN_TIMEOUT = 15.0  # a token is fetched while every other request waits for it
# 429 and 503 ask to come back later; how long an operation goes on trying unless it sets its own limit.
DEFAULT_PATIENCE = 300.0
# Source: pulumi/pulumi#4981.
_STORED = (
    " Without the program, `pulumi refresh`, `pulumi destroy` and `up --refresh` take those that the stack's state has "
    "from its last `pulumi up`, whatever was set since: add `--run-program`, or run `pulumi up` first."
)
# All that httpx and what lies below it raise: httpx's own have no common base, and ssl, sockets and codecs have theirs.
LIBRARY_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, ValueError, OSError)
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # as Databricks' SDK exchanges tokens
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})


class Workspace:
    """One workspace, as one principal. Paths begin with ``/api/``; bodies and answers are dicts.

    Every call raises ApiError, Unreachable, ConnectionLost or ConfigurationError.
    """

    def __init__(
        self,
        settings: Settings | Callable[[], Settings] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``settings`` may be a function, called at the first request: what is never used need not be right."""
        self._connection = _Connection(settings or (lambda: resolve({})), transport)
        self._cancelled: threading.Event | None = None
        self._patience, self._silence = DEFAULT_PATIENCE, 0.0

    def during(
        self, cancelled: threading.Event | None, patience: float = DEFAULT_PATIENCE, silence: float = 0.0
    ) -> Workspace:
        """The same workspace for one operation: no more tries once it is cancelled, or after ``patience`` seconds.

        Where nothing has answered yet, a request that gets no answer for ``silence`` seconds is given up; 0, or once
        the workspace has answered anything: it has the client's own time, and is tried again as any other.
        """
        bound = object.__new__(Workspace)
        bound._connection, bound._cancelled = self._connection, cancelled
        bound._patience, bound._silence = patience, silence
        return bound

    def confined(self, host: str, details: str) -> Workspace:
        """What answers at ``host`` to a token for ``details`` alone, which is had in exchange for the caller's own."""
        token = self._connection.exchanged(details)
        settings = Settings(host=host, method=PAT, token=token, origin=f"an exchange of tokens at {self.host}")
        return Workspace(settings, self._connection.transport)

    @property
    def host(self) -> str:
        """``https://…`` without a slash at the end."""
        return self._connection.open().host

    def user_name(self) -> str:
        """Who the workspace takes us for: a user's name, or a service principal's application id."""
        return str(self.get("/api/2.0/preview/scim/v2/Me").get("userName") or "")

    def signed(self) -> dict[str, str]:
        """The headers by which a request of ours is let in; never to be shown."""
        return self._connection.open().credentials.headers()

    def date(self) -> str | None:
        """What time it is there, as HTTP writes it; None where no answer says so."""
        try:
            return self._connection.open().http.head(self.host).headers.get("Date")
        except LIBRARY_ERRORS:
            return None

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """GET; tried again when the connection breaks."""
        return self.request("GET", path, params=params)

    def find(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """GET of what may not be there: None then."""
        try:
            return self.get(path, params)
        except ApiError as error:
            if error.is_missing:
                return None
            raise

    def text(self, path: str) -> str:
        """GET of a file: its content as UTF-8, whatever it is."""
        return str(self.request("GET", path, as_text=True)["text"])

    def post(self, path: str, body: Mapping[str, Any], repeatable: bool = False) -> dict[str, Any]:
        """POST; ``repeatable`` when doing it twice is the same as once."""
        return self.request("POST", path, body=body, repeatable=repeatable)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT; tried again when the connection breaks."""
        return self.request("PUT", path, body=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH; all that we send set values, so it is tried again when the connection breaks."""
        return self.request("PATCH", path, body=body)

    def delete(self, path: str) -> dict[str, Any]:
        """DELETE; tried again when the connection breaks."""
        return self.request("DELETE", path)

    def remove(self, path: str) -> None:
        """DELETE of what may be gone already."""
        try:
            self.delete(path)
        except ApiError as error:
            if not error.is_missing:
                raise

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        as_text: bool = False,
    ) -> dict[str, Any]:
        """One call, tried again as far as it is safe; returns the parsed answer, or its ``text`` unparsed.

        Instead of ``body``: ``form`` is sent as multipart/form-data, field → (file name or None, content), and
        ``content`` as it is.
        """
        again = method in _REPEATABLE if repeatable is None else repeatable
        # What has answered once is a workspace; if it is slow now, its address is not the reason.
        silence = 0.0 if self._connection.has_answered else self._silence
        tries = Tries(method, again, self._patience, silence or self._patience, self._cancelled)
        timeout = _timeout(silence) if silence else None  # None: the client's own
        retrying = tenacity.Retrying(
            retry=tries.worth_another, wait=tries.pause, sleep=tries.sleep, stop=tenacity.stop_never, reraise=True
        )
        sent = {"params": params, "json": body, "files": form, "content": content, "timeout": timeout}
        return retrying(self._connection.send, method, path, headers, as_text, **sent)

    @contextmanager
    def stream(self, path: str, body: Mapping[str, Any], read_timeout: float) -> Iterator[httpx.Response]:
        """POST, sent once; the caller reads the answer as it comes, ``read_timeout`` seconds apart at most."""
        response = self._connection.open_stream("POST", path, json=body, timeout=_timeout(read_timeout))
        try:
            yield response
        except (httpx.HTTPError, httpx.StreamError) as error:  # not all: the caller's own come through here as well
            what = cause(error)
            raise ConnectionLost(f"The connection to {self.host} broke while {path} was answering ({what}).") from None
        finally:
            response.close()


class _Connection:
    """What all views of one workspace share: sockets, settings and tokens; opened by the first request."""

    settings: Settings
    credentials: Credentials
    host: str
    http: httpx.Client

    def __init__(self, settings: Settings | Callable[[], Settings], transport: httpx.BaseTransport | None) -> None:
        self._given = settings
        self.transport = transport
        self._lock = threading.Lock()
        self._is_open = False
        self.has_answered = False

    def open(self) -> _Connection:
        """Settles configuration and credentials; no request is sent. Raises ConfigurationError."""
        with self._lock:
            if not self._is_open:
                self.settings = self._given() if callable(self._given) else self._given
                hide(*self.settings.hidden)
                self.credentials = credentials_for(self.settings, self._fetch_token)
                self.host = self.settings.host or normal_host(getattr(self.credentials, "host", ""))
                self.http = self._client()
                self._is_open = True
        return self

    def _client(self) -> httpx.Client:
        hide(*(urlsplit(proxy).password for proxy in getproxies().values()))
        try:
            return httpx.Client(
                transport=self.transport,
                timeout=_timeout(READ_TIMEOUT),
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=40, keepalive_expiry=20.0),
                headers={"User-Agent": user_agent()},
                trust_env=not self._is_local,  # a proxy has nothing to do with a workspace on this machine
            )
        except LIBRARY_ERRORS as error:
            raise ConfigurationError(
                f"No connection can be set up from the environment ({cause(error)}): correct HTTP_PROXY, HTTPS_PROXY, "
                "ALL_PROXY, SSL_CERT_FILE or SSL_CERT_DIR."
            ) from None

    @property
    def _is_local(self) -> bool:
        return urlsplit(self.host).hostname in ("127.0.0.1", "localhost", "::1")

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None, as_text: bool = False, **content: Any
    ) -> dict[str, Any]:
        """Sends once; with a new token once more, when the cached one is refused. ``content`` is as httpx takes it."""
        credentials = self.open().credentials
        response = self._exchange(method, path, {**credentials.headers(), **(headers or {})}, **content)
        if response.status_code == 401 and credentials.forget():
            response = self._exchange(method, path, {**credentials.headers(), **(headers or {})}, **content)
        return {"text": response.text} if as_text and response.is_success else self._parsed(response, method, path)

    def open_stream(self, method: str, path: str, **content: Any) -> httpx.Response:
        """As `send`, but the body of a successful answer is yet to be read."""
        credentials = self.open().credentials
        response = self._exchange(method, path, credentials.headers(), stream=True, **content)
        if response.status_code == 401 and credentials.forget():
            response.close()
            response = self._exchange(method, path, credentials.headers(), stream=True, **content)
        if not response.is_success:
            response.read()
            self._parsed(response, method, path)  # raises
        return response

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], stream: bool = False, **content: Any
    ) -> httpx.Response:
        given = {name: value for name, value in content.items() if value is not None}
        auth = given.pop("auth", httpx.USE_CLIENT_DEFAULT)
        try:
            request = self.http.build_request(method, self.host + path, headers=dict(headers), **given)
            response = self.http.send(request, stream=stream, auth=auth)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(
                f"No Databricks workspace answers at {self.host} ({masked(str(error))}). Is the address right, and is "
                "the workspace up? A local workspace is started by `agent-deploy local start`."
            ) from None
        except httpx.ReadTimeout:
            seconds = request.extensions["timeout"]["read"]
            raise ConnectionLost(
                f"{self.host} took the connection, but did not answer {method} {path} within {seconds:g} s. Is this "
                "the address of a workspace, and does a proxy or a firewall on the way let requests through?"
            ) from None
        except httpx.UnsupportedProtocol as error:
            raise WorkspaceError(f"{self.host!r} is not the address of a workspace ({cause(error)}).") from None
        except httpx.TransportError as error:
            what = cause(error)
            raise ConnectionLost(f"The connection to {self.host} broke during {method} {path} ({what}).") from None
        except Exception as error:  # noqa: BLE001 - whatever it is may quote the header that signs the request
            raise WorkspaceError(f"{method} {path} could not be sent to {self.host} ({cause(error)}).") from None
        self.has_answered = True
        return response

    def _parsed(self, response: httpx.Response, method: str, path: str) -> dict[str, Any]:
        if response.is_success:
            return self._document(response, method, path)
        code, message = parse_error(response.status_code, response.reason_phrase, response.text)
        hint = ""
        if response.status_code == 401:
            origin = self.settings.origin
            hint = f"{self.host} refused the credentials from {origin}: are they of this workspace, and not expired?"
            if origin.startswith(PROVIDER_INPUT):
                hint += _STORED
            if self._is_local:
                hint += " Those of a local workspace are told by `agent-deploy local env`."
        request = f"{method} {path}"
        raise ApiError(response.status_code, code, message, request, hint, retry_after=_retry_after(response))

    def _document(self, response: httpx.Response, method: str, path: str) -> dict[str, Any]:
        if not response.content.strip():
            return {}
        try:
            document = response.json()
        except ValueError:
            raise WorkspaceError(
                f"{self.host} answered {method} {path} with something that is not JSON: is this a workspace's address?"
            ) from None
        return document if isinstance(document, dict) else {"items": document}

    def _fetch_token(self) -> dict[str, Any]:
        settings = self.settings
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        auth = httpx.BasicAuth(settings.client_id, settings.client_secret)
        return self._given_token(form, f"the service principal {settings.client_id}", auth)

    def exchanged(self, details: str) -> str:
        """A token for the ``authorization_details``, for the caller's own, which may be no personal access token."""
        headers = self.open().credentials.headers()
        if self.settings.method == PAT:
            raise ConfigurationError(
                f"The personal access token from {self.settings.origin} cannot be used here: route-optimised endpoints "
                "take OAuth tokens only. Sign in by OAuth: DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET of a "
                "service principal, or a profile of `databricks auth login`."
            )
        own = headers["Authorization"].rpartition(" ")[2]
        form = {"grant_type": _JWT_BEARER, "assertion": own, "authorization_details": details}
        token = str(self._given_token(form, "a token of its own", None)["access_token"])
        hide(token)
        return token

    def _given_token(self, form: Mapping[str, str], whose: str, auth: httpx.Auth | None) -> dict[str, Any]:
        path, timeout = "/oidc/v1/token", _timeout(TOKEN_TIMEOUT)
        answer = self._parsed(self._exchange("POST", path, {}, data=form, auth=auth, timeout=timeout), "POST", path)
        if "access_token" not in answer:
            raise WorkspaceError(f"{self.host} gave no access token for {whose}.")
        return answer


def _timeout(read: float) -> httpx.Timeout:
    return httpx.Timeout(read, connect=CONNECT_TIMEOUT, pool=None)


def installed_version() -> str:
    """Of this package."""
    try:
        return version("agent-deploy")
    except PackageNotFoundError:
        return "0.0.0"


def user_agent() -> str:
    """``agent-deploy/<version>``."""
    return f"agent-deploy/{installed_version()}"


def segment(text: str) -> str:
    """One part of a path, with everything escaped that would end it."""
    return quote(text, safe="")


def is_missing(error: Exception) -> bool:
    """Whether the error says that the object does not exist."""
    return isinstance(error, ApiError) and error.is_missing


def _retry_after(response: httpx.Response) -> float | None:
    # Seconds; the other form, a date, is not used by Databricks.
    value = response.headers.get("Retry-After", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None
