"""The door: how large a body may be, by its route, and JSON read and judged once, before any route sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_deploy.local.core import json_text
from agent_deploy.local.core.errors import ApiError

KIB, MIB = 1 << 10, 1 << 20
# Read beside the event loop when larger: a body of this size takes a few milliseconds.
_AT_ONCE = 32 * KIB
_BROWSER = "/browser"  # below it the pages ask the same routes


@dataclass(frozen=True)
class Rule:
    """For paths that begin with ``path``. ``json``: the body is judged; a body that is not is passed on as it comes."""

    path: str
    most: int
    json: bool = True
    any_float: bool = False


# The first that fits counts. Those with a source take what the platform takes; the others, what a developer's machine
# reads in a moment.
RULES = (
    Rule("/serving-endpoints/", 16 * MIB, json=False),  # Databricks, "Model Serving limits and regions"
    Rule("/route-optimized/", 16 * MIB, json=False),
    Rule("/api/2.0/fs/files/", 5 << 30, json=False),  # Databricks, Files API: 5 GiB; streamed to the disk
    Rule("/_signed/", 5 << 30, json=False),
    Rule("/api/2.0/fs/directories/", KIB, json=False),
    Rule("/api/2.0/workspace/import", 16 * MIB),  # Databricks: 10 MB, here in base64
    Rule("/api/2.0/workspace-files/import-file/", 100 * MIB, json=False),
    Rule("/api/2.0/sql/statements", 2 * MIB),
    Rule("/api/2.0/vector-search/", 10 * MIB),
    Rule("/api/2.0/mlflow/", 16 * MIB, any_float=True),
    Rule("/api/3.0/mlflow/", 16 * MIB, any_float=True),
    Rule("/api/2.0/otel/", 16 * MIB, json=False),  # spans as protobuf, which no route takes here
    Rule("/sql/1.0/", MIB, json=False),  # Thrift
    Rule("/login", 16 * KIB, json=False),
    Rule("/logout", 16 * KIB, json=False),
    Rule("/ml/", 16 * KIB, json=False),
    Rule("/oidc/", 16 * KIB, json=False),
    Rule("/", MIB),
)
# A form with a file is written to the disk as it comes. Databricks, "Workspace files": 500 MB.
_FORM = Rule("/api/2.0/workspace/import", 501 * MIB, json=False)


class Admission:
    """Middleware: ``scope["state"]["json"]`` is the judged body, where there is one and its route takes JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 413 or 400."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        rule, headers = _rule(scope), dict(scope["headers"])
        limited = _Limited(receive, rule.most)
        try:
            if (declared := headers.get(b"content-length", b"")).isdigit() and int(declared[:18]) > rule.most:
                raise _too_large(rule.most)
            if not rule.json:
                return await self._app(scope, limited, send)
            body = await limited.whole()
            if body.strip():
                scope.setdefault("state", {})["json"] = await _judged(body, rule)
        except ApiError as error:
            return await JSONResponse(error.body(), error.status)(scope, receive, send)
        return await self._app(scope, _Again(body, receive), send)


class _Limited:
    """A body as it comes, up to so many bytes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            raise _too_large(self._most)
        return message

    async def whole(self) -> bytes:
        parts, more = [], True
        while more:
            message = await self()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "BAD_REQUEST", "The caller left.")
            parts.append(message.get("body", b""))
            more = bool(message.get("more_body"))
        return b"".join(parts)


class _Again:
    """A body that was read, once more; then what else the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        message, self._message = self._message, None
        return await self._receive() if message is None else message


def _rule(scope: Scope) -> Rule:
    path = scope["path"]
    if path.startswith(f"{_BROWSER}/"):
        path = path.removeprefix(_BROWSER)
    content_type = dict(scope["headers"]).get(b"content-type", b"")
    if path.startswith(_FORM.path) and content_type.startswith(b"multipart/form-data"):
        return _FORM
    return next(rule for rule in RULES if path.startswith(rule.path) or rule.path == "/")


async def _judged(body: bytes, rule: Rule) -> Any:
    def judge() -> Any:
        return json_text.parse(body, any_float=rule.any_float)

    return judge() if len(body) <= _AT_ONCE else await to_thread.run_sync(judge)


def _too_large(most: int) -> ApiError:
    return ApiError(413, "BAD_REQUEST", f"The body is larger than {most} bytes, the most that this route takes.")
