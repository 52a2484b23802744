"""One statement's own database in memory: it holds only what the statement may see, and reaches nothing outside."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from agent_deploy.local.statements import types
from agent_deploy.local.statements.errors import SqlError, of_engine, unsupported
from agent_deploy.local.statements.limits import Held, Limits

_CONFIGURATION: Mapping[str, str] = {
    # No files, no network, no other databases, no extensions, no variables of this process.
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "2",
}
# Table functions that make rows from their arguments; all others name relations, settings or files by strings.
_ROW_MAKERS = frozenset({"range", "generate_series", "generate_subscripts", "unnest"})
_BATCH_ROWS = 65_536  # read from the engine at a time
_WIDE = ("HUGEINT", "UHUGEINT")  # sums of integers; Databricks' are BIGINT


class Database:
    """``with Database(…) as database:``; relations have random names, so that no statement can name one by itself."""

    def __init__(self, limits: Limits, folder: Path) -> None:
        """``folder`` takes what the engine cannot keep in memory, until the end."""
        self._limits = limits
        self._held = Held(limits)
        self._folder = folder / secrets.token_hex(8)
        configuration = {
            "memory_limit": f"{limits.sql_memory_mib}MiB",
            "temp_directory": str(self._folder),
            "max_temp_directory_size": f"{limits.sql_files_mib}MiB",
        }
        self._connection = duckdb.connect(":memory:", config={**_CONFIGURATION, **configuration})
        self._connection.execute("SET TimeZone='UTC'")
        self._connection.execute("SET lock_configuration=true")
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def interrupt(self) -> None:
        """Stop what runs; called from another thread, at any time."""
        self._connection.interrupt()

    def scan(self, data: Any, shown: str) -> str:
        """Make an Arrow table or dataset known; returns its name here. ``shown`` is what errors call it."""
        name = self.alias(shown)
        self._connection.register(name, data)
        return name

    def copy(self, data: Any, shown: str, empty: bool = False) -> str:
        """A table that can be changed, with the rows of ``data``; returns its name here."""
        source, name = self.scan(data, shown), self.alias(shown)
        limit = " LIMIT 0" if empty else ""
        self._execute(f'CREATE TABLE "{name}" AS SELECT * FROM "{source}"{limit}')
        return name

    def alias(self, shown: str) -> str:
        """A new name."""
        name = f"_{secrets.token_hex(8)}"
        self._shown[name] = shown
        return name

    def rows(self, query: exp.Expr, most: int | None = None) -> pa.Table:
        """The rows of a bound query, in types that Databricks has; raises SqlError.

        With ``most``, only so many and one, by which it is seen that there are more.
        """
        text = _written(query)
        self._inspect(text)
        try:
            relation = self._connection.sql(text)
            found = self._read(relation, most)
            wide = [str(kind) in _WIDE for kind in relation.types]
        except (duckdb.Error, pa.ArrowException, OSError) as error:  # the latter out of the stream of batches
            raise of_engine(error, self._shown) from error
        return _storable(found, wide)

    def _read(self, relation: Any, most: int | None) -> pa.Table:
        reader, batches, count = relation.to_arrow_reader(_BATCH_ROWS), [], 0
        for batch in reader:
            if most is not None and count + batch.num_rows > most:
                batch = batch.slice(0, most + 1 - count)
            self._held.add(batch.num_rows, batch.nbytes)
            batches.append(batch)
            count += batch.num_rows
            if most is not None and count > most:
                break
        return pa.Table.from_batches(batches, reader.schema)

    def change(self, statement: exp.Expr, parts: Iterable[exp.Expr]) -> int:
        """How many rows a bound UPDATE, DELETE or MERGE of a copy changed; raises SqlError.

        ``parts`` are all expressions and queries in it.
        """
        for part in parts:
            is_query = isinstance(part, exp.Query)
            self._inspect(_written(part) if is_query else f"SELECT ({_written(part)})", is_expression=not is_query)
        return int(self._execute(_written(statement)).fetchall()[0][0])

    def content(self, name: str) -> pa.Table:
        """All rows of a copy."""
        return self.rows(exp.select("*").from_(exp.table_(name, quoted=True)))

    def _inspect(self, text: str, is_expression: bool = False) -> None:
        """Raise SqlError unless the engine's own parser finds one query in the text, on nothing but our relations.

        Names were bound in the tree; should the text mean something else than the tree, it ends here.
        """
        serialized = json.loads(self._execute("SELECT json_serialize_sql($1::VARCHAR)", [text]).fetchall()[0][0])
        statements = serialized.get("statements", [])
        if serialized.get("error") or len(statements) != 1:
            raise unsupported(f"this syntax ({serialized.get('error_message', 'several statements')})")
        if is_expression and len(statements[0]["node"].get("select_list", ())) != 1:
            raise unsupported("this syntax (several expressions)")
        parts = list(_parts(statements[0]))
        known = {name.lower() for part in parts for name in _names_of_ctes(part)} | set(self._shown)
        for part in parts:
            kind = part.get("type")
            if kind == "BASE_TABLE" and not _is_plain(part, known):
                raise SqlError("TABLE_OR_VIEW_NOT_FOUND", f"The table or view {part['table_name']} cannot be found.")
            if kind == "TABLE_FUNCTION" and part["function"]["function_name"].lower() not in _ROW_MAKERS:
                raise unsupported(f"the table function {part['function']['function_name']}")
            if kind == "SHOW_REF":
                raise unsupported("SHOW or DESCRIBE in a query")

    def _execute(self, text: str, values: list[str] | None = None) -> Any:
        try:
            return self._connection.execute(text, values)
        except duckdb.Error as error:
            raise of_engine(error, self._shown) from error


def _written(tree: exp.Expr) -> str:
    try:
        # Identifiers are always quoted, comments left out: the text must hold nothing that is not in the tree.
        return tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE, identify=True, comments=False)
    except SqlglotError as error:
        raise unsupported(f"this syntax ({str(error).strip()})") from error
    except RecursionError as error:
        raise unsupported("statements nested this deep") from error


def _parts(serialized: Any) -> Iterator[dict[str, Any]]:
    pending = [serialized]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            yield part
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _names_of_ctes(part: dict[str, Any]) -> Iterator[str]:
    clause = part.get("cte_map")
    if isinstance(clause, dict):
        yield from (entry["key"] for entry in clause.get("map", ()))


def _is_plain(table: dict[str, Any], known: set[str]) -> bool:
    return table["table_name"].lower() in known and not table["schema_name"] and not table["catalog_name"]


def _storable(found: pa.Table, wide: list[bool]) -> pa.Table:
    columns, fields = [], []
    for field, column, is_wide in zip(found.schema, found.columns, wide, strict=True):
        kind = pa.int64() if is_wide else types.storable(field.type)
        try:
            columns.append(column if kind == field.type else column.cast(kind))
        except pa.ArrowInvalid as error:
            raise SqlError("ARITHMETIC_OVERFLOW", f"A value of column {field.name} is too large for BIGINT.") from error
        fields.append(pa.field(field.name, kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
