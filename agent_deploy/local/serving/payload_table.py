"""The Delta table of logged requests, with the columns of AI Gateway's inference tables.

Source of the columns: Databricks, "Monitor served models using AI Gateway-enabled inference tables".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa

from agent_deploy.local.core.folders import make

SCHEMA = pa.schema(
    [
        ("databricks_request_id", pa.string()),
        ("request_date", pa.date32()),
        ("client_request_id", pa.string()),
        ("request_time", pa.timestamp("us", "UTC")),
        ("status_code", pa.int32()),
        ("sampling_fraction", pa.float64()),
        ("execution_duration_ms", pa.int64()),
        ("request", pa.string()),
        ("response", pa.string()),
        ("logging_error_codes", pa.list_(pa.string())),
        ("served_entity_id", pa.string()),
        ("requester", pa.string()),
    ]
)
# Small files that appends leave behind, after which they are put together.
_APPENDS_BEFORE_COMPACTION = 100
# A handle that remembers many commits makes each further one dearer: several times as dear after a hundred.
_APPENDS_BEFORE_CHECKPOINT = 20
_CONFIGURATION: dict[str, str | None] = {"delta.enableChangeDataFeed": "true"}

_SQL_TYPES = {
    "string": ("STRING", "string"),
    "date32[day]": ("DATE", "date"),
    "timestamp[us, tz=UTC]": ("TIMESTAMP", "timestamp"),
    "int32": ("INT", "integer"),
    "int64": ("LONG", "long"),
    "double": ("DOUBLE", "double"),
    "list<item: string>": ("ARRAY", "array<string>"),
}


def columns() -> list[dict[str, Any]]:
    """The columns as the catalog's API lists them."""
    listed = []
    for position, column in enumerate(SCHEMA):
        name, text = _SQL_TYPES[str(column.type)]
        text = "bigint" if name == "LONG" else "int" if name == "INT" else text
        shown = {"name": column.name, "type_name": name, "type_text": text, "position": position, "nullable": True}
        listed.append(shown)
    return listed


def write_trial(folder: Path) -> None:
    """A table with one row, for what the library does at its first write only."""
    PayloadTable.create(folder, "trial")
    deltalake.write_deltalake(folder, pa.Table.from_pylist([{}], schema=SCHEMA), mode="append")


class PayloadTable:
    """One table, appended to by one thread, with its handle kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table = deltalake.DeltaTable(folder)
        self._appends = 0

    @staticmethod
    def create(folder: Path, name: str) -> None:
        """An empty table, unless there is one."""
        if deltalake.DeltaTable.is_deltatable(str(folder)):
            return
        make(folder)
        deltalake.DeltaTable.create(
            folder,
            schema=deltalake.Schema.from_arrow(SCHEMA),
            name=name,
            description="Requests to a serving endpoint and its answers.",
            configuration=_CONFIGURATION,
        )

    def append(self, rows: pa.Table) -> None:
        """One commit of rows with `SCHEMA`; now and then the small files of many become one."""
        deltalake.write_deltalake(self._table, rows, mode="append")
        self._appends += 1
        if self._appends % _APPENDS_BEFORE_COMPACTION == 0:
            # Old files stay: a stream that reads from an earlier version still needs them.
            self._table.optimize.compact()
        if self._appends % _APPENDS_BEFORE_CHECKPOINT == 0:
            self._table.create_checkpoint()
            self._table = deltalake.DeltaTable(self._folder)
