"""(c) The first answer of an endpoint that was scaled to zero, against a bare load of the same model."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from agent_deploy.local import LocalWorkspace
from bench import models
from bench.endpoint import ENDPOINT, call, served
from bench.report import Progress, Row

ROUNDS = 5
IDLE_SECONDS = 0.5
# As in a serving container: traces are kept in memory, no tracking store is made.
SERVING = {"IS_IN_DB_MODEL_SERVING_ENV": "true", "ENABLE_MLFLOW_TRACING": "true"}
BARE = "import sys, json, mlflow.pyfunc; mlflow.pyfunc.load_model(sys.argv[1]).predict(json.loads(sys.argv[2]))"


def run(progress: Progress) -> list[Row]:
    """Seconds from the request to its answer; the bare load includes the interpreter's start and one prediction."""
    with tempfile.TemporaryDirectory() as folder, LocalWorkspace(scale_to_zero_seconds=IDLE_SECONDS) as workspace:
        progress("deploying the model")
        url = served(workspace, Path(folder), scale_to_zero=True)
        model = models.save(Path(folder))
        ours, theirs = [], []
        for number in range(ROUNDS):
            progress(f"round {number + 1} of {ROUNDS}")
            _wait_for_zero(workspace)
            headers = {"Authorization": f"Bearer {workspace.token}"}
            begin = time.perf_counter()
            httpx.post(url, json=models.REQUEST, headers=headers, timeout=120).raise_for_status()
            ours.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            command = [sys.executable, "-c", BARE, str(model), json.dumps(models.REQUEST)]
            subprocess.run(command, check=True, cwd=folder, env={**os.environ, **SERVING})
            theirs.append(time.perf_counter() - begin)
        return [Row("first answer", "s", statistics.median(ours), statistics.median(theirs), goal=1.2)]


def _wait_for_zero(workspace: LocalWorkspace) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        entities = call(workspace, "GET", f"/api/2.0/serving-endpoints/{ENDPOINT}")["config"]["served_entities"]
        if "scaled to zero" in entities[0]["state"].get("deployment_state_message", "").lower():
            return
        time.sleep(0.1)
    raise RuntimeError("the endpoint did not scale to zero")
