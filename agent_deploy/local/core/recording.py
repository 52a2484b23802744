"""What was asked of the workspace and answered: for golden tests and for finding out; secrets are masked."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import count
from typing import Any
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.json_text import parse
from agent_deploy.local.core.vault import CREDENTIAL
from agent_deploy.rules.credentials import looks_like_credential, looks_like_token

_KEPT = 10_000  # requests; older ones leave
# Of a body and of a query or header are kept: all three bound the memory that this takes.
_BODY_BYTES, _LINE_CHARACTERS = 16 * 1024, 2048
_MASK = "[secret]"
# Fields whose values no recording shows, wherever they stand in a body.
_SECRET_FIELDS = re.compile(
    r"string_value|bytes_value|secret|client_secret|token|token_value|access_token|password|client_assertion"
    r"|.*_plaintext",  # as an external model's openai_api_key_plaintext
    re.DOTALL,
)
# What is a secret only in requests to these paths; elsewhere (SCIM, tags) it is data that golden tests compare.
_SECRET_FIELDS_OF: Mapping[str, re.Pattern[str]] = {
    "/api/2.0/secrets/": re.compile("value"),
    "/api/2.1/unity-catalog/connections": CREDENTIAL,
}
# Of a query, by name: what a body would hide, and what an OAuth sign-in is proved by.
_SECRET_PARAMETERS = re.compile(rf"{_SECRET_FIELDS.pattern}|code|code_verifier|sig|signature", re.DOTALL)
_ENVIRONMENT = "environment_vars"  # of a served entity: its names are the user's
_SCALARS = (str, int, float)
_SECRET_PATH = re.compile(r"(?<=^/_signed/).+")  # the URL itself is the credential
_UNRECORDED_BODIES = (
    "/serving-endpoints/",
    "/route-optimized/",
    "/browser/",
    "/api/2.0/fs/",
    "/api/2.0/workspace-files/",
    "/api/2.0/mlflow/traces",
    "/oidc/",
    "/_signed/",
)
_UNRECORDED = ("/_local/", "/browser/_local/", "/ml/", "/login", "/logout", "/app/", "/favicon.ico")


class Recording:
    """The latest requests in memory, in the order in which they were answered."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._numbers = count(1)
        self._lock = threading.Lock()

    def add(self, entry: dict[str, Any]) -> None:
        """One answered request; ``body`` is still raw."""
        with self._lock:
            entry["number"] = next(self._numbers)
            self._entries.append(entry)

    def entries(
        self, since: int = 0, method: str = "*", path: str = "*", caller: str | None = None
    ) -> list[dict[str, Any]]:
        """Requests with a number above ``since``; method and path are patterns with ``*``."""
        with self._lock:
            found = list(self._entries)
        return [
            {**entry, "body": _readable(entry["path"], entry["body"])}
            for entry in found
            if entry["number"] > since
            and fnmatchcase(entry["method"], method)
            and fnmatchcase(entry["path"], path)
            and caller in (None, entry["caller"])
        ]

    def clear(self) -> None:
        """Forget all; the numbers go on."""
        with self._lock:
            self._entries.clear()


class Recorder:
    """Middleware that fills the recording."""

    def __init__(self, app: ASGIApp, recording: Recording) -> None:
        self._app = app
        self._recording = recording

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on and record; bodies of questions to models, of files and of tokens stay out."""
        if scope["type"] != "http" or scope["path"].startswith(_UNRECORDED):
            return await self._app(scope, receive, send)
        status, started, body = 0, time.time(), bytearray()
        keeps_body = not scope["path"].startswith(_UNRECORDED_BODIES)

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(body) <= _BODY_BYTES:
                body.extend(message.get("body", b"")[: _BODY_BYTES + 1 - len(body)])
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope.setdefault("state", {})
        try:
            await self._app(scope, receiving if keeps_body else receive, sending)
        finally:
            self._recording.add(_entry(scope, bytes(body), status, started))


def _entry(scope: Scope, body: bytes, status: int, started: float) -> dict[str, Any]:
    state = scope["state"]
    principal = state.get("principal")
    return {
        "method": scope["method"],
        "path": _SECRET_PATH.sub(_MASK, scope["path"]),
        "query": _query(scope["query_string"].decode("latin-1")),
        "body": body,
        "status": status,  # 0: the client got no answer
        "caller": principal.name if principal else None,
        "client": _line(dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")),
        "fault": state.get("fault"),
        "time_ms": int(started * 1000),
        "duration_ms": round((time.time() - started) * 1000, 1),
    }


def _query(text: str) -> str:
    """As it was sent, but for the values of what is a secret by its name or by its looks."""
    parts = (part.partition("=") for part in text[:_LINE_CHARACTERS].split("&")) if text else ()
    return "&".join(
        f"{name}={_MASK}" if _is_secret_parameter(name, value) else name + equals + value
        for name, equals, value in parts
    )


def _is_secret_parameter(name: str, value: str) -> bool:
    return bool(_SECRET_PARAMETERS.fullmatch(unquote_plus(name))) or looks_like_token(unquote_plus(value))


def _line(text: str) -> str:
    """What a client wrote of itself, without tokens and not longer than is read."""
    kept = text[:_LINE_CHARACTERS]
    return " ".join(_MASK if looks_like_token(word) else word for word in kept.split(" "))


def _readable(path: str, body: bytes) -> Any:
    if not body:
        return None
    if len(body) > _BODY_BYTES:
        return f"[more than {_BODY_BYTES} bytes]"
    try:
        value = parse(body, any_float=True)
    except ApiError:
        return f"[{len(body)} bytes, not JSON that the workspace takes]"
    return _masked(value, [found for start, found in _SECRET_FIELDS_OF.items() if path.startswith(start)])


def _masked(value: Any, more: list[re.Pattern[str]], within: str = "", secret: bool = False) -> Any:
    """Without what the secret fields hold; ``more`` are such fields, by any part of their names."""
    if isinstance(value, dict):
        return {
            name: _masked(item, more, name, secret or _is_secret(name, item, within, more))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, more, within, secret) for item in value]
    return _MASK if secret and isinstance(value, _SCALARS) else value


def _is_secret(name: str, value: object, within: str, more: list[re.Pattern[str]]) -> bool:
    if within == _ENVIRONMENT:
        return looks_like_credential(name, value)
    return bool(_SECRET_FIELDS.fullmatch(name)) or any(each.search(name) for each in more)
