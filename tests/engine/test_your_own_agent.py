"""docs/your-own-agent.md, taken literally: its three files, logged, deployed by the real engine, and asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_deploy.local import LocalWorkspace
from tests.engine.support import BIN, ROOT, RUN_SECONDS, Stack, both_plugins, clean_environment

PAGE = (ROOT / "docs" / "your-own-agent.md").read_text(encoding="utf-8")
AGENT, LOG, PROGRAM = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ENDPOINT = "agents_main-default-clerk"


@pytest.fixture
def run(local_workspace: LocalWorkspace, tmp_path: Path) -> Callable[..., str]:
    """``run(program of the environment, arguments)`` in the page's folder, against a workspace; returns its output."""
    folder = tmp_path / "clerk"
    folder.mkdir()
    (folder / "agent.py").write_text(AGENT, encoding="utf-8")
    (folder / "log.py").write_text(LOG, encoding="utf-8")

    def command(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [BIN / program, *arguments],
            cwd=folder,
            env={**clean_environment(), **local_workspace.env()},
            text=True, capture_output=True, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return command


@contextmanager
def deployed(stack: Stack) -> Iterator[Stack]:
    stack.preview()
    stack.up()
    try:
        yield stack
    finally:
        stack.destroy()


def test_the_page_works_as_it_is_written(
    run: Callable[..., str],
    local_workspace: LocalWorkspace,
    open_stack: Callable[..., Stack],
    tmp_path: Path,
) -> None:
    python = Path(sys.executable).name
    assert "main.default.clerk, version 1" in run(python, "log.py")
    stack = open_stack(PROGRAM, environment=local_workspace.env(), plugins=both_plugins(tmp_path / "plugins"))
    with deployed(stack):
        assert "for billing.\n" in run("agent-deploy", "query", ENDPOINT, "Where is my invoice?")
        # What the program sets reaches the agent.
        assert "the front desk" in run("agent-deploy", "query", ENDPOINT, "Who are you?")
        assert "main.default.clerk, version 2" in run(python, "log.py")
        stack.write(PROGRAM.replace('"model_version": "1"', '"model_version": "2"'))
        assert stack.up().operations["clerk"] == "update"
        assert "billing" in run("agent-deploy", "query", ENDPOINT, "Where is my invoice?")
    assert stack.resources() == {}
