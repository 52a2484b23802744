"""(g) What writing payload rows costs a request: the same load with the inference table on and off, in turn."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from agent_deploy.local import LocalWorkspace
from bench import models
from bench.endpoint import ENDPOINT, TABLE, call, served
from bench.load import measure
from bench.report import Progress, Row

CALLERS = (1, 8)
SECONDS = 2.0  # a table is committed to twice a second
# Each a pair of loads beside each other in time, the order turned every time: what else the machine does hits both.
PAIRS = 16
GOAL = 0.02


def run(progress: Progress) -> list[Row]:
    """Milliseconds of a request that are due to the table, and their share of all of it; medians over the pairs."""
    with tempfile.TemporaryDirectory() as folder, LocalWorkspace() as workspace:
        progress("deploying the model")
        url = served(workspace, Path(folder))

        def milliseconds(on: bool, callers: int) -> float:
            """Mean time of a request, the pauses for commits included: a median would not see them."""
            table = {**TABLE, "enabled": on}
            gateway = f"/api/2.0/serving-endpoints/{ENDPOINT}/ai-gateway"
            call(workspace, "PUT", gateway, {"inference_table_config": table})
            return 1000 * callers / measure(url, models.REQUEST, callers, SECONDS, workspace.token).throughput

        rows = []
        for callers in CALLERS:
            pairs: list[tuple[float, float]] = []
            for number in range(PAIRS):
                progress(f"{callers} callers, pair {number + 1} of {PAIRS}")
                order = (True, False) if number % 2 else (False, True)
                took = {on: milliseconds(on, callers) for on in order}
                pairs.append((took[True], took[False]))
            rows.append(_row(callers, pairs))
        return rows


def _row(callers: int, pairs: list[tuple[float, float]]) -> Row:
    """ "Ours" is what the table adds, "theirs" the whole request."""
    share = statistics.median((on - off) / on for on, off in pairs)
    whole = statistics.median(on for on, _ in pairs)
    what = f"{callers} caller{'s' if callers > 1 else ''}: added by the table, of a request"
    return Row(what, "ms", share * whole, whole, GOAL)
