"""A statement's rows as the Statement Execution API writes them: a manifest, and chunks of rows of strings."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import types

CHUNK_ROWS = 5000  # rows of a chunk of an inline result; the platform cuts by bytes

Cell = str | None
Chunk = list[list[Cell]]


def limited(rows: pa.Table, row_limit: int | None, byte_limit: int | None) -> tuple[pa.Table, bool]:
    """Rows within the limits, and whether some were left out."""
    keep = rows.num_rows if row_limit is None else min(row_limit, rows.num_rows)
    if byte_limit is not None and rows.nbytes > byte_limit:
        keep = min(keep, int(rows.num_rows * byte_limit / rows.nbytes))
    return rows.slice(0, keep), keep < rows.num_rows


def manifest(rows: pa.Table, truncated: bool) -> Document:
    """The result's description."""
    columns = [types.result_column(field, position) for position, field in enumerate(rows.schema)]
    chunks = [
        {"chunk_index": index, "row_offset": start, "row_count": min(CHUNK_ROWS, rows.num_rows - start)}
        for index, start in enumerate(range(0, rows.num_rows, CHUNK_ROWS))
    ]
    return {
        "format": "JSON_ARRAY",
        "schema": {"column_count": len(columns), "columns": columns},
        "total_chunk_count": len(chunks),
        "chunks": chunks,
        "total_row_count": rows.num_rows,
        "truncated": truncated,
    }


def chunks(rows: pa.Table) -> Iterator[Chunk]:
    """The rows of each chunk, every value a string or None."""
    for start in range(0, rows.num_rows, CHUNK_ROWS):
        part = rows.slice(start, CHUNK_ROWS)
        columns = [[cell(value) for value in column.to_pylist()] for column in part.columns]
        yield [list(values) for values in zip(*columns, strict=True)]


def cell(value: Any) -> Cell:
    """A value as text: dates and times in ISO 8601, what has parts as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict | tuple):
        return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    simple = plain(value)
    if isinstance(simple, bool):
        return "true" if simple else "false"
    return simple if isinstance(simple, str) else repr(simple)


def plain(value: Any) -> Any:
    """A value that JSON can write: dates and times in ISO 8601, decimals as text, bytes in base 64."""
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(timespec="milliseconds")
        return text if value.tzinfo is None else f"{text}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        # Arrow gives a map as pairs.
        if value and all(isinstance(item, tuple) for item in value):
            return {str(plain(key)): plain(item) for key, item in value}
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
