"""The foundation models that every workspace of the platform serves by itself: endpoints `databricks-…`.

Each is answered by what the user names, or by a stand-in. Source: Databricks, "Foundation Model APIs".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving import stand_in_models
from agent_deploy.rules.groups import USERS
from agent_deploy.rules.names import RESERVED_PREFIX

if TYPE_CHECKING:
    import httpx

OPTION = "foundation_models"  # of the workspace: name → what answers for it
_OBJECT, _LEVEL = "serving-endpoints", "CAN_QUERY"
_CHAT, _EMBEDDINGS = "llm/v1/chat", "llm/v1/embeddings"
# Some of each family. Source: Databricks, "Databricks-hosted foundation models", of 2026.
_TASKS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "databricks-claude-sonnet-4", "databricks-claude-sonnet-4-5", "databricks-claude-opus-4-1",
            "databricks-claude-3-7-sonnet", "databricks-meta-llama-3-3-70b-instruct",
            "databricks-meta-llama-3-1-8b-instruct", "databricks-llama-4-maverick", "databricks-gpt-oss-120b",
            "databricks-gpt-oss-20b", "databricks-gpt-5", "databricks-gpt-5-mini", "databricks-gemini-2-5-pro",
            "databricks-gemini-2-5-flash", "databricks-gemma-3-12b",
        ),
        _CHAT,
    ),
    **dict.fromkeys(
        ("databricks-gte-large-en", "databricks-bge-large-en", "databricks-qwen3-embedding-0-6b"), _EMBEDDINGS
    ),
}  # fmt: skip
_BY = "https://docs.databricks.com/machine-learning/foundation-model-apis/supported-models.html"
_SECONDS = 300.0  # for an address to answer


@dataclass(frozen=True)
class Said:
    """An answer, whole or as server-sent events."""

    body: bytes = b""
    events: AsyncIterator[bytes] | None = None
    status: int = 200
    type: str = "application/json"


class FoundationModels:
    """The endpoints that nobody made: everybody may ask them, and nobody may change them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._answers: Mapping[str, str] = workspace.options.get(OPTION) or {}
        named = {name: _EMBEDDINGS if "embed" in name else _CHAT for name in self._answers}
        self._tasks = {**named, **_TASKS}
        for name in self._tasks:
            self._admit_everybody(name)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def served_by(self, name: str) -> str:
        """The serving endpoint of this workspace that answers for it; empty where none does."""
        by = self._answers.get(name, "")
        return "" if "://" in by else by

    def require(self, principal: Principal, name: str) -> None:
        """Pass, or raise 403: a served model's own identity has to declare it."""
        self._workspace.authorization.require_object(principal, _OBJECT, _id(name), _LEVEL)

    def refuse(self, name: str) -> ApiError:
        """To be raised where somebody would change one."""
        message = f"The endpoint '{name}' is a foundation model's, which Databricks keeps: it cannot be changed."
        return ApiError(400, "INVALID_PARAMETER_VALUE", message)

    def listing(self, principal: Principal) -> list[Document]:
        """Those that the caller may ask."""
        allows = self._workspace.authorization.allows_object
        return [self.view(name) for name in self._tasks if allows(principal, _OBJECT, _id(name), _LEVEL)]

    def view(self, name: str) -> Document:
        """As the API shows one: without an id or a creator, as nobody changes who may ask it."""
        by = self._answers.get(name)
        description = f"Answered by {by}." if by else stand_in_models.DESCRIPTION
        model = {"name": f"system.ai.{name}", "display_name": name, "docs": _BY, "description": description}
        entity = {
            "name": name,
            "entity_name": model["name"],
            "type": "FOUNDATION_MODEL",
            "foundation_model": model,
            "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""},
        }
        routes = [{"served_model_name": name, "served_entity_name": name, "traffic_percentage": 100}]
        return {
            "name": name,
            "state": {"ready": "READY", "config_update": "NOT_UPDATING"},
            "config": {"served_entities": [entity], "traffic_config": {"routes": routes}},
            "endpoint_type": "FOUNDATION_MODEL_API",
            "task": self._tasks[name],
            "description": description,
            "tags": [],
            "creation_timestamp": 0,
            "last_updated_timestamp": 0,
            "permission_level": _LEVEL,
        }

    async def ask(self, name: str, body: bytes) -> Said:
        """The answer to one question, which no served endpoint gives (``served_by``)."""
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "BAD_REQUEST", "The body must be JSON.") from error
        if not isinstance(asked, dict):
            raise ApiError(400, "BAD_REQUEST", "The body must be a JSON object.")
        if address := self._answers.get(name):
            return await _of_address(address, name, self._tasks[name], asked)
        if self._tasks[name] == _EMBEDDINGS:
            return Said(json.dumps(stand_in_models.embeddings(name, asked)).encode())
        answer = stand_in_models.completion(name, asked)
        if not asked.get("stream"):
            return Said(json.dumps(answer).encode())
        return Said(events=stand_in_models.streamed(answer), type="text/event-stream")

    def _admit_everybody(self, name: str) -> None:
        store, key = self._workspace.store, f"{_OBJECT}/{_id(name)}"
        if store.get("object", key) is not None:
            return
        entry = {"kind": "group", "name": USERS, "level": _LEVEL}
        with store.transaction() as transaction:
            transaction.put("object", key, {"type": _OBJECT, "id": _id(name), "creator": "", "name": name})
            transaction.put("acl", key, {"key": key, "entries": [entry]})


def check_answers(given: Mapping[str, str]) -> None:
    """Raises ValueError that names what answers for no foundation model, or from too far away."""
    from urllib.parse import urlsplit

    for name, by in given.items():
        if not name.startswith(RESERVED_PREFIX):
            raise ValueError(f"{name!r}: expected the name of a foundation model's endpoint, {RESERVED_PREFIX}…")
        if "://" in by and urlsplit(by).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"{name}={by}: expected an address on this machine, such as http://127.0.0.1:11434/v1")


async def _of_address(address: str, name: str, task: str, asked: Document) -> Said:
    """An OpenAI-compatible API's answer; behind a # stands what it calls the model."""
    import httpx

    url, _, model = address.partition("#")
    path = "embeddings" if task == _EMBEDDINGS else "chat/completions"
    client = httpx.AsyncClient(timeout=_SECONDS, trust_env=False)
    request = client.build_request("POST", f"{url.rstrip('/')}/{path}", json={**asked, "model": model or name})
    try:
        answer = await client.send(request, stream=True)
    except httpx.HTTPError as error:
        await client.aclose()
        message = f"{url} does not answer for {name}: {error or type(error).__name__}"
        raise ApiError(503, "TEMPORARILY_UNAVAILABLE", message) from error
    kind = answer.headers.get("content-type", "application/json")
    if kind.startswith("text/event-stream"):
        return Said(events=_closing(client, answer), status=answer.status_code, type=kind)
    async with _closed(client):
        return Said(await answer.aread(), status=answer.status_code, type=kind)


@asynccontextmanager
async def _closed(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """Closed in the end; it was opened by its first request."""
    try:
        yield
    finally:
        await client.aclose()


async def _closing(client: httpx.AsyncClient, answer: httpx.Response) -> AsyncIterator[bytes]:
    async with _closed(client):
        async for chunk in answer.aiter_bytes():
            yield chunk


def _id(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
