"""A pipeline's tables in Unity Catalog: who may make them, and how they are described there."""

from __future__ import annotations

from collections.abc import Iterable

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.catalog.securables import STREAMING_TABLE
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.tables import DERIVED


class Published:
    """Streaming tables belong to one pipeline: no other may write them."""

    def __init__(self, workspace: Workspace, metastore: Metastore) -> None:
        self._workspace = workspace
        self._metastore = metastore

    def require(self, payload: str, owner: Principal, pipeline_id: str, names: Iterable[str]) -> None:
        """Pass, or raise 403 and 404 for what the owner lacks and 400 for a table that is another's."""
        access, missing = self._workspace.authorization, False
        access.require(owner, "SELECT", "table", payload)
        for name in names:
            table = self._workspace.store.get("table", name.lower())
            if table is None:
                missing = True
            elif table.get("pipeline_id") != pipeline_id:
                whose = table.get("pipeline_id")
                state = f"is already managed by pipeline {whose}" if whose else "exists, and no pipeline made it"
                raise ApiError(400, "INVALID_STATE", f"Table '{name}' {state}.")
        if missing:
            access.require(owner, "CREATE_TABLE", "schema", payload.rpartition(".")[0])

    def publish(self, payload: str, owner: Principal, pipeline_id: str) -> None:
        """Register the derived tables, or bring their columns to what they are now."""
        metastore = self._metastore
        for table in DERIVED:
            name = payload + table.suffix
            fields: Document = {"columns": _columns(metastore, name), "comment": table.comment}
            if self._workspace.store.get("table", name.lower()) is None:
                made = {**fields, "table_type": STREAMING_TABLE, "pipeline_id": pipeline_id}
                metastore.create("table", tuple(name.split(".")), owner.name, made)
            else:
                metastore.change("table", name, owner.name, fields)


def _columns(metastore: Metastore, name: str) -> list[Document]:
    """The columns of the Delta table, with the comments that the pipeline gave them."""
    from deltalake import DeltaTable
    from pyarrow import schema as arrow_schema

    from agent_deploy.local.statements import types

    described = DeltaTable(metastore.table_folder(name)).schema()
    comments = {field.name: str(field.metadata.get("comment") or "") for field in described.fields}
    stored = [field.with_type(types.storable(field.type)) for field in arrow_schema(described.to_arrow())]
    return [types.table_column(field, index, comments[field.name]) for index, field in enumerate(stored)]
