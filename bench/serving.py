"""(b) A request through the local workspace, logging on, against MLflow's own scoring server on the same model."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from agent_deploy.local import LocalWorkspace
from bench import models
from bench.endpoint import served
from bench.load import Load, measure
from bench.report import Progress, Row

CALLERS = (1, 8, 32)
SECONDS = 6.0
ROUNDS = 3  # both in turn, so that a busy moment of the machine hits both; medians


def run(progress: Progress) -> list[Row]:
    """Throughput, p50 and p99 at each number of callers."""
    with tempfile.TemporaryDirectory() as folder, LocalWorkspace() as workspace:
        progress("deploying the model")
        ours = served(workspace, Path(folder))
        with _scoring_server(Path(folder)) as theirs:
            rows: list[Row] = []
            for callers in CALLERS:
                loads: dict[str, list[Load]] = {"ours": [], "theirs": []}
                for number in range(ROUNDS):
                    progress(f"{callers} callers, round {number + 1} of {ROUNDS}")
                    loads["ours"].append(measure(ours, models.REQUEST, callers, SECONDS, workspace.token))
                    loads["theirs"].append(measure(theirs, models.REQUEST, callers, SECONDS))
                rows += _rows(callers, loads["ours"], loads["theirs"])
            return rows


def _rows(callers: int, ours: list[Load], theirs: list[Load]) -> list[Row]:
    def median(loads: list[Load], figure: str) -> float:
        return statistics.median(getattr(load, figure) for load in loads)

    what = f"{callers} caller{'s' if callers > 1 else ''}"
    figures = (("throughput", "requests/s", 0.9, True), ("p50", "ms", None, False), ("p99", "ms", 1.2, False))
    return [
        Row(f"{what}: {figure}", unit, median(ours, figure), median(theirs, figure), goal, at_least)
        for figure, unit, goal, at_least in figures
    ]


@contextmanager
def _scoring_server(folder: Path) -> Iterator[str]:
    """MLflow's scoring server with one worker, as a serving container runs it; yields its invocations URL."""
    model = models.save(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "-p", str(port)]
    command += ["--env-manager", "local", "--workers", "1"]
    # As in a serving container: traces are made, and kept in memory.
    environment = {**os.environ, "IS_IN_DB_MODEL_SERVING_ENV": "true", "ENABLE_MLFLOW_TRACING": "true"}
    log = (folder / "scoring-server.log").open("wb")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/ping", server)
        yield f"{url}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        log.close()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("MLflow's scoring server did not start")
