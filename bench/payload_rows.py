"""What handing over and writing payload rows takes of a request's time, in processor time of all threads."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.serving.payload_table import PayloadTable
from agent_deploy.local.serving.payload_writer import SECONDS as BATCH_SECONDS
from agent_deploy.local.serving.payload_writer import Exchange, Payloads, rows_of
from agent_deploy.tables.refresh import Target
from bench import models
from bench.endpoint import PAYLOAD, served
from bench.load import measure
from bench.report import Progress, Row

SECONDS = 6.0
ROUNDS = 3  # of each; medians
APPENDS = 200  # two compactions and ten checkpoints are among them
GOAL = 0.02


def run(progress: Progress) -> list[Row]:
    """Milliseconds a row and their share of a request's time, at one caller, who has the machine to himself.

    Not the difference of loads with and without a table: that is smaller than what two equal loads differ by.
    """
    with tempfile.TemporaryDirectory() as folder, LocalWorkspace() as workspace:
        progress("deploying the model")
        url = served(workspace, Path(folder))
        times = []
        for number in range(ROUNDS):
            progress(f"asking, round {number + 1} of {ROUNDS}")
            times.append(1000 / measure(url, models.REQUEST, 1, SECONDS, workspace.token).throughput)
        asked = statistics.median(times)
        batch = max(1, round(1000 * BATCH_SECONDS / asked))
        job = {"table": str(Target(workspace.folder, PAYLOAD).path()), "batch": batch}
        costs = []
        for number in range(ROUNDS):
            progress(f"writing what was logged, {batch} rows a commit, round {number + 1} of {ROUNDS}")
            costs.append(_in_a_process(job))
    handed, written = (statistics.median(cost[part] for cost in costs) for part in ("handed", "written"))
    return [
        Row("handing a row over, of a request", "ms", handed, asked),
        Row("writing a row, of a request", "ms", written, asked),
        Row("both", "ms", handed + written, asked, GOAL),
    ]


def _in_a_process(job: dict[str, object]) -> dict[str, float]:
    """`_costs` where nothing else takes processor time."""
    command = [sys.executable, "-m", "bench.payload_rows"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"writing failed: {done.stderr[-2000:]}")
    costs: dict[str, float] = json.loads(done.stdout)
    return costs


def _costs(table: str, batch: int) -> dict[str, float]:
    """Milliseconds of processor time for each row that a load logged in ``table``, by the code that serves."""
    from deltalake import DeltaTable

    logged = DeltaTable(table).to_pyarrow_table().slice(0, batch).to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        PayloadTable.create(copy, "copy")
        exchanges = [_exchange(copy, row) for row in logged]
        writer = PayloadTable(copy)
        writer.append(rows_of(exchanges))  # imports what it needs
        begin = time.process_time()
        for _ in range(APPENDS):
            writer.append(rows_of(exchanges))
        written = time.process_time() - begin
        # Rows of a table that was dropped are handed over and come to nothing.
        payloads, gone = Payloads(), Path(folder, "gone")
        begin = time.process_time()
        for exchange in exchanges * APPENDS:
            payloads.add(replace(exchange, folder=gone, request_id=str(uuid.uuid4())))
        payloads.stop()
        handed = time.process_time() - begin
    rows = len(exchanges) * APPENDS
    return {"handed": 1000 * handed / rows, "written": 1000 * written / rows}


def _exchange(folder: Path, row: dict[str, object]) -> Exchange:
    """What the server held before it was this row."""
    return Exchange(
        folder=folder,
        request_id=str(row["databricks_request_id"]),
        client_request_id=None,
        time=time.time(),
        duration_ms=4,
        status=200,
        request=str(row["request"]).encode(),
        response=str(row["response"]).encode(),
        events=None,
        trace=b"",
        entity_id=str(row["served_entity_id"]),
        requester=str(row["requester"]),
    )


if __name__ == "__main__":
    print(json.dumps(_costs(**json.load(sys.stdin))))
