"""Vector search indexes: objects of Unity Catalog whose rows are a Delta table of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.catalog.ownership import definer
from agent_deploy.local.core.body import required
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden, invalid, not_found
from agent_deploy.local.core.json_text import parse_field
from agent_deploy.local.core.lazy import Lazy
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.supervision import contained
from agent_deploy.local.vector_search import specs
from agent_deploy.local.vector_search.embedding import Embedder
from agent_deploy.local.vector_search.endpoints import CAN_USE, Endpoints

if TYPE_CHECKING:
    import pyarrow as pa

    from agent_deploy.local.statements.delta import DeltaTables
    from agent_deploy.local.vector_search.search import Searchable

SELECT, MODIFY, MANAGE, BROWSE = "SELECT", "MODIFY", "MANAGE", "BROWSE"
VECTOR_INDEX = "VECTOR_INDEX_FORMAT"  # of `data_source_format`, by which the catalog tells an index from a table
_KIND = "vector_index"
_SHOWN = ("name", "endpoint_name", "endpoint_id", "index_type", "index_subtype", "primary_key", "creator")
_NO_EMBEDDINGS = "No embedding_model_endpoint_name: query_text is answered by full-text search."
_log = logging.getLogger(__name__)


class Indexes:
    """Documents ``vector_index`` by full name; what the catalog knows of an index is a table of the same name."""

    def __init__(
        self,
        workspace: Workspace,
        metastore: Metastore,
        tables: Lazy[DeltaTables],
        endpoints: Endpoints,
        embedder: Lazy[Embedder],
    ) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._access = workspace.authorization
        self._metastore = metastore
        self._lazy_tables = tables
        self._endpoints = endpoints
        self._embedder = embedder
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: dict[str, tuple[int, Searchable]] = {}
        self._loading, self._telling = threading.Lock(), threading.Lock()

    @property
    def _tables(self) -> DeltaTables:
        return self._lazy_tables()

    def recover(self) -> None:
        """After a restart: what was not ready is built."""
        for index in self._store.list(_KIND):
            if not index["status"]["ready"]:
                self.start(index["name"])

    def create(self, body: Document, principal: Principal) -> Document:
        """A new index, yet to be started. Needs CREATE TABLE, CAN_USE on the endpoint, and SELECT on its source."""
        index = specs.checked(body)
        endpoint = self._endpoints.get(index["endpoint_name"], principal, CAN_USE)
        self._access.require(principal, "CREATE_TABLE", "schema", index["name"].rpartition(".")[0])
        for model in specs.embedding_endpoints(index):
            self._embedder().require(model, principal)
        schema = self._schema(index, principal)
        document = self._create_table(index["name"], schema, principal)
        status: Document = {"ready": False, "detailed_state": "PROVISIONING", "indexed_row_count": 0}
        status["message"] = _message(index)
        index |= {"endpoint_id": endpoint["id"], "creator": principal.name, "status": status}
        index["table_id"] = document["table_id"]
        return self._shown(self._put(index))

    def get(self, name: str, principal: Principal, endpoint_name: str = "") -> Document:
        """Raises 404, also for one of another endpoint than the one named, and 403."""
        return self._shown(self._allowed(name, principal, BROWSE, endpoint_name))

    def listing(self, endpoint_name: str, principal: Principal) -> list[Document]:
        """Those of an endpoint that the caller may see."""
        self._endpoints.get(endpoint_name, principal, CAN_USE)
        found = [index for index in self._store.list(_KIND, endpoint_name) if self._exists(index)]
        visible = (index for index in found if self._access.visible(principal, "table", index["name"]))
        return [{field: index[field] for field in _SHOWN} for index in visible]

    def delete(self, name: str, principal: Principal, endpoint_name: str = "") -> None:
        """Needs MANAGE."""
        index = self._allowed(name, principal, MANAGE, endpoint_name)
        self._metastore.delete("table", index["name"])
        self._forget(index["name"])

    def to_sync(self, name: str, principal: Principal) -> str:
        """Full name of a delta sync index that the caller may build anew from its source; needs MANAGE."""
        index = self._allowed(name, principal, MANAGE)
        if index["index_type"] != specs.DELTA_SYNC:
            raise invalid(
                f"Index {index['name']} is of type {index['index_type']}: only delta sync indexes are synced."
            )
        return str(index["name"])

    def start(self, name: str) -> None:
        """Build it soon. To be called in the event loop."""
        task = asyncio.get_running_loop().create_task(self._arrive(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def searchable(self, name: str, principal: Principal) -> tuple[Document, Searchable]:
        """An index and its rows; needs SELECT. Raises 400 while it is not ready."""
        index = self._allowed(name, principal, SELECT)
        self._endpoints.require_online(index["endpoint_name"])
        if not index["status"]["ready"]:
            raise invalid(f"Index {index['name']} is not ready: {index['status']['detailed_state']}.")
        if _is_continuous(index) and self._source_version(index) != index["status"].get("source_version"):
            index = self._build(index["name"])
        return index, self._loaded(index)

    def embedded(self, index: Document, text: str, principal: Principal) -> list[float] | None:
        """A question's vector, by the index's model as whoever asks; None where no model is named."""
        if not (models := specs.embedding_endpoints(index)):
            return None
        [vector] = self._embedder().embed(models[-1], [text], principal)
        return vector

    def upsert(self, name: str, body: Document, principal: Principal) -> Document:
        """Rows into a direct access index; needs MODIFY."""
        import pyarrow as pa

        index = self._direct(name, principal)
        rows = _rows(required(body, "inputs_json"))
        schema, key = self._tables.schema(self._table(index)), index["primary_key"]
        good, failed = {}, []
        for row in rows:
            if unknown := sorted(set(row) - set(schema.names)):
                raise invalid(f"Column {', '.join(unknown)} is not in the schema of index {index['name']}.")
            try:
                pa.Table.from_pylist([row], schema=schema)
                good[row[key]] = _checked_vector(row, specs.vector_column(index))
            except (pa.ArrowException, KeyError, ValueError, TypeError):
                failed.append(str(row.get(key)))
        self._rewrite(index, lambda held: {**held, **good})
        return _outcome(len(good), failed)

    def delete_rows(self, name: str, keys: list[str], principal: Principal) -> Document:
        """Rows out of a direct access index, by the text of their keys; needs MODIFY."""
        index, gone = self._direct(name, principal), set(keys)
        self._rewrite(index, lambda held: {key: row for key, row in held.items() if str(key) not in gone})
        return _outcome(len(gone), [])

    def _rewrite(self, index: Document, change: Any) -> None:
        import pyarrow as pa

        table, key = self._table(index), index["primary_key"]
        with self._tables.writing(index["name"]):
            held = {row[key]: row for row in _read(self._tables.relation(table)).to_pylist()}
            rows = list(change(held).values())
            self._tables.replace(table, pa.Table.from_pylist(rows, schema=self._tables.schema(table)))
            self._set_status(index["name"], indexed_row_count=len(rows))

    async def _arrive(self, name: str) -> None:
        await self._workspace.transitions.pause(f"vector-search-indexes/{name}/ready")
        try:
            await asyncio.to_thread(contained(self._build), name)
        except Exception as error:  # noqa: BLE001 - its state tells, the log has the trace
            _log.exception("Index %s", name)
            with contextlib.suppress(ApiError):  # it was deleted meanwhile
                self._set_status(name, message=f"Sync failed: {error}")

    def _build(self, name: str) -> Document:
        index = self._store.get(_KIND, name)
        if index is None or not self._exists(index):
            raise not_found(f"Index {name} does not exist.")
        status: Document = {"message": _message(index)}
        if index["index_type"] == specs.DELTA_SYNC:
            status |= self._copy(index)
        return self._set_status(name, ready=True, detailed_state="ONLINE", **status)

    def _copy(self, index: Document) -> Document:
        # Read by the owner's privileges: whoever is granted the index need not be granted its source.
        source, computed = specs.spec_of(index)["source_table"], specs.computed_column(index)
        self._access.require(self._owner(index), SELECT, "table", source)
        version, table = self._source_version(index), self._table(index)
        with self._tables.writing(index["name"]):
            columns = [column["name"] for column in table["columns"] if column["name"] != computed]
            rows = _read(self._tables.relation(self._metastore.get("table", source))).select(columns)
            if computed:
                held = _read(self._tables.relation(table)).select([specs.source_columns(index)[0], computed])
                rows = rows.append_column(
                    self._tables.schema(table).field(computed), self._vectors(index, rows, held.to_pylist())
                )
            self._tables.replace(table, rows)
        return {"indexed_row_count": rows.num_rows, "source_version": version}

    def _vectors(self, index: Document, rows: pa.Table, held: list[dict[str, Any]]) -> pa.Array:
        """Of the rows' texts; those that the index has already are not embedded again."""
        import pyarrow as pa

        column, computed = specs.source_columns(index)[0], specs.computed_column(index)
        known = {row[column]: row[computed] for row in held if row[computed] is not None}
        texts = rows.column(column).to_pylist()
        if new := list(dict.fromkeys(text for text in texts if text and text not in known)):
            model = specs.embedding_endpoints(index)[0]
            known |= dict(zip(new, self._embedder().embed(model, new, self._owner(index)), strict=True))
        return pa.array(
            [known.get(text) for text in texts], self._tables.schema(self._table(index)).field(computed).type
        )

    def _set_status(self, name: str, **fields: Any) -> Document:
        with self._telling:
            index = self._store.get(_KIND, name)
            if index is None:
                raise not_found(f"Index {name} does not exist.")
            return self._put({**index, "status": {**index["status"], **fields}})

    def _loaded(self, index: Document) -> Searchable:
        from agent_deploy.local.vector_search.search import Searchable

        table = self._table(index)
        version = self._tables.version(table)
        with self._loading:
            held = self._ready.get(table["table_id"])
            if held is None or held[0] != version:
                vector = specs.vector_column(index)
                loaded = Searchable(_read(self._tables.relation(table)), vector[0] if vector else None)
                self._ready[table["table_id"]] = held = (version, loaded)
        return held[1]

    def _schema(self, index: Document, principal: Principal) -> pa.Schema:
        import pyarrow as pa

        from agent_deploy.local.statements import types

        if index["index_type"] == specs.DELTA_SYNC:
            source = specs.spec_of(index)["source_table"]
            self._access.require(principal, SELECT, "table", source)
            document = self._metastore.get("table", source)
            if document["table_type"] == "VIEW" or document.get("data_source_format") == VECTOR_INDEX:
                raise invalid(f"source_table {source!r} is not a Delta table.")
            available = self._tables.schema(document)
            kept = specs.kept_columns(index, available.names)
            schema = pa.schema([available.field(name).with_nullable(True) for name in kept])
            if computed := specs.computed_column(index):
                schema = schema.append(pa.field(computed, pa.list_(pa.float32())))
        else:
            declared = specs.declared_columns(index)
            schema = pa.schema([(name, types.to_arrow(types.parsed(kind))) for name, kind in declared.items()])
        if index["primary_key"] not in schema.names:
            raise invalid(f"primary_key {index['primary_key']!r}: the columns are {', '.join(schema.names)}.")
        vector = specs.vector_column(index)
        if (
            vector
            and vector[1]
            and (vector[0] not in schema.names or not pa.types.is_list(schema.field(vector[0]).type))
        ):
            raise invalid(f"embedding_vector_columns: {vector[0]!r} is not a column of type array<float>.")
        return schema

    def _create_table(self, name: str, schema: pa.Schema, principal: Principal) -> Document:
        from agent_deploy.local.statements import types

        columns = [types.table_column(field, position) for position, field in enumerate(schema)]
        fields = {"columns": columns, "table_type": "MANAGED", "data_source_format": VECTOR_INDEX}
        document = self._metastore.create("table", tuple(name.split(".")), principal.name, fields)
        self._tables.create(document, schema)
        return document

    def _allowed(self, name: str, principal: Principal, privilege: str, endpoint_name: str = "") -> Document:
        index = self._store.get(_KIND, name.lower())
        self._access.require(principal, privilege, "table", name)
        if index is None or not self._exists(index) or endpoint_name not in ("", index["endpoint_name"]):
            raise not_found(f"Index {name.lower()} does not exist.")
        return index

    def _direct(self, name: str, principal: Principal) -> Document:
        index = self._allowed(name, principal, MODIFY)
        if index["index_type"] != specs.DIRECT_ACCESS:
            raise invalid(f"Index {index['name']} is synced from its source table: change the rows there.")
        return index

    def _exists(self, index: Document) -> bool:
        # Dropped by the catalog (DROP TABLE, a schema with all that is in it), an index leaves its document behind.
        table = self._store.get("table", index["name"])
        if table is not None and table["table_id"] == index["table_id"]:
            return True
        self._forget(index["name"])
        return False

    def _forget(self, name: str) -> None:
        index = self._store.get(_KIND, name)
        self._store.delete(_KIND, name)
        held = self._ready.pop(index["table_id"], None) if index else None
        if held is not None:
            held[1].close()

    def _table(self, index: Document) -> Document:
        return self._metastore.get("table", index["name"])

    def _owner(self, index: Document) -> Principal:
        found = definer(self._workspace, self._table(index))
        if found is None:
            raise forbidden(f"The owner of index {index['name']} does not exist any more.")
        return found

    def _source_version(self, index: Document) -> int:
        return self._tables.version(self._metastore.get("table", specs.spec_of(index)["source_table"]))

    def _put(self, index: Document) -> Document:
        return self._store.put(_KIND, index["name"], index, index["endpoint_name"])

    def _shown(self, index: Document) -> Document:
        hidden = ("table_id", "status")
        url = f"{self._workspace.host}/api/2.0/vector-search/indexes/{index['name']}"
        status = {name: value for name, value in index["status"].items() if name != "source_version"}
        shown = {name: value for name, value in index.items() if name not in hidden}
        return {**shown, "status": {**status, "index_url": url}}


