"""Rows a second of the derived tables against a Spark job that only copies them; what an incremental run costs.

`python -m bench.tables --rows 1000000` measures another size. Starts of Spark and first runs are not counted, on
neither side: both are warmed up with a small table.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import Progress, Row

ROWS = 100_000
OLD_SMALL, NEW = 10_000, 1_000
_BATCH = 20_000
_WARM_UP = 2_000
START = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)


def run(progress: Progress, rows: int = ROWS) -> list[Row]:
    """Throughput and the cost of a run on few new rows."""
    from agent_deploy.tables.spark import SparkProcess

    with tempfile.TemporaryDirectory(prefix="agent-deploy-bench-") as scratch:
        folder = Path(scratch)
        progress(f"writing {rows} payload rows")
        big, small, warm = (
            _payload(folder, name, n) for name, n in (("big", rows), ("small", OLD_SMALL), ("warm", _WARM_UP))
        )
        progress("copying them with plain Spark")
        copied = _plain_seconds(warm, big, folder / "copy", rows)
        with SparkProcess(rows=rows) as spark:
            _refresh(warm, spark)
            progress("deriving them")
            derived = _refresh(big, spark)
            _refresh(small, spark)
            progress(f"deriving {NEW} new rows")
            after = [_incremental(target, spark) for target in (big, small)]
    what = f"after {rows} old rows, against after {OLD_SMALL}"
    return [
        Row(f"derivation of {rows} rows of 2 kB, against a copy", "rows/s", rows / derived, rows / copied, 0.5, True),
        Row(f"run on {NEW} new rows {what}", "s", after[0], after[1], 1.2),
    ]


def _refresh(target: Any, spark: Any) -> float:
    from agent_deploy.tables.refresh import refresh

    started = time.perf_counter()
    refresh(target.folder, target.payload, "agents_bench", {}, spark)
    return time.perf_counter() - started


def _incremental(target: Any, spark: Any) -> float:
    """Median of three runs, each on NEW rows."""
    seconds = []
    for _ in range(3):
        _append(target, NEW)
        seconds.append(_refresh(target, spark))
    return sorted(seconds)[1]


def _payload(folder: Path, name: str, rows: int) -> Any:
    from agent_deploy.tables.refresh import Target

    target = Target(folder, f"main.{name}.qa_payload")
    for start in range(0, rows, _BATCH):
        _append(target, min(_BATCH, rows - start))
    return target


def _append(target: Any, count: int) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    from agent_deploy.local.serving.payload_table import SCHEMA

    target.path().parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(target.path(), pa.Table.from_pylist(list(_rows(count)), schema=SCHEMA), mode="append")


def _rows(count: int) -> Iterator[dict[str, Any]]:
    """Requests of a chat agent: a conversation of three messages, an answer with its trace; 2 kB in all."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(4000)]

    def text(length: int) -> str:
        return " ".join(random.choices(words, k=length))

    for number in range(count):
        request_id, moment = str(uuid.uuid4()), START + datetime.timedelta(seconds=number)
        span = {
            "name": "predict",
            "span_id": "s" * 11,
            "start_time_unix_nano": 1763900000000000000 + number,
            "end_time_unix_nano": 1763900000000000100 + number,
            "status": {"code": "OK"},
            "attributes": {"mlflow.spanInputs": json.dumps(text(30)), "mlflow.spanOutputs": json.dumps(text(40))},
        }
        trace = {"info": {"trace_id": f"tr-{request_id}", "state": "OK"}, "data": {"spans": [span]}}
        said = [("user", 15), ("assistant", 30), ("user", 15)]
        request = {"messages": [{"role": role, "content": text(length)} for role, length in said]}
        response = {
            "id": request_id,
            "messages": [{"role": "assistant", "content": text(40), "id": request_id}],
            "databricks_output": {"databricks_request_id": request_id, "trace": trace},
        }
        yield {
            "databricks_request_id": request_id,
            "request_date": moment.date(),
            "request_time": moment,
            "status_code": 200,
            "sampling_fraction": 1.0,
            "execution_duration_ms": 12,
            "request": json.dumps(request),
            "response": json.dumps(response),
            "logging_error_codes": [],
            "served_entity_id": "entity",
            "requester": "user@company.com",
        }


_PLAIN = """
import json, sys, time
from pyspark import SparkConf
from pyspark.sql import SparkSession
settings, warm, big, copy = json.loads(sys.argv[1]), *sys.argv[2:]
spark = SparkSession.builder.config(conf=SparkConf().setAll(list(settings.items()))).getOrCreate()
for number, path in enumerate([warm, big]):
    started = time.perf_counter()
    spark.read.format("delta").load(path).write.format("delta").save(f"{copy}{number}")
print("seconds", time.perf_counter() - started)
"""


def _plain_seconds(warm: Any, big: Any, copy: Path, rows: int) -> float:
    from agent_deploy.tables.jars import delta_jars
    from agent_deploy.tables.java import find_java
    from agent_deploy.tables.spark import settings

    java = find_java()
    given = json.dumps(settings(delta_jars(java), copy.parent, rows=rows))
    done = subprocess.run(
        [sys.executable, "-c", _PLAIN, given, str(warm.path()), str(big.path()), str(copy)],
        cwd=copy.parent,
        env={**os.environ, "JAVA_HOME": str(java)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"The plain job failed: {done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measures one size and prints it."""
    from rich.console import Console

    from bench.report import show

    parser = argparse.ArgumentParser(prog="bench.tables", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    show("Derived tables", run(lambda text: print(text, file=sys.stderr, flush=True), rows), Console(highlight=False))


if __name__ == "__main__":
    main()
