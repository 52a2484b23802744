"""`tools/demo.py` as `make demo` runs it, in a copy of the repository: to its end, and stopped early."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from agent_deploy.local.core.process_tree import kill_process_tree
from agent_deploy.local.running import TOKEN_FILE
from agent_deploy.stand_in.selection import VARIABLE
from tests.engine.support import BIN, ROOT, clean_environment, eventually, toolchain

DEMO_SECONDS = 900.0  # two cores may be shared by several engines
KEY = re.findall(r'^API_KEY = "(.+)"$', (ROOT / "tools" / "demo.py").read_text(), re.MULTILINE)
STEPS = (
    "A workspace on this machine",
    "Version 1 of the agent",
    "Declare it",
    "Preview",
    "Deploy",
    "What is deployed where",
    "Ask it, with curl",
    "Ask it, with Databricks' SDK and with MLflow's client",
    "Ask it, streaming",
    "What it may touch",
    "Rate the answer",
    "Look at the rating",
    "Feedback that means nothing",
    "The Review App",
    "The logged rows",
    "Request logs",
    "Version 2 of the agent",
    "Change it in place",
    "Ask again",
    "Tear it down",
    "Proof that nothing is left",
)


class Demo:
    """A copy of what the demo is made of, with folders and stacks of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made_by_runs = shutil.ignore_patterns("__pycache__", "Pulumi.demo.yaml")
        for name in ("agent_deploy", "docs", "stacks", "tools"):
            shutil.copytree(ROOT / name, folder / name, ignore=made_by_runs)
        for name in ("Pulumi.yaml", "README.md"):
            shutil.copy(ROOT / name, folder)
        (folder / ".venv").symlink_to(sys.prefix)

    @contextmanager
    def started(self, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """The demo's process; nothing of it outlives the block."""
        environment = {
            **clean_environment(),
            "PATH": os.pathsep.join([str(BIN), str(toolchain()), os.environ.get("PATH", "")]),
            "PULUMI_HOME": str(self.folder / "home"),
            "DATABRICKS_CONFIG_FILE": str(self.folder / "no-databrickscfg"),
            **variables,
        }
        with subprocess.Popen(
            [sys.executable, "tools/demo.py"],
            cwd=self.folder, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    kill_process_tree(process.pid)

    def run(self, **variables: str) -> tuple[int, str]:
        """Exit code and output."""
        with self.started(**variables) as process:
            output, _ = process.communicate(timeout=DEMO_SECONDS)
        return process.returncode, output

    def processes(self) -> list[str]:
        """What runs in this folder, or with it in its command line."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                command = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and str(self.folder) in f"{command} {process.cwd()}":
                    found.append(command)
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


def test_it_runs_to_its_end_and_leaves_nothing(demo: Demo) -> None:
    code, output = demo.run()
    assert code == 0, output
    assert tuple(re.findall(r"^▶ (.*)$", output, re.MULTILINE)) == STEPS
    assert "  starting the APIs\n" in output
    assert re.search(r"^  the endpoint's id is \w+, as before$", output, re.MULTILINE)
    assert "  serving endpoints: 0\n" in output
    assert "Traceback" not in output
    assert demo.processes() == []
    token = (demo.folder / ".agent-deploy" / "demo" / "workspace" / TOKEN_FILE).read_text().strip()
    assert [secret for secret in (*KEY, token) if secret in output] == []
    assert len(KEY) == 1


def _without_pulumi() -> dict[str, str]:
    folders = [str(BIN), *os.environ.get("PATH", "").split(os.pathsep)]
    return {"PATH": os.pathsep.join(folder for folder in folders if not shutil.which("pulumi", path=folder))}


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        pytest.param(lambda: {VARIABLE: "another"}, f"{VARIABLE} 'another'", id="a wrong setting"),
        pytest.param(_without_pulumi, "No such file or directory: 'pulumi'", id="no pulumi"),
    ],
)
def test_what_stops_it_is_told(demo: Demo, variables: Callable[[], dict[str, str]], reason: str) -> None:
    code, output = demo.run(**variables())
    assert code == 1, output
    assert re.search(rf"^The demo stopped: .*{re.escape(reason)}", output, re.MULTILINE), output
    assert "Traceback" not in output
    assert demo.processes() == []


def test_interrupted_it_ends_what_it_has_started(demo: Demo) -> None:
    with demo.started() as process:
        assert process.stdout
        for line in process.stdout:
            if line == "▶ Preview\n":
                break
        # The engine's plugins: of all that the demo starts, the furthest from it.
        eventually(lambda: [command for command in demo.processes() if "pulumi-resource-agent-deploy" in command])
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == 1, output
    assert "\nThe demo stopped: interrupted\n" in output
    assert "Traceback" not in output
    assert demo.processes() == []