def _message(index: Document) -> str:
    return _NO_EMBEDDINGS if specs.source_columns(index) and not specs.embedding_endpoints(index) else ""


def _is_continuous(index: Document) -> bool:
    return index["index_type"] == specs.DELTA_SYNC and specs.spec_of(index)["pipeline_type"] == specs.CONTINUOUS


def _read(relation: Any) -> pa.Table:
    """Rows of what `DeltaTables.relation` gives."""
    return relation.to_table() if hasattr(relation, "to_table") else relation


def _rows(inputs_json: object) -> list[dict[str, Any]]:
    rows = parse_field(str(inputs_json), "inputs_json")
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise invalid("inputs_json: expected a JSON list of objects, one a row.")
    return rows


def _checked_vector(row: dict[str, Any], vector: tuple[str, int] | None) -> dict[str, Any]:
    if vector is not None and len(row[vector[0]]) != vector[1]:
        raise ValueError(f"{vector[0]} has {len(row[vector[0]])} numbers, not {vector[1]}")
    return row


def _outcome(count: int, failed: list[str]) -> Document:
    status = "SUCCESS" if not failed else "PARTIAL_SUCCESS" if count else "FAILURE"
    return {"status": status, "result": {"success_row_count": count, "failed_primary_keys": failed}}
