"""`agent-deploy local start` in a new folder, until the workspace has answered a first call; nothing of it is warm."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from agent_deploy.local.running import TOKEN_FILE, status
from bench.report import Progress, Row

_RUNS = 5
_AGENT_DEPLOY = str(Path(sys.executable).parent / "agent-deploy")
_FIRST_CALL = "/api/2.0/preview/scim/v2/Me"
_LOAD = "import fastapi, uvicorn, sqlalchemy"


def run(progress: Progress) -> list[Row]:
    """Medians of whole commands, against a process that only loads the libraries that a server needs."""
    started, bare, processor = [], [], []
    for number in range(_RUNS):
        progress(f"run {number + 1} of {_RUNS}")
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu = _start(Path(folder) / "state")
        started.append(seconds)
        processor.append(cpu)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", _LOAD], check=True)
        bare.append(time.perf_counter() - began)
    return [
        Row("first answered call (to stay below 3 s)", "s", statistics.median(started), statistics.median(bare)),
        Row("processor time of command and server", "s", statistics.median(processor)),
    ]


def _start(folder: Path) -> tuple[float, float]:
    """Seconds on the clock, and of processors, until the first answer."""
    before, began = _children(), time.perf_counter()
    subprocess.run([_AGENT_DEPLOY, "local", "start", "--folder", str(folder)], check=True, capture_output=True)
    try:
        found = status(folder)
        assert found is not None
        headers = {"Authorization": f"Bearer {(folder / TOKEN_FILE).read_text().strip()}"}
        httpx.get(found["host"] + _FIRST_CALL, headers=headers).raise_for_status()
        seconds = time.perf_counter() - began
        return seconds, _children() - before + _processor(int(found["pid"]))
    finally:
        subprocess.run([_AGENT_DEPLOY, "local", "stop", "--folder", str(folder)], check=True, capture_output=True)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _processor(pid: int) -> float:
    """Of a process that runs on."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system
