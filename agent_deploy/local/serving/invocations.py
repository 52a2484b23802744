"""The data plane: requests to endpoints and served entities, answered ahead of the other routes, streams unbuffered."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from agent_deploy.local.core.endpoint_tokens import authenticate
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.serving.connections import Answer, Connections, NotReached, ProcessGone
from agent_deploy.local.serving.endpoints import OWN_PREFIX, Endpoint, Endpoints
from agent_deploy.local.serving.payload_writer import Exchange
from agent_deploy.local.serving.process import BuildFailed
from agent_deploy.local.serving.replica import Replica

PREFIX = "/serving-endpoints/"
OPENAI = ("chat/completions", "responses", "completions", "embeddings")  # `model` names the endpoint
_MAX_REQUEST_BYTES = 16 << 20  # source: Databricks, "Model Serving limits and regions"
_AT_ONCE = 32 << 10  # bytes
ERROR_EVENT = b'data: {"error"'  # may quote what the model's code raised
DONE_EVENT = b"data: [DONE]\n\n"
_HEADERS = "served-model-name", "x-request-id"


class Invocations:
    """Middleware, so that a question to a model does not pass the routers."""

    def __init__(self, app: ASGIApp, endpoints: Endpoints) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what lies below /serving-endpoints/ and what route-optimised endpoints have; pass on the rest."""
        if scope["type"] != "http" or not scope["path"].startswith((PREFIX, OWN_PREFIX)):
            return await self._app(scope, receive, send)
        try:
            if scope["method"] != "POST":
                raise ApiError(405, "ENDPOINT_NOT_FOUND", f"{scope['path']} takes POST only.")
            body = await _body(receive)
            if scope["path"].startswith(OWN_PREFIX):
                endpoint, entity, drop = self._at_own_url(scope), None, list[str]()
            else:
                name, entity, drop = await _target(scope["path"].removeprefix(PREFIX), body)
                if name in self._endpoints.foundation:
                    self._endpoints.foundation.require(scope["state"]["principal"], name)
                    if not (by := self._endpoints.foundation.served_by(name)):
                        return await self._answer_by_itself(name, body, send)
                    # The workspace asks it, whoever may ask the foundation model.
                    answering = Invocation(self._endpoints, self._endpoints.get(by), None, scope, body, drop)
                    return await answering.run(receive, send)
                endpoint = self._endpoints.get(name)
                _refuse_detour(endpoint, entity, scope)
            self._endpoints.require(scope["state"]["principal"], endpoint.name, "CAN_QUERY")
            await Invocation(self._endpoints, endpoint, entity, scope, body, drop).run(receive, send)
        except ApiError as error:
            await _send(send, error.status, "application/json", json.dumps(error.body()).encode(), [])

    async def _answer_by_itself(self, name: str, body: bytes, send: Send) -> None:
        said = await self._endpoints.foundation.ask(name, body)
        headers = [(_HEADERS[0], name), (_HEADERS[1], str(uuid.uuid4()))]
        if said.events is None:
            return await _send(send, said.status, said.type, said.body, headers)
        await send(_start(said.status, said.type, headers))
        async for event in said.events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _at_own_url(self, scope: Scope) -> Endpoint:
        """The route-optimised endpoint of the URL; the caller is whom the token for it was given to."""
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        workspace = self._endpoints.workspace
        match scope["path"].removeprefix(OWN_PREFIX).split("/"):
            case [workspace.workspace_id, "serving-endpoints", name, "invocations"]:
                endpoint = self._endpoints.find(name)
                if endpoint is not None and endpoint.document["route_optimized"]:
                    principal = authenticate(workspace, header, endpoint.document["id"])
                    scope.setdefault("state", {})["principal"] = principal
                    return endpoint
        raise not_found(f"No route-optimized endpoint has the URL {scope['path']}.")


async def _target(path: str, body: bytes) -> tuple[str, str | None, list[str]]:
    """Which endpoint is asked, which of its entities, and which fields of the question are not the model's."""
    if path in OPENAI:
        # A large body takes a while to read.
        name = _model_of(body) if len(body) <= _AT_ONCE else await asyncio.to_thread(_model_of, body)
        return name, None, ["model"]
    match path.split("/"):
        case [name, "invocations"]:
            return name, None, []
        case [name, "served-models", entity, "invocations"]:
            return name, entity, []
    raise ApiError(501, "ENDPOINT_NOT_FOUND", f"The local workspace does not have POST {PREFIX}{path}.")


def _refuse_detour(endpoint: Endpoint, entity: str | None, scope: Scope) -> None:
    """A route-optimised endpoint is asked at its own URL alone, except by the pages; its entities have no such URL."""
    # Source: Databricks, "Query route-optimized serving endpoints", for endpoints made since 2025-09-22.
    has_token = "token" in scope["state"]  # else a page's session
    if endpoint.document["route_optimized"] and entity is None and has_token:
        message = (
            f"The endpoint '{endpoint.name}' is route-optimized: ask it at its endpoint_url, which GET "
            f"/api/2.0/serving-endpoints/{endpoint.name} tells."
        )
        raise ApiError(400, "BAD_REQUEST", message)


