"""One statement's own database in memory: it holds only what the statement may see, and reaches nothing outside."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from agent_deploy.local.statements import types
from agent_deploy.local.statements.errors import SqlError, of_engine, unsupported

_CONFIGURATION: Mapping[str, str] = {
    # No files, no network, no other databases, no extensions, no variables of this process.
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "2",
    "memory_limit": "2GB",
}
_WIDE = ("HUGEINT", "UHUGEINT")  # sums of integers; Databricks' are BIGINT


class Bench:
    """``with Bench() as bench:``; relations have random names, so that no statement can name one by itself."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config=dict(_CONFIGURATION))
        self._connection.execute("SET TimeZone='UTC'")
        self._connection.execute("SET lock_configuration=true")
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        """Stop what runs; called from another thread."""
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

    def rows(self, query: exp.Expr) -> pa.Table:
        """The rows of a bound query, in types that Databricks has; raises SqlError."""
        try:
            relation = self._connection.sql(_written(query))
            found = relation.to_arrow_table()
            wide = [str(kind) in _WIDE for kind in relation.types]
        except duckdb.Error as error:
            raise of_engine(error, self._shown) from error
        return _storable(found, wide)

    def change(self, statement: exp.Expr) -> int:
        """How many rows a bound INSERT, UPDATE, DELETE or MERGE changed; raises SqlError."""
        return int(self._execute(_written(statement)).fetchone()[0])

    def content(self, name: str) -> pa.Table:
        """All rows of a copy."""
        return self.rows(exp.select("*").from_(exp.table_(name, quoted=True)))

    def _execute(self, text: str) -> Any:
        try:
            return self._connection.execute(text)
        except duckdb.Error as error:
            raise of_engine(error, self._shown) from error


def _written(tree: exp.Expr) -> str:
    try:
        return tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise unsupported(f"this syntax ({str(error).strip()})") from error
    except RecursionError as error:
        raise unsupported("statements nested this deep") from error


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
