"""`agent-deploy report` on the preview of 50 agents, a process each time, against reading the same JSON and no more."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Progress, Row

_RECORDED = Path(__file__).parent.parent / "tests" / "unit" / "fixtures" / "report" / "first_deployment.json"
_AGENTS, _RUNS = 50, 7
_READ = "import json, sys; json.load(open(sys.argv[1]))"


def run(progress: Progress) -> list[Row]:
    """Medians of whole processes, the three in turn."""
    with tempfile.TemporaryDirectory() as folder:
        files = {agents: _preview(Path(folder), agents) for agents in (1, _AGENTS)}
        command = [str(Path(sys.executable).parent / "agent-deploy"), "report", "--format", "markdown"]
        measured: dict[str, list[float]] = {}
        for number in range(_RUNS):
            progress(f"run {number + 1} of {_RUNS}")
            for name, line in (
                ("one", [*command, str(files[1])]),
                ("all", [*command, str(files[_AGENTS])]),
                ("bare", [sys.executable, "-c", _READ, str(files[_AGENTS])]),
            ):
                measured.setdefault(name, []).append(_seconds(line))
    times = {name: statistics.median(found) for name, found in measured.items()}
    return [
        Row(f"report of {_AGENTS} agents (to stay below 1 s)", "s", times["all"], times["bare"]),
        Row("of one agent: the command's start", "s", times["one"], times["bare"]),
    ]


def _preview(folder: Path, agents: int) -> Path:
    """A recorded first deployment, so many times under other names."""
    recorded = json.loads(_RECORDED.read_text("utf-8"))
    steps = json.dumps(recorded["steps"])
    recorded["steps"] = [
        step for number in range(agents) for step in json.loads(steps.replace("::agent", f"::agent{number}"))
    ]
    file = folder / f"{agents}.json"
    file.write_text(json.dumps(recorded), "utf-8")
    return file


def _seconds(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