class Invocation:
    """One request to one served entity."""

    def __init__(
        self, endpoints: Endpoints, endpoint: Endpoint, entity: str | None, scope: Scope, body: bytes, drop: list[str]
    ) -> None:
        self._payloads = endpoints.payloads
        self._invokers = endpoints.invokers
        self._endpoint = endpoint
        self._replica = _choose(endpoint, entity)
        self._requester: Principal = scope["state"]["principal"]
        self._body = body
        self._id = str(uuid.uuid4())
        content_type = dict(scope["headers"]).get(b"content-type", b"application/json").decode("latin-1")
        self._question = {"id": self._id, "type": content_type, "drop": drop}
        self._headers = list(zip(_HEADERS, (self._replica.entity["name"], self._id), strict=True))
        self._time, self._started = time.time(), time.perf_counter()

    async def run(self, receive: Receive, send: Send) -> None:
        """Ask and answer; what fails before the answer begins is raised as ApiError."""
        replica = self._replica
        replica.in_flight += 1
        try:
            while not await self._asked(receive, send):
                pass
        except BuildFailed as error:
            message = f"The served entity '{replica.entity['name']}' of endpoint '{self._endpoint.name}' does not run"
            raise ApiError(503, "TEMPORARILY_UNAVAILABLE", f"{message}: {error}") from error
        except ProcessGone as error:
            message = f"The process of served entity '{replica.entity['name']}' ended while it handled the request."
            failure = ApiError(502, "INTERNAL_ERROR", message)
            self._log(failure.status, json.dumps(failure.body()).encode())
            raise failure from error
        finally:
            replica.in_flight -= 1
            replica.last_used = time.monotonic()

    async def _asked(self, receive: Receive, send: Send) -> bool:
        """Whether the process could be asked; it may have ended a moment ago, and then another one comes."""
        connections = await self._replica.running()
        if self._endpoint.payload_folder is not None:
            await self._payloads.loaded()
        if scopes := self._replica.user_scopes:
            self._question["user_token"] = self._invokers.token_of(self._requester, scopes, self._replica.mask)
        try:
            async with connections.ask(self._question, self._body) as answer:
                if answer.header.get("stream"):
                    await self._stream(answer, receive, send, connections)
                else:
                    self._heed(answer, connections)
                    await self._whole(answer, send)
        except ProcessGone as error:
            await self._replica.gone(connections)
            if isinstance(error, NotReached):
                return False
            raise
        return True

    def _heed(self, answer: Answer, connections: Connections) -> None:
        """Before the caller is answered, so that his next request meets another process."""
        if cause := answer.header.get("ends"):
            self._replica.leave(connections, cause)

    async def _whole(self, answer: Answer, send: Send) -> None:
        status, length = answer.header["status"], answer.header["length"]
        shown, logged = answer.body[:length], answer.body[length:]
        if status >= 400:
            # Beside the event loop: the model chooses how long that is.
            shown, logged = [await asyncio.to_thread(self._replica.mask.bytes, text) for text in (shown, logged)]
        await _send(send, status, answer.header["type"], shown, self._headers)
        self._log(status, logged or shown, client_request_id=answer.header.get("client_request_id"))

    async def _stream(self, answer: Answer, receive: Receive, send: Send, connections: Connections) -> None:
        events: list[bytes] = []
        client_request_id, status, end = answer.header.get("client_request_id"), answer.header["status"], b""
        caller = asyncio.create_task(_left(receive))
        try:
            await send(_start(status, answer.header["type"], self._headers))
            async for chunk in _while_listening(answer.chunks(), caller):
                events.append(self._replica.mask.bytes(chunk) if chunk.startswith(ERROR_EVENT) else chunk)
                await send({"type": "http.response.body", "body": events[-1], "more_body": True})
            if not answer.complete:
                return  # the caller has left: leaving hangs up on the model
            # Sent last of all: clients hang up when they have read it, and the trace came after the last event.
            self._heed(answer, connections)
            status, end = answer.header["status"], DONE_EVENT
        except ProcessGone:
            status = 502
            error = {"error": {"error_code": "INTERNAL_ERROR", "message": "The model's process ended."}}
            events.append(b"data: " + json.dumps(error).encode() + b"\n\n")
            await send({"type": "http.response.body", "body": events[-1], "more_body": True})
        finally:
            caller.cancel()
            # Also when the caller has left: what the model said until then is kept.
            self._log(status, b"", events, answer.body, client_request_id)
        await send({"type": "http.response.body", "body": end})

    def _log(
        self,
        status: int,
        response: bytes,
        events: list[bytes] | None = None,
        trace: bytes = b"",
        client_request_id: str | None = None,
    ) -> None:
        duration = (time.perf_counter() - self._started) * 1000
        entity = self._replica.entity
        self._endpoint.metrics.add(entity["name"], status, duration)
        if (folder := self._endpoint.payload_folder) is None:
            return
        self._payloads.add(
            Exchange(
                folder=folder,
                request_id=self._id,
                client_request_id=client_request_id,
                time=self._time,
                duration_ms=round(duration),
                status=status,
                request=self._body,
                response=response,
                events=events,
                trace=trace,
                entity_id=entity["id"],
                requester=self._requester.name,
            )
        )


def _choose(endpoint: Endpoint, entity: str | None) -> Replica:
    replica = endpoint.choose() if entity is None else endpoint.entity(entity)
    if replica is not None:
        return replica
    if entity is not None:
        raise not_found(f"The endpoint '{endpoint.name}' serves no entity '{entity}'.")
    message = f"The endpoint '{endpoint.name}' is not ready: no served entity has been deployed."
    raise ApiError(400, "BAD_REQUEST", message)


def _model_of(body: bytes) -> str:
    try:
        name = json.loads(body)["model"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ApiError(400, "BAD_REQUEST", "The body must be JSON with 'model', the name of an endpoint.") from error
    return str(name)


async def _while_listening(chunks: AsyncIterator[bytes], caller: asyncio.Task[None]) -> AsyncIterator[bytes]:
    """The chunks, until there are no more or the caller has left."""
    while not caller.done():
        following = asyncio.ensure_future(anext(chunks, None))
        await asyncio.wait({following, caller}, return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        elif (chunk := following.result()) is None:
            return
        else:
            yield chunk


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
