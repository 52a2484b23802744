"""The Delta tables of the workspace's managed tables: read, made, appended to, replaced."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import DeltaError, DeltaProtocolError

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import types
from agent_deploy.local.statements.errors import SqlError
from agent_deploy.tables.dataset import ForeignFiles, dataset


class DeltaTables:
    """Tables by their documents. A table that nobody has written yet is empty, with the columns of its document.

    Only what lies in the workspace's own folder is read: where a document says that the files are is never followed.
    """

    def __init__(self, metastore: Metastore) -> None:
        self._metastore = metastore
        self._locks: dict[str, threading.RLock] = defaultdict(threading.RLock)

    @contextmanager
    def writing(self, full_name: str) -> Iterator[None]:
        """One statement at a time changes a table."""
        with self._locks[full_name]:
            yield

    def schema(self, document: Document) -> pa.Schema:
        """Names, types and nullability of the columns."""
        table = self._open(document)
        if table is None:
            return types.schema_of(document["columns"])
        found = pa.schema(table.schema().to_arrow())
        return pa.schema([field.with_type(types.storable(field.type)) for field in found])

    def relation(self, document: Document) -> Any:
        """What the engine can scan: an Arrow dataset or table."""
        table = self._open(document)
        if table is None:
            return types.schema_of(document["columns"]).empty_table()
        path = self._path(document)
        try:
            try:
                return dataset(table, path)
            except DeltaProtocolError:
                # Deletion vectors and column mapping are beyond the dataset; Delta's own engine reads them.
                found = QueryBuilder().register("data", table).execute("SELECT * FROM data").read_all()
                return pa.table(found)
        except ForeignFiles as error:
            raise SqlError("QUERY_EXECUTION_FAILED", f"'{document['full_name']}': {error}.") from error

    def version(self, document: Document) -> int:
        """The number of the latest commit; -1 when there is none."""
        table = self._open(document)
        return -1 if table is None else int(table.version())

    def history(self, document: Document) -> list[dict[str, Any]]:
        """The commits as Delta notes them, newest first; empty for a table that nobody has written yet."""
        table = self._open(document)
        return [] if table is None else table.history()

    def create(self, document: Document, schema: pa.Schema, rows: pa.Table | None = None) -> None:
        """The table with these columns, in place of what is there."""
        path = self._path(document)
        make(path.parent)
        content = schema.empty_table() if rows is None else conformed(rows, schema)
        self._write(path, content, mode="overwrite", schema_mode="overwrite")

    def append(self, document: Document, rows: pa.Table) -> None:
        """Add rows; their columns are those of the table."""
        schema = self.schema(document)
        if self._open(document) is None:
            return self.create(document, schema, rows)
        return self._write(self._path(document), conformed(rows, schema), mode="append")

    def replace(self, document: Document, rows: pa.Table, read_version: int | None = None) -> None:
        """All rows anew; the columns stay. Raises SqlError when another wrote since ``read_version``."""
        if read_version is not None and read_version != self.version(document):
            message = f"Rows were written to '{document['full_name']}' meanwhile. Run the statement again."
            raise SqlError("DELTA_CONCURRENT_APPEND", message)
        self.create(document, self.schema(document), rows)

    def _open(self, document: Document) -> DeltaTable | None:
        path = self._path(document)
        return DeltaTable(path) if DeltaTable.is_deltatable(str(path)) else None

    def _path(self, document: Document) -> Path:
        return self._metastore.table_folder(document["full_name"])

    @staticmethod
    def _write(path: Path, rows: pa.Table, **how: Any) -> None:
        try:
            write_deltalake(path, rows, **how)
        except DeltaError as error:
            raise SqlError("QUERY_EXECUTION_FAILED", f"The Delta table cannot be written: {error}.") from error


def conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows in a table's own columns, in order; raises SqlError when a value does not fit."""
    columns = []
    for field, column in zip(schema, rows.columns, strict=True):
        if not field.nullable and column.null_count:
            message = f"NOT NULL constraint violated for column: {field.name}."
            raise SqlError("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", message)
        try:
            columns.append(column.cast(field.type))
        except pa.ArrowInvalid as error:
            raise SqlError("CAST_INVALID_INPUT", f"Column {field.name}: {error}.") from error
        except pa.ArrowNotImplementedError as error:
            expected = f"{types.text(column.type)} cannot be stored as {types.text(field.type)}"
            raise SqlError("CAST_INVALID_INPUT", f"Column {field.name}: {expected}.") from error
    return pa.Table.from_arrays(columns, schema=schema)
