"""Genie spaces: documents with permissions."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

from agent_deploy.local.core.body import required
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import conflict, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.genie import matching

TYPE = "genie"  # in the permissions API
CAN_READ, CAN_RUN, CAN_EDIT, CAN_MANAGE = "CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE"
_KIND = "genie_space"
_CHANGEABLE = ("title", "description", "warehouse_id", "serialized_space", "parent_path")


class Spaces:
    """Document ``genie_space`` by id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._access = workspace.authorization

    def create(self, body: Document, principal: Principal) -> Document:
        """A new space; needs CAN_USE on its warehouse."""
        self._check(principal, required(body, "warehouse_id"), required(body, "serialized_space"))
        space_id, now = uuid.uuid4().hex, _now()
        document: Document = {"space_id": space_id, "title": str(body.get("title") or "New Space"), "etag": "1"}
        document |= {name: str(body[name]) for name in _CHANGEABLE if body.get(name) is not None}
        document |= {"creator": principal.name, "create_time": now, "update_time": now}
        self._store.put(_KIND, space_id, document)
        self._access.register_object(TYPE, space_id, principal, name=document["title"])
        return document

    def get(self, space_id: str, principal: Principal, level: str) -> Document:
        """Raises 404, and 403 without the level."""
        document = self._store.get(_KIND, space_id)
        if document is None:
            raise not_found(f"Genie space {space_id} does not exist.")
        self._access.require_object(principal, TYPE, space_id, level)
        return document

    def listing(self, principal: Principal) -> list[Document]:
        """Those on which the caller has a permission, without their content."""
        documents = self._store.list(_KIND)
        seen = (found for found in documents if self._access.object_levels(principal, TYPE, found["space_id"]))
        return [shown(document) for document in seen]

    def change(self, space_id: str, body: Document, principal: Principal) -> Document:
        """Needs CAN_EDIT, and CAN_USE on a new warehouse; raises 409 when ``etag`` is not the latest."""
        document = self.get(space_id, principal, CAN_EDIT)
        if body.get("etag") not in (None, document["etag"]):
            raise conflict(f"Genie space {space_id} was changed meanwhile: read it again.")
        self._check(principal, body.get("warehouse_id"), body.get("serialized_space"))
        changed = {name: str(body[name]) for name in _CHANGEABLE if body.get(name) is not None}
        document = {**document, **changed, "etag": str(int(document["etag"]) + 1), "update_time": _now()}
        return self._store.put(_KIND, space_id, document)

    def delete(self, space_id: str, principal: Principal) -> None:
        """Needs CAN_MANAGE; its conversations go with it."""
        self.get(space_id, principal, CAN_MANAGE)
        with self._store.transaction() as transaction:
            for kind in ("genie_conversation", "genie_message"):
                for document in self._store.list(kind):
                    if document["space_id"] == space_id:
                        transaction.delete(kind, document["id"])
            transaction.delete(_KIND, space_id)
        self._access.forget_object(TYPE, space_id)

    def _check(self, principal: Principal, warehouse_id: Any, content: Any) -> None:
        if warehouse_id is not None:
            self._access.require_object(principal, "sql/warehouses", str(warehouse_id), "CAN_USE")
        if content is not None:
            matching.parse(content)


def shown(document: Document, with_content: bool = False) -> Document:
    """As answers show it; the content only when asked for."""
    hidden = ("creator",) if with_content else ("creator", "serialized_space")
    return {name: value for name, value in document.items() if name not in hidden}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
