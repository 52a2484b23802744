"""docs/first-day.md, taken literally: its commands, counted, run in an empty folder in one shell, and timed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_deploy.projects.rendering import TEMPLATES
from tests.engine.support import BIN, ROOT, RUN_SECONDS, clean_environment, end_session, toolchain

PAGE = (ROOT / "docs" / "first-day.md").read_text(encoding="utf-8")
MOST = 5
SESSION_SECONDS = 3 * RUN_SECONDS  # seven commands, one after the other
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
            out, said = process.communicate(timeout=SESSION_SECONDS)
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


def agent_deploy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = toolchain()
    assert found is not None
    variables = clean_environment()
    variables["PATH"] = f"{BIN}:{found}:{variables['PATH']}"
    command = [str(BIN / "agent-deploy"), *arguments]
    return subprocess.run(
        command, cwd=folder, env=variables, text=True, capture_output=True, timeout=RUN_SECONDS, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["start", "--stack", "local"], "--stack local: There is no Pulumi project in"),
        (["start", "--stack", "local", "--foreground"], "give one of them"),
    ],
)
def test_a_stack_that_cannot_be_is_told_before_anything_starts(tmp_path: Path, arguments: list[str], told: str) -> None:
    refused = agent_deploy(tmp_path, "local", *arguments)
    assert (refused.returncode, told in refused.stderr) == (1, True), refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_stack_file_whose_key_is_gone_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: clerk\nruntime: python\n")
    (tmp_path / "Pulumi.local.yaml").write_text("encryptionsalt: v1:vGxAV9APV5c=:v1:8huPicN0FndsbyM5:gPvL\n")
    refused = agent_deploy(tmp_path, "local", "start", "--stack", "local")
    assert refused.returncode == 1
    assert "the key of Pulumi.local.yaml is not in .agent-deploy. Delete that file" in refused.stderr
    assert not (tmp_path / ".agent-deploy").exists()


def test_a_second_shell_finds_the_same_stack_and_a_reset_spares_its_key(tmp_path: Path) -> None:
    tmp_path /= "a#b ?c"  # each has a meaning in an address
    tmp_path.mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: clerk\nruntime: python\n")
    first = agent_deploy(tmp_path, "local", "start", "--stack", "local")
    try:
        assert "Created stack 'local'" in first.stderr
        second = agent_deploy(tmp_path, "local", "env", "--stack", "local")
        assert second.stdout == first.stdout
        assert "Created stack" not in second.stderr
        assert "export PULUMI_STACK=local\n" in first.stdout
        misspelt = agent_deploy(tmp_path, "local", "env", "--stack", "lcoal")
        assert (misspelt.returncode, misspelt.stdout) == (1, "")
        assert "there is no such stack (there: local)" in misspelt.stderr
        assert (tmp_path / ".agent-deploy" / "pulumi.key").stat().st_mode & 0o077 == 0
        agent_deploy(tmp_path, "local", "reset", "--yes")
        again = agent_deploy(tmp_path, "local", "start", "--stack", "local")
        assert again.returncode == 0, again.stderr
        assert "Created stack 'local'" in again.stderr
    finally:
        agent_deploy(tmp_path, "local", "stop")


def pulumi(folder: Path, *arguments: str) -> str:
    """A command of Pulumi's whose state lies beside the folder."""
    found, variables = toolchain(), clean_environment()
    assert found is not None
    variables |= {"PATH": f"{BIN}:{found}:{variables['PATH']}", "PULUMI_CONFIG_PASSPHRASE": "test"}
    variables["PULUMI_BACKEND_URL"] = f"file://{folder.parent}"
    done = subprocess.run(
        ["pulumi", *arguments],
        cwd=folder, env=variables, text=True, capture_output=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(folder: Path) -> dict[str, Any]:
    """Name → text, or what it says where it is YAML: `pulumi new` leaves empty lines there."""
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    return {name: yaml.safe_load(text) if name.endswith(".yaml") else text for name, text in texts.items()}


@pytest.mark.parametrize("language", ["python", "yaml"])
def test_pulumi_new_writes_what_init_writes(tmp_path: Path, language: str) -> None:
    by_pulumi, by_init = tmp_path / "pulumi" / "clerk", tmp_path / "init" / "clerk"
    by_pulumi.mkdir(parents=True)
    template = str(TEMPLATES / "project" / language)
    pulumi(by_pulumi, "new", template, "--generate-only", "--yes", "--offline")
    options = ["--language", language, "--ci", "none", "--yes"]
    made = agent_deploy(tmp_path, "init", str(by_init), *options)
    assert made.returncode == 0, made.stderr
    found, wanted = read(by_pulumi), read(by_init)
    # Pulumi notes where the template was, and takes its description for the project's.
    assert found["Pulumi.yaml"]["config"].pop("pulumi:tags")
    wanted["Pulumi.yaml"]["description"] = found["Pulumi.yaml"]["description"]
    assert found == wanted


def test_every_stacks_file_is_configuration_that_pulumi_takes(tmp_path: Path) -> None:
    folder = tmp_path / "clerk"
    assert agent_deploy(tmp_path, "init", "clerk", "--yes").returncode == 0
    found = {}
    for stack in ("dev", "staging", "prod"):
        pulumi(folder, "stack", "init", stack, "--no-select")
        config = json.loads(pulumi(folder, "config", "--json", "--stack", stack))
        found[stack] = [config[f"clerk:{key}"]["value"] for key in ("model", "alias", "group", "scaleToZero")]
    assert found == {
        "dev": ["main.default.clerk", "candidate", "users", "true"],
        "staging": ["staging.default.clerk", "candidate", "users", "true"],
        "prod": ["prod.default.clerk", "champion", "users", "false"],
    }
