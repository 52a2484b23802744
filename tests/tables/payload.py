"""Writes payload tables as the platform does, and reads what was derived from them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from agent_deploy.local.serving.payload_table import SCHEMA
from agent_deploy.tables.refresh import Target
from tests.tables.cases import Case

START = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.timezone.utc)
LEGACY_SCHEMA = pa.schema(
    [
        ("client_request_id", pa.string()),
        ("databricks_request_id", pa.string()),
        ("date", pa.date32()),
        ("timestamp_ms", pa.int64()),
        ("status_code", pa.string()),  # INT in the documentation, STRING in a fixture of Databricks' own
        ("sampling_fraction", pa.float64()),
        ("execution_time_ms", pa.int64()),
        ("request", pa.string()),
        ("response", pa.string()),
        ("request_metadata", pa.map_(pa.string(), pa.string())),
    ]
)
# The same in that fixture: request_metadata as JSON text; status_code as documented.
LEGACY_TEXT_SCHEMA = LEGACY_SCHEMA.set(4, pa.field("status_code", pa.int32())).set(
    9, pa.field("request_metadata", pa.string())
)
LEGACY_METADATA = {"endpoint_name": "old", "model_name": "m", "model_version": "1"}


def row(case: Case, request_id: str | None, seconds: int = 0) -> dict[str, Any]:
    """The payload row of a case."""
    moment = START + datetime.timedelta(seconds=seconds)
    return {
        "databricks_request_id": request_id,
        "request_date": moment.date(),
        "client_request_id": case.client_request_id,
        "request_time": moment,
        "status_code": case.status,
        "sampling_fraction": 1.0,
        "execution_duration_ms": 12 + seconds,
        "request": case.request_text,
        "response": case.response_text,
        "logging_error_codes": list(case.codes),
        "served_entity_id": case.entity,
        "requester": "user@company.com",
    }


def legacy_row(case: Case, request_id: str, seconds: int = 0, schema: pa.Schema = LEGACY_SCHEMA) -> dict[str, Any]:
    """The row of an old endpoint's table."""
    new = row(case, request_id, seconds)
    kept = {name: new[name] for name in LEGACY_SCHEMA.names if name in new}
    as_text = schema is LEGACY_TEXT_SCHEMA
    return {
        **kept,
        "date": new["request_date"],
        "timestamp_ms": int(new["request_time"].timestamp() * 1000),
        "execution_time_ms": new["execution_duration_ms"],
        "status_code": case.status if as_text or case.status is None else str(case.status),
        "request_metadata": json.dumps(LEGACY_METADATA) if as_text else list(LEGACY_METADATA.items()),
    }


def append(target: Target, rows: Iterable[dict[str, Any]], schema: pa.Schema = SCHEMA) -> None:
    """One commit."""
    path = target.path()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(path, pa.Table.from_pylist(list(rows), schema=schema), mode="append")


def derived(target: Target, key: str) -> list[dict[str, Any]]:
    """All rows of a derived table."""
    return DeltaTable(target.path(key)).to_pyarrow_table().to_pylist()


def by_id(target: Target, key: str) -> dict[str, dict[str, Any]]:
    """Rows that have a request id, by it; each must be there once."""
    rows = [found for found in derived(target, key) if found["databricks_request_id"] is not None]
    found = {found["databricks_request_id"]: found for found in rows}
    assert len(found) == len(rows)
    return found


def snapshot(target: Target) -> dict[str, list[str]]:
    """Everything derived, to be compared."""
    keys = ("requests", "assessments", "quarantine")
    return {
        key: sorted(json.dumps(found, default=str, sort_keys=True) for found in derived(target, key)) for key in keys
    }
