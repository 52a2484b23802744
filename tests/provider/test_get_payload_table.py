"""Whether a table that something else fills can be derived from, and which layout it has."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.provider.tables.get_payload_table import get_payload_table
from agent_deploy.rules import tables
from tests.provider.permission_double import CATALOG, Double

NAME = "old.logs.bot_payload"


def columns(*names: str) -> dict[str, Any]:
    return {"columns": [{"name": name} for name in names]}


@pytest.mark.parametrize(
    ("answer", "day", "problem"),
    [
        (columns(*(column.name for column in tables.PAYLOAD_COLUMNS)), "request_date", ""),
        (columns("databricks_request_id", "date", "timestamp_ms", "request"), "date", ""),
        (columns("id", "text"), "", "is no payload table: it has neither request_time nor timestamp_ms"),
        (404, "", "there is no table old.logs.bot_payload: correct the name"),
        (403, "", "403"),
    ],
)
def test_a_payload_table_is_known_by_its_columns(answer: Any, day: str, problem: str) -> None:
    double = Double()
    double.answers[f"{CATALOG}/tables/{NAME}"] = answer
    found = get_payload_table(double.context, {"payloadTable": NAME})
    assert found["dayColumn"] == day
    assert problem in found["problem"]
    assert bool(problem) == bool(found["problem"])
