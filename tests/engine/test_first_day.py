"""docs/first-day.md, taken literally: its commands, counted, run in an empty folder in one shell, and timed."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.support import BIN, ROOT, RUN_SECONDS, clean_environment, end_session, toolchain

PAGE = (ROOT / "docs" / "first-day.md").read_text(encoding="utf-8")
MOST = 5
_CHAINED = re.compile(r"&&|\|\||;|\|")


def section(heading: str) -> tuple[list[str], list[str]]:
    """The commands of a part of the page, and what it shows of their output."""
    text = re.split(rf"^## {re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return commands, [line for line in lines if not line.startswith("$ ")]


Shell = Callable[[list[str]], str]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """``shell(commands)`` runs them in one shell in the page's folder, until one fails; returns what was printed."""
    folder = tmp_path / "clerk"
    folder.mkdir()
    found = toolchain()
    assert found is not None
    variables = clean_environment()
    variables["PATH"] = f"{BIN}:{found}:{variables['PATH']}"

    def run(commands: list[str]) -> str:
        lines = ["set -e", "TIMEFORMAT='%R s'"]
        for command in commands:
            lines += [f"echo '$' {shlex.quote(command)} >&2", f"time {command}"]
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", "\n".join(lines)],
            cwd=folder, env=variables, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            out, said = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            end_session(process)
            raise
        assert process.returncode == 0, out + said
        print(*re.findall(r"^(?:\$ .*|\d+\.\d+ s)$", said, re.MULTILINE), sep="\n")
        return out

    yield run
    stop = [str(BIN / "agent-deploy"), "local", "stop"]
    if (folder / ".agent-deploy").exists():
        subprocess.run(stop, cwd=folder, env=variables, check=False, capture_output=True, timeout=RUN_SECONDS)


@pytest.mark.parametrize("language", ["Python", "YAML"])
def test_from_an_empty_folder_to_an_answer(shell: Shell, language: str, tmp_path: Path) -> None:
    commands, shown = section(f"In {language}")
    assert 0 < len(commands) <= MOST
    assert [command for command in commands if _CHAINED.search(command)] == []
    last, _ = section("The end")
    out = shell([*commands, *last])
    assert shown
    assert [line for line in shown if line not in out.splitlines()] == []
    # Nothing is left but the project, what the page says, and the stack's line of this machine.
    left = {path.name for path in (tmp_path / "clerk").iterdir()}
    assert {"agent.py", "log.py", "questions.jsonl", "Pulumi.yaml", ".agent-deploy", "Pulumi.local.yaml"} <= left
    assert ("__main__.py" in left) == (language == "Python")
