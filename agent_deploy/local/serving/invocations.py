"""The data plane: requests to endpoints and served entities, answered ahead of the other routes, streams unbuffered."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.serving.connections import Answer, ProcessGone
from agent_deploy.local.serving.endpoints import Endpoint, Endpoints
from agent_deploy.local.serving.process import BuildFailed
from agent_deploy.local.serving.replica import Replica

PREFIX = "/serving-endpoints/"
_OPENAI = {"chat/completions", "completions", "embeddings", "responses"}  # `model` names the endpoint
_MAX_REQUEST_BYTES = 16 << 20  # source: Databricks, "Model Serving limits and regions"
_HEADERS = "served-model-name", "x-request-id"


class Invocations:
    """Middleware, so that a question to a model does not pass the routers."""

    def __init__(self, app: ASGIApp, endpoints: Endpoints) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what lies below /serving-endpoints/, pass on the rest."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return await self._app(scope, receive, send)
        try:
            if scope["method"] != "POST":
                raise ApiError(405, "ENDPOINT_NOT_FOUND", f"{scope['path']} takes POST only.")
            body = await _body(receive)
            endpoint, entity, drop = self._target(scope["path"].removeprefix(PREFIX), body)
            level = "CAN_QUERY"
            self._endpoints.require(scope["state"]["principal"], endpoint.name, level)
            await Invocation(endpoint, entity, scope, body, drop).run(send)
        except ApiError as error:
            await _send(send, error.status, "application/json", json.dumps(error.body()).encode(), [])

    def _target(self, path: str, body: bytes) -> tuple[Endpoint, str | None, list[str]]:
        if path in _OPENAI:
            return self._endpoints.get(_model_of(body)), None, ["model"]
        match path.split("/"):
            case [name, "invocations"]:
                return self._endpoints.get(name), None, []
            case [name, "served-models", entity, "invocations"]:
                return self._endpoints.get(name), entity, []
        raise ApiError(501, "ENDPOINT_NOT_FOUND", f"The local workspace does not have POST {PREFIX}{path}.")


class Invocation:
    """One request to one served entity."""

    def __init__(self, endpoint: Endpoint, entity: str | None, scope: Scope, body: bytes, drop: list[str]) -> None:
        self._endpoint = endpoint
        self._replica = _choose(endpoint, entity)
        self._body = body
        self._id = str(uuid.uuid4())
        content_type = dict(scope["headers"]).get(b"content-type", b"application/json").decode("latin-1")
        self._question = {"id": self._id, "type": content_type, "drop": drop}
        self._headers = list(zip(_HEADERS, (self._replica.entity["name"], self._id), strict=True))

    async def run(self, send: Send) -> None:
        """Ask and answer; what fails before the answer begins is raised as ApiError."""
        replica = self._replica
        replica.in_flight += 1
        try:
            connections = await replica.running()
            async with connections.ask(self._question, self._body) as answer:
                if answer.header.get("stream"):
                    await self._stream(answer, send)
                else:
                    await self._whole(answer, send)
        except BuildFailed as error:
            raise ApiError(503, "TEMPORARILY_UNAVAILABLE", _not_running(self._endpoint, replica, error)) from error
        except ProcessGone as error:
            message = f"The process of served entity '{replica.entity['name']}' ended while it handled the request."
            raise ApiError(502, "INTERNAL_ERROR", message) from error
        finally:
            replica.in_flight -= 1
            replica.last_used = time.monotonic()

    async def _whole(self, answer: Answer, send: Send) -> None:
        length = answer.header["length"]
        shown = answer.body[:length]
        if answer.header["status"] >= 400:
            shown = self._replica.mask.bytes(shown)
        await _send(send, answer.header["status"], answer.header["type"], shown, self._headers)

    async def _stream(self, answer: Answer, send: Send) -> None:
        await send(_start(answer.header["status"], answer.header["type"], self._headers))
        try:
            async for chunk in answer.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except ProcessGone:
            error = {"error": {"error_code": "INTERNAL_ERROR", "message": "The model's process ended."}}
            await send({"type": "http.response.body", "body": _event(error), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _choose(endpoint: Endpoint, entity: str | None) -> Replica:
    replica = endpoint.choose() if entity is None else endpoint.entity(entity)
    if replica is not None:
        return replica
    if entity is not None:
        raise not_found(f"The endpoint '{endpoint.name}' serves no entity '{entity}'.")
    message = f"The endpoint '{endpoint.name}' is not ready: no served entity has been deployed."
    raise ApiError(400, "BAD_REQUEST", message)


def _not_running(endpoint: Endpoint, replica: Replica, error: BuildFailed) -> str:
    return f"The served entity '{replica.entity['name']}' of endpoint '{endpoint.name}' does not run: {error}"


def _model_of(body: bytes) -> str:
    try:
        name = json.loads(body)["model"]
    except (ValueError, TypeError, KeyError) as error:
        raise ApiError(400, "BAD_REQUEST", "The body must be JSON with 'model', the name of an endpoint.") from error
    return str(name)


async def _body(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "BAD_REQUEST", "The caller left.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MAX_REQUEST_BYTES:
            raise ApiError(413, "BAD_REQUEST", f"The request is larger than {_MAX_REQUEST_BYTES} bytes.")
        if not message.get("more_body"):
            return b"".join(parts) if len(parts) > 1 else parts[0]


async def _send(send: Send, status: int, content_type: str, body: bytes, headers: list[tuple[str, str]]) -> None:
    await send(_start(status, content_type, [*headers, ("content-length", str(len(body)))]))
    await send({"type": "http.response.body", "body": body})


def _start(status: int, content_type: str, headers: list[tuple[str, str]]) -> Any:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    encoded.append((b"content-type", content_type.encode("latin-1")))
    return {"type": "http.response.start", "status": status, "headers": encoded}


def _event(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
