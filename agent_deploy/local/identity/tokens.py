"""Personal access tokens: how they are made, found and shown."""

from __future__ import annotations

import time
import uuid

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

_KIND = "pat"
_LONGEST = 100 * 365 * 24 * 3600  # seconds; what a client can read as a date


def issue(workspace: Workspace, bearer: Principal, creator: Principal, body: Document) -> Document:
    """The answer with a new token of the bearer; raises 400 for a lifetime that is none."""
    seconds = body.get("lifetime_seconds")
    if seconds is not None and (not isinstance(seconds, (int, float)) or not 0 < seconds <= _LONGEST):
        raise invalid(f"lifetime_seconds {seconds!r}: expected a number of seconds above 0, at most {_LONGEST}.")
    more: Document = {"kind": _KIND, "token_id": uuid.uuid4().hex, "created": time.time(), "creator": creator.name}
    token = workspace.principals.issue_token(bearer.id, seconds, comment=str(body.get("comment") or ""), **more)
    info = next(found for found in tokens_of(workspace, bearer.id) if found["token_id"] == more["token_id"])
    return {"token_value": token, "token_info": shown(info)}


def tokens_of(workspace: Workspace, principal_id: str | None) -> list[Document]:
    """The personal access tokens of a principal, or of all."""
    return [token for token in workspace.store.list("token", parent=principal_id) if token.get("kind") == _KIND]


def delete_token(workspace: Workspace, token_id: str, among: list[Document]) -> None:
    """Raises 404 when it is not among them."""
    for document in among:
        if document["token_id"] == token_id:
            workspace.store.delete("token", document["key"])
            return
    raise not_found(f"Token with id {token_id} does not exist.")


def shown(document: Document) -> Document:
    """As its bearer sees it."""
    expiry = -1 if document["expires"] is None else int(document["expires"] * 1000)
    answer = {"token_id": document["token_id"], "creation_time": int(document["created"] * 1000)}
    return {**answer, "expiry_time": expiry, "comment": document["comment"]}


def shown_to_admin(document: Document) -> Document:
    """With whose it is, and who made it."""
    return {**shown(document), "owner_id": int(document["principal_id"]), "created_by_username": document["creator"]}
