"""SQL warehouses as documents, and how they start and stop."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from urllib.parse import urlsplit

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

TYPE = "sql/warehouses"  # in the permissions API
RUNNING, STOPPED, STARTING, STOPPING = "RUNNING", "STOPPED", "STARTING", "STOPPING"
SIZES = ("2X-Small", "X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large", "3X-Large", "4X-Large")
# What the platform fills in. Source: its SQL warehouses API reference.
_DEFAULTS: Document = {
    "cluster_size": "X-Small",
    "min_num_clusters": 1,
    "max_num_clusters": 1,
    "auto_stop_mins": 120,
    "spot_instance_policy": "COST_OPTIMIZED",
    "enable_photon": True,
    "enable_serverless_compute": False,
    "warehouse_type": "PRO",
    "channel": {"name": "CHANNEL_NAME_CURRENT"},
}
_FIELDS = (*_DEFAULTS, "name", "tags", "instance_profile_arn")


class Warehouses:
    """Document ``warehouse`` by id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._tasks: set[asyncio.Task[None]] = set()

    def recover(self) -> None:
        """After a restart: what was on its way has arrived."""
        for warehouse in self._store.list("warehouse"):
            arrived = {STARTING: RUNNING, STOPPING: STOPPED}.get(warehouse["state"])
            if arrived:
                self._store.put("warehouse", warehouse["id"], {**warehouse, "state": arrived})

    def list(self) -> Documents:
        """All, oldest first."""
        return [self._shown(warehouse) for warehouse in self._store.list("warehouse")]

    def get(self, warehouse_id: str) -> Document:
        """Raises 404."""
        return self._shown(self._kept(warehouse_id))

    def create(self, body: Document, principal: Principal) -> Document:
        """A new warehouse, about to start; raises 400 for a taken name or a bad size. Call it in the event loop."""
        fields = self._checked(body, {})
        warehouse_id, number = secrets.token_hex(8), self._store.next_number("warehouse", 1)
        document = {**_DEFAULTS, **fields, "id": warehouse_id, "creator_name": principal.name, "state": STARTING}
        document["data_source_id"] = f"00000000-0000-0000-0000-{number:012d}"
        self._store.put("warehouse", warehouse_id, document)
        self._workspace.authorization.register_object(TYPE, warehouse_id, principal, name=document["name"])
        self._arrive(warehouse_id, RUNNING)
        return document

    def edit(self, warehouse_id: str, body: Document) -> None:
        """Change what the body names."""
        held = self._kept(warehouse_id)
        self._store.put("warehouse", warehouse_id, {**held, **self._checked({**held, **body}, held)})

    def delete(self, warehouse_id: str) -> None:
        """With its ACL."""
        self._kept(warehouse_id)
        self._store.delete("warehouse", warehouse_id)
        self._workspace.authorization.forget_object(TYPE, warehouse_id)

    def move(self, warehouse_id: str, through: str, to: str) -> None:
        """Start or stop; nothing to do when it is there already. To be called in the event loop."""
        held = self._kept(warehouse_id)
        if held["state"] not in (through, to):
            self._store.put("warehouse", warehouse_id, {**held, "state": through})
            self._arrive(warehouse_id, to)

    def data_sources(self) -> Documents:
        """The older name under which queries find their warehouse."""
        return [
            {"id": w["data_source_id"], "warehouse_id": w["id"], "name": w["name"], "type": "databricks_internal"}
            for w in self._store.list("warehouse")
        ]

    def _arrive(self, warehouse_id: str, state: str) -> None:
        async def wait() -> None:
            await self._workspace.transitions.pause(f"warehouses/{warehouse_id}/{state.lower()}")
            if (held := self._store.get("warehouse", warehouse_id)) is not None:
                self._store.put("warehouse", warehouse_id, {**held, "state": state})

        task = asyncio.get_running_loop().create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _kept(self, warehouse_id: str) -> Document:
        document = self._store.get("warehouse", warehouse_id)
        if document is None:
            raise not_found(f"SQL warehouse {warehouse_id} does not exist.")
        return document

    def _checked(self, body: Document, held: Document) -> Document:
        fields: dict[str, Any] = {name: body[name] for name in _FIELDS if body.get(name) is not None}
        if not fields.get("name"):
            raise invalid("name: a SQL warehouse needs one.")
        if fields.get("cluster_size", SIZES[0]) not in SIZES:
            raise invalid(f"cluster_size {fields['cluster_size']!r}: expected one of {', '.join(SIZES)}.")
        others = (w for w in self._store.list("warehouse") if w["id"] != held.get("id"))
        if any(other["name"] == fields["name"] for other in others):
            raise invalid(f"A SQL warehouse with the name {fields['name']!r} already exists.")
        return fields

    def _shown(self, document: Document) -> Document:
        address = urlsplit(self._workspace.host)
        path = f"/sql/1.0/warehouses/{document['id']}"
        odbc = {"hostname": address.hostname, "path": path, "port": address.port, "protocol": address.scheme}
        running = document["state"] == RUNNING
        shown = {name: value for name, value in document.items() if name != "data_source_id"}
        return {**shown, "odbc_params": odbc, "num_clusters": int(running), "num_active_sessions": 0}


Documents = list[Document]
