"""A user's own conversations with agents, as his Review App shows them again: nobody else reads or writes them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document, Store
from agent_deploy.local.serving.endpoints import Endpoints

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[Document, Depends(json_body)]

_CONVERSATION, _TURN = "review_conversation", "review_turn"  # kinds of document
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_TITLE_CHARACTERS = 80
# Of a turn: what was asked, what came, how it was rated. The page writes them; the payload table has its own record.
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "question": str,
    "answer": str,
    "state": str,
    "error": str,
    "request_id": str,
    "trace_id": str,
    "asked_ms": (int, float),
    "duration_ms": (int, float),
    "sources": list,
    "trace": dict,
    "rating": dict,
}


def routes(store: Store, endpoints: Endpoints) -> APIRouter:
    """/_local/review/conversations: of the caller, by endpoint."""
    router = APIRouter(prefix="/_local/review/conversations")

    @router.get("")
    async def listing(endpoint: str, principal: Caller) -> Any:
        found = store.list(_CONVERSATION, parent=f"{principal.id}/{endpoint}")
        return {"conversations": sorted(found, key=lambda each: -each["updated_ms"])}

    @router.get("/{conversation}")
    async def get(conversation: str, principal: Caller) -> Any:
        found = store.get(_CONVERSATION, f"{principal.id}/{conversation}")
        if found is None:
            raise not_found(f"You have no conversation {conversation}.")
        return {**found, "turns": store.list(_TURN, parent=f"{principal.id}/{conversation}")}

    @router.put("/{conversation}/turns/{turn}")
    async def put(conversation: str, turn: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, str(required(body, "endpoint")), "CAN_QUERY").name
        document = {"id": _identifier(turn), **_checked(body)}
        key = f"{principal.id}/{_identifier(conversation)}"
        with store.transaction() as transaction:
            known = transaction.get(_CONVERSATION, key)
            if known is not None and known["endpoint"] != endpoint:
                raise invalid(f"endpoint {endpoint!r}: the conversation is one with {known['endpoint']!r}.")
            title = known["title"] if known else document["question"].strip()[:_TITLE_CHARACTERS]
            summary = {"id": conversation, "endpoint": endpoint, "title": title, "updated_ms": time.time() * 1000}
            transaction.put(_CONVERSATION, key, summary, parent=f"{principal.id}/{endpoint}")
            transaction.put(_TURN, f"{key}/{turn}", document, parent=key)
        return document

    @router.delete("/{conversation}")
    async def delete(conversation: str, principal: Caller) -> Any:
        key = f"{principal.id}/{conversation}"
        for turn in store.list(_TURN, parent=key):
            store.delete(_TURN, f"{key}/{turn['id']}")
        if not store.delete(_CONVERSATION, key):
            raise not_found(f"You have no conversation {conversation}.")
        return {}

    return router


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise invalid(f"id {value!r}: expected 8 to 64 letters, digits or '-'.")
    return value


def _checked(body: Document) -> Document:
    required(body, "question")
    for name, expected in _FIELDS.items():
        if body.get(name) is not None and not isinstance(body[name], expected):
            raise invalid(f"{name} {body[name]!r}: not of the expected type.")
    return {name: body[name] for name in _FIELDS if body.get(name) is not None}
