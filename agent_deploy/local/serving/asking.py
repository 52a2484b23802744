"""Endpoints asked by the workspace itself, such as by an index that has its texts embedded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving.endpoints import Endpoints
from agent_deploy.local.serving.invocations import PREFIX, Invocations

_AT_ONCE = 150  # texts of one request. Source: Databricks, "Foundation Model APIs limits", for embeddings
_SECONDS = 600.0  # a model may have to be started first


class EndpointEmbedder:
    """Texts to vectors, by an endpoint and with the privileges of whoever has them embedded. Not in the event loop."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._invocations = Invocations(_nothing, endpoints)

    def require(self, endpoint: str, principal: Principal) -> None:
        """Pass, or raise 404 without the endpoint and 403 without CAN_QUERY on it."""
        self._endpoints.require_query(principal, endpoint)

    def embed(self, endpoint: str, texts: Sequence[str], principal: Principal) -> list[list[float]]:
        """A vector for each text; raises ApiError with what the endpoint says."""
        found: list[list[float]] = []
        for start in range(0, len(texts), _AT_ONCE):
            part = list(texts[start : start + _AT_ONCE])
            asked = asyncio.run_coroutine_threadsafe(self._ask(endpoint, {"input": part}, principal), self._loop())
            vectors = _vectors(asked.result(_SECONDS))
            if len(vectors) != len(part):
                raise invalid(f"The endpoint '{endpoint}' answered {len(part)} texts with {len(vectors)} embeddings.")
            found += vectors
        return found

    def _loop(self) -> asyncio.AbstractEventLoop:
        if (loop := self._endpoints.loop) is None:
            raise ApiError(503, "TEMPORARILY_UNAVAILABLE", "The workspace is starting.")
        return loop

    async def _ask(self, endpoint: str, body: Document, principal: Principal) -> Any:
        status, parts = 500, list[bytes]()

        async def receive() -> Any:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        scope = {
            "type": "http",
            "method": "POST",
            "path": f"{PREFIX}{endpoint}/invocations",
            "headers": [(b"content-type", b"application/json")],
            "state": {"principal": principal},
        }
        await self._invocations(scope, receive, send)
        answer = json.loads(b"".join(parts) or b"null")
        if status >= 400:
            told = answer if isinstance(answer, dict) else {}
            message = told.get("message") or json.dumps(answer)
            raise ApiError(status, str(told.get("error_code") or "BAD_REQUEST"), f"{endpoint}: {message}")
        return answer


async def _nothing(*_: Any) -> None:
    raise AssertionError("an endpoint's path is always answered")


def _vectors(answer: Any) -> list[list[float]]:
    """Out of OpenAI's form, or out of MLflow's predictions."""
    given = answer if isinstance(answer, dict) else {}
    rows = [each.get("embedding") for each in given.get("data") or []] or given.get("predictions") or []
    if not all(isinstance(row, list) and all(isinstance(n, int | float) for n in row) for row in rows):
        raise invalid("The embedding model's answer has no vectors: expected data[…].embedding, lists of numbers.")
    return [[float(number) for number in row] for row in rows]
