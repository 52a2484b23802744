"""The payload table's writer over many commits: all rows stay, files are put together, readers and restarts keep up."""

from __future__ import annotations

import datetime
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from agent_deploy.local.serving.payload_table import SCHEMA, PayloadTable
from agent_deploy.local.serving.payload_writer import SECONDS, Exchange, Payloads

pytestmark = pytest.mark.long

COMMITS = 205


def _row(number: int) -> pa.Table:
    moment = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    known = {"databricks_request_id": f"r{number}", "request_date": moment.date(), "request_time": moment}
    return pa.Table.from_pylist([{**dict.fromkeys(SCHEMA.names), **known, "logging_error_codes": []}], schema=SCHEMA)


def _exchange(folder: Path, request_id: str, client_request_id: Any = None) -> Exchange:
    return Exchange(folder, request_id, client_request_id, 0.0, 1, 200, b"{}", b"{}", None, b"", "e", "me")


def _written(folder: Path) -> list[str]:
    return DeltaTable(folder).to_pyarrow_table().column("databricks_request_id").to_pylist()


def test_many_commits_leave_all_rows_in_few_files(tmp_path: Path) -> None:
    PayloadTable.create(tmp_path, "qa_payload")
    reader = DeltaTable(tmp_path)
    writer = PayloadTable(tmp_path)
    for number in range(COMMITS):
        writer.append(_row(number))
    reader.update_incremental()
    assert len(reader.file_uris()) < 10
    PayloadTable(tmp_path).append(_row(COMMITS))
    assert sorted(_written(tmp_path)) == sorted(f"r{number}" for number in range(COMMITS + 1))
    assert DeltaTable(tmp_path).metadata().configuration["delta.enableChangeDataFeed"] == "true"
    assert len(list(tmp_path.glob("_delta_log/*.checkpoint.parquet"))) >= COMMITS // 20


def test_a_stop_writes_what_a_table_refused_a_moment_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PayloadTable.create(tmp_path, "qa_payload")
    append, refusals = PayloadTable.append, iter([True, True])

    def refusing(table: PayloadTable, rows: pa.Table) -> None:
        if next(refusals, False):
            raise OSError("another commit is under way")
        append(table, rows)

    monkeypatch.setattr(PayloadTable, "append", refusing)
    payloads = Payloads()
    payloads.add(_exchange(tmp_path, "r1"))
    payloads.stop()
    assert _written(tmp_path) == ["r1"]


def test_a_row_that_cannot_be_keeps_no_other_from_the_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PayloadTable.create(tmp_path, "qa_payload")
    payloads = Payloads()
    for number, client_request_id in enumerate(("mine", 123, "\ud800", None)):
        payloads.add(_exchange(tmp_path, f"r{number}", client_request_id))
    payloads.stop()
    assert sorted(_written(tmp_path)) == ["r0", "r3"]
    assert [record.getMessage().split()[1] for record in caplog.records] == ["r1", "r2"]


def test_a_row_that_comes_during_a_commit_waits_no_longer_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PayloadTable.create(tmp_path, "qa_payload")
    payloads, commit_seconds, came, committed = Payloads(), 0.6, [0.0], threading.Event()

    def slow(table: PayloadTable, rows: pa.Table) -> None:
        if came[0]:
            came.append(time.monotonic())
            committed.set()
            return
        came[0] = time.monotonic()
        payloads.add(_exchange(tmp_path, "second"))
        time.sleep(commit_seconds)

    monkeypatch.setattr(PayloadTable, "append", slow)
    payloads.add(_exchange(tmp_path, "first"))
    assert committed.wait(30)
    payloads.stop()
    assert came[1] - came[0] < SECONDS + commit_seconds / 2
