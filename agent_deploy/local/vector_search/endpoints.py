"""Vector search endpoints: documents with states and permissions; the local workspace searches without them."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import Any

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import already_exists, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

TYPE = "vector-search-endpoints"  # in the permissions API
CAN_USE = "CAN_USE"
PROVISIONING, ONLINE, STOPPED = "PROVISIONING", "ONLINE", "STOPPED"
KINDS = ("STANDARD", "STORAGE_OPTIMIZED")
_KIND = "vector_search_endpoint"
# Source: Databricks, "Create a vector search endpoint".
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,47}[A-Za-z0-9])?")


class Endpoints:
    """Document ``vector_search_endpoint`` by name."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._tasks: set[asyncio.Task[None]] = set()

    def recover(self) -> None:
        """After a restart: what was on its way has arrived."""
        for document in self._store.list(_KIND):
            if document["endpoint_status"]["state"] == PROVISIONING:
                self._arrived(document["name"])

    def create(self, body: Document, principal: Principal) -> Document:
        """A new endpoint, about to be online; raises 400 and 409. To be called in the event loop."""
        name, kind = body.get("name"), body.get("endpoint_type") or KINDS[0]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise invalid(
                f"name {name!r}: expected up to 49 letters, digits, '-' and '_', a letter or digit at each end."
            )
        if kind not in KINDS:
            raise invalid(f"endpoint_type {kind!r}: expected one of {', '.join(KINDS)}.")
        if self._store.get(_KIND, name) is not None:
            raise already_exists(f"Vector search endpoint with name {name} already exists.", status=409)
        now = int(time.time() * 1000)
        document: Document = {"name": name, "id": str(uuid.uuid4()), "endpoint_type": kind, "creator": principal.name}
        document |= {"creation_timestamp": now, "last_updated_timestamp": now, "last_updated_user": principal.name}
        document["endpoint_status"] = {"state": PROVISIONING}
        self._store.put(_KIND, name, document)
        self._workspace.authorization.register_object(TYPE, document["id"], principal, name=name)
        task = asyncio.get_running_loop().create_task(self._arrive(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._shown(document)

    def get(self, name: str, principal: Principal, level: str) -> Document:
        """Raises 404, and 403 without the level."""
        document = self._store.get(_KIND, name)
        if document is None:
            raise not_found(f"Vector search endpoint {name} does not exist.")
        self._workspace.authorization.require_object(principal, TYPE, document["id"], level)
        return self._shown(document)

    def listing(self, principal: Principal) -> list[Document]:
        """Those on which the caller has a permission."""
        access = self._workspace.authorization
        documents = self._store.list(_KIND)
        return [self._shown(found) for found in documents if access.object_levels(principal, TYPE, found["id"])]

    def change(self, name: str, principal: Principal, fields: dict[str, Any]) -> Document:
        """Needs CAN_MANAGE."""
        self.get(name, principal, "CAN_MANAGE")
        document = {**(self._store.get(_KIND, name) or {}), **fields, "last_updated_user": principal.name}
        self._store.put(_KIND, name, {**document, "last_updated_timestamp": int(time.time() * 1000)})
        return self._shown(document)

    def switch(self, name: str, principal: Principal, on: bool) -> Document:
        """Online, or stopped: its indexes answer nothing then. Needs CAN_MANAGE."""
        return self.change(name, principal, {"endpoint_status": {"state": ONLINE if on else STOPPED}})

    def require_online(self, name: str) -> None:
        """Raises 400 for one that was stopped."""
        document = self._store.get(_KIND, name)
        if document is not None and document["endpoint_status"]["state"] == STOPPED:
            raise invalid(f"Vector search endpoint {name} is stopped: start it, and its indexes answer.")

    def delete(self, name: str, principal: Principal) -> None:
        """Needs CAN_MANAGE; raises 400 while indexes are on it."""
        document = self.get(name, principal, "CAN_MANAGE")
        if document["num_indexes"]:
            raise invalid(f"Vector search endpoint {name} has {document['num_indexes']} index(es): delete those first.")
        self._store.delete(_KIND, name)
        self._workspace.authorization.forget_object(TYPE, document["id"])

    async def _arrive(self, name: str) -> None:
        await self._workspace.transitions.pause(f"vector-search-endpoints/{name}/online")
        self._arrived(name)

    def _arrived(self, name: str) -> None:
        if (document := self._store.get(_KIND, name)) is not None:
            self._store.put(_KIND, name, {**document, "endpoint_status": {"state": ONLINE}})

    def _shown(self, document: Document) -> Document:
        return {**document, "num_indexes": len(self._store.list("vector_index", document["name"]))}
