"""Databricks SQL types: from a declaration to Arrow, and from Arrow to how the APIs write a column."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import SqlglotError

from agent_deploy.local.core.store import Document
from agent_deploy.local.statements.errors import SqlError, unsupported

_TYPE = exp.DataType.Type
_DECIMAL_DEFAULT = (10, 0)  # source: Databricks, "DECIMAL type"
_TIMESTAMP = pa.timestamp("us", tz="UTC")

_ARROW = {
    _TYPE.BOOLEAN: pa.bool_(),
    _TYPE.TINYINT: pa.int8(),
    _TYPE.SMALLINT: pa.int16(),
    _TYPE.INT: pa.int32(),
    _TYPE.BIGINT: pa.int64(),
    _TYPE.FLOAT: pa.float32(),
    _TYPE.DOUBLE: pa.float64(),
    _TYPE.TEXT: pa.string(),
    _TYPE.VARCHAR: pa.string(),
    _TYPE.CHAR: pa.string(),
    _TYPE.BINARY: pa.binary(),
    _TYPE.VARBINARY: pa.binary(),
    _TYPE.DATE: pa.date32(),
    _TYPE.TIMESTAMP: _TIMESTAMP,
    _TYPE.TIMESTAMPTZ: _TIMESTAMP,
    _TYPE.TIMESTAMPLTZ: _TIMESTAMP,
    _TYPE.TIMESTAMPNTZ: pa.timestamp("us"),
}

# Arrow → (type as SQL writes it, the APIs' name of it).
_SIMPLE: tuple[tuple[pa.DataType, str, str], ...] = (
    (pa.bool_(), "BOOLEAN", "BOOLEAN"),
    (pa.int8(), "TINYINT", "BYTE"),
    (pa.int16(), "SMALLINT", "SHORT"),
    (pa.int32(), "INT", "INT"),
    (pa.int64(), "BIGINT", "LONG"),
    (pa.float32(), "FLOAT", "FLOAT"),
    (pa.float64(), "DOUBLE", "DOUBLE"),
    (pa.string(), "STRING", "STRING"),
    (pa.binary(), "BINARY", "BINARY"),
    (pa.date32(), "DATE", "DATE"),
    (pa.null(), "VOID", "NULL"),
)


def to_arrow(declared: exp.DataType) -> pa.DataType:
    """The Arrow type of a declared one; raises SqlError for a type that tables here cannot hold."""
    kind, inner = declared.this, declared.expressions
    if kind == _TYPE.DECIMAL:
        given = [int(parameter.this.this) for parameter in inner]
        precision, scale = (*given, *_DECIMAL_DEFAULT[len(given) :])
        return pa.decimal128(precision, scale)
    if kind == _TYPE.ARRAY and inner:
        return pa.list_(to_arrow(inner[0]))
    if kind == _TYPE.MAP and len(inner) == 2:
        return pa.map_(to_arrow(inner[0]), to_arrow(inner[1]))
    if kind == _TYPE.STRUCT:
        return pa.struct([pa.field(field.name, to_arrow(field.args["kind"])) for field in inner])
    if kind not in _ARROW:
        raise unsupported(f"the type {declared.sql('databricks')}")
    return _ARROW[kind]


def parsed(text: str) -> exp.DataType:
    """A type from its text, such as ``decimal(10,2)``; raises SqlError for what is no type, or one that is not here."""
    try:
        found = exp.DataType.build(text, dialect="databricks")
        to_arrow(found)
        if found.find(exp.Var):  # of a type that is here, no parameter is a word
            raise ValueError(text)
    except (ValueError, SqlglotError) as error:
        raise SqlError("PARSE_SYNTAX_ERROR", f"'{text}' is not a type.") from error
    return found


def storable(kind: pa.DataType) -> pa.DataType:
    """As results and tables hold it: engines know more types than Databricks."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_unsigned_integer(kind):
        return pa.decimal128(20, 0) if kind.bit_width == 64 else pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_dictionary(kind):
        return storable(kind.value_type)
    if pa.types.is_large_list(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(storable(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(storable(kind.key_type), storable(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(storable(field.type)) for field in kind])
    return kind


def text(kind: pa.DataType) -> str:
    """The full type as SQL writes it: ``ARRAY<STRUCT<a: INT>>``."""
    for arrow, written, _ in _SIMPLE:
        if kind == arrow:
            return written
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    if pa.types.is_list(kind):
        return f"ARRAY<{text(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"MAP<{text(kind.key_type)}, {text(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{field.name}: {text(field.type)}' for field in kind)}>"
    return "INTERVAL" if pa.types.is_interval(kind) or pa.types.is_duration(kind) else str(kind).upper()


def name(kind: pa.DataType) -> str:
    """The APIs' name of the type, without what it is made of: ``ARRAY``, ``LONG``."""
    for arrow, _, named in _SIMPLE:
        if kind == arrow:
            return named
    return text(kind).partition("<")[0].partition("(")[0]


def result_column(field: pa.Field, position: int) -> Document:
    """A column of a result, as the Statement Execution API describes it."""
    column = {"name": field.name, "type_text": text(field.type), "type_name": name(field.type), "position": position}
    if pa.types.is_decimal(field.type):
        column |= {"type_precision": field.type.precision, "type_scale": field.type.scale}
    return column


def table_column(field: pa.Field, position: int, comment: str = "") -> Document:
    """A column of a table, as Unity Catalog describes it."""
    column = result_column(field, position)
    lower = column["type_text"].lower()
    described = {"name": field.name, "type": lower.replace(" ", ""), "nullable": field.nullable, "metadata": {}}
    column |= {"type_text": lower, "type_json": json.dumps(described), "nullable": field.nullable}
    return column | ({"comment": comment} if comment else {})


def schema_of(columns: list[dict[str, Any]]) -> pa.Schema:
    """The Arrow schema of columns as Unity Catalog describes them; raises SqlError."""
    ordered = sorted(columns, key=lambda column: int(column.get("position") or 0))
    return pa.schema(
        [
            pa.field(
                column["name"], to_arrow(parsed(column.get("type_text") or "string")), column.get("nullable", True)
            )
            for column in ordered
        ]
    )
