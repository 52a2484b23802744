"""The payload table's writer over many commits: all rows stay, files are put together, readers and restarts keep up."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from agent_deploy.local.serving.payload_table import SCHEMA, PayloadTable
from agent_deploy.local.serving.payloads import Exchange, Payloads

COMMITS = 205


def _row(number: int) -> dict[str, Any]:
    moment = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    known = {"databricks_request_id": f"r{number}", "request_date": moment.date(), "request_time": moment}
    return {**dict.fromkeys(SCHEMA.names), **known, "logging_error_codes": []}


def test_many_commits_leave_all_rows_in_few_files(tmp_path: Path) -> None:
    PayloadTable.create(tmp_path, "qa_payload")
    reader = DeltaTable(tmp_path)
    writer = PayloadTable(tmp_path)
    for number in range(COMMITS):
        writer.append([_row(number)])
    reader.update_incremental()
    assert len(reader.file_uris()) < 10
    PayloadTable(tmp_path).append([_row(COMMITS)])
    found = DeltaTable(tmp_path).to_pyarrow_table().column("databricks_request_id").to_pylist()
    assert sorted(found) == sorted(f"r{number}" for number in range(COMMITS + 1))
    assert DeltaTable(tmp_path).metadata().configuration["delta.enableChangeDataFeed"] == "true"
    assert len(list(tmp_path.glob("_delta_log/*.checkpoint.parquet"))) >= COMMITS // 20


def test_a_stop_writes_what_a_table_refused_a_moment_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PayloadTable.create(tmp_path, "qa_payload")
    append, refusals = PayloadTable.append, iter([True, True])

    def refusing(table: PayloadTable, rows: list[dict[str, Any]]) -> None:
        if next(refusals, False):
            raise OSError("another commit is under way")
        append(table, rows)

    monkeypatch.setattr(PayloadTable, "append", refusing)
    payloads = Payloads()
    payloads.add(Exchange(tmp_path, "r1", None, 0.0, 1, 200, b"{}", b"{}", None, b"", "e", "me"))
    payloads.stop()
    assert DeltaTable(tmp_path).to_pyarrow_table().column("databricks_request_id").to_pylist() == ["r1"]
