"""`agent-deploy doctor` against the local workspace, and on machines that lack something."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.doctor import workspace as of_workspace
from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller

BIN = str(Path(sys.executable).parent)


def doctor(*arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Its exit code and its lines, by what they are about."""
    done = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    return done.exit_code, {each["about"]: each for each in json.loads(done.output)}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with a `pulumi` that only says its version; the plugins of this environment beside it."""
    (tmp_path / "pulumi").write_text("#!/bin/sh\necho v3.256.0\n")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), BIN, "/usr/bin", "/bin"]))
    for name in [each for each in os.environ if each.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    return tmp_path


def use(local_workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    for variable, value in {**local_workspace.env(), **changes}.items():
        monkeypatch.setenv(variable, value)


def test_where_all_is_well_it_says_what_was_found(
    local_workspace: LocalWorkspace, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(local_workspace, monkeypatch)
    code, found = doctor()
    assert [each for each in found.values() if each["status"] == "error"] == []
    assert code == 0
    assert found["Pulumi"]["found"] == f"v3.256.0 at {machine / 'pulumi'}"
    assert "(a local workspace), as " in found["workspace"]["found"]
    assert "checks, none failed" in found["privileges in main.default"]["found"]
    shown = CliRunner().invoke(app, ["doctor"])
    assert (shown.exit_code, local_workspace.token in shown.output) == (0, False)
    assert "OK" in shown.output


@pytest.mark.parametrize(
    ("version", "status"), [("v3.100.0", "error"), ("v3.240.0", "warning"), ("nonsense", "error"), (None, "error")]
)
def test_a_pulumi_that_is_missing_or_old_is_told(machine: Path, version: str | None, status: str) -> None:
    if version is None:
        (machine / "pulumi").unlink()
    else:
        (machine / "pulumi").write_text(f"#!/bin/sh\necho {version}\n")
    code, found = doctor()
    assert (code, found["Pulumi"]["status"], bool(found["Pulumi"]["remedy"])) == (1, status, True)


def test_a_plugin_off_path_is_told(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine))
    _, found = doctor()
    assert found["pulumi-resource-agent-deploy"]["status"] == "error"
    assert BIN in found["pulumi-resource-agent-deploy"]["remedy"]


def test_no_workspace_no_network_and_no_valid_token_are_each_one_line(
    local_workspace: LocalWorkspace, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = doctor()
    assert (code, found["sign-in"]["status"], "workspace" in found) == (1, "error", False)
    use(local_workspace, monkeypatch, DATABRICKS_HOST="http://127.0.0.1:9")
    code, found = doctor()
    assert (code, found["workspace"]["status"], "clock" in found) == (1, "error", False)
    use(local_workspace, monkeypatch, DATABRICKS_TOKEN="dapi-of-yesterday")
    code, found = doctor()
    assert (code, found["workspace"]["status"]) == (1, "error")
    assert "not expired?" in found["workspace"]["remedy"]
    assert "dapi-of-yesterday" not in json.dumps(found)


def test_missing_privileges_are_told_with_the_grant(
    local_workspace: LocalWorkspace, stranger: Caller, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(local_workspace, monkeypatch, DATABRICKS_TOKEN=str(stranger.sdk.config.token))
    code, found = doctor("--schema", "main.nowhere")
    assert (code, found["privileges in main.nowhere"]["status"]) == (1, "error")


def test_a_token_that_ends_soon_and_a_clock_that_is_wrong_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        """A workspace that only signs and tells the time."""

        def __init__(self, expires: float, ahead: float) -> None:
            self._claims, self._ahead = {"exp": time.time() + expires}, ahead

        def signed(self) -> dict[str, str]:
            claims = base64.urlsafe_b64encode(json.dumps(self._claims).encode()).decode().rstrip("=")
            return {"Authorization": f"Bearer x.{claims}.y"}

        def date(self) -> str:
            return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - self._ahead))

    def lines(expires: float, ahead: float) -> list[Any]:
        fake: Any = Fake(expires, ahead)
        return [of_workspace._life(fake, "sdk"), of_workspace._clock(fake)]

    assert [each.status for each in lines(8000, 0)] == ["ok", "ok"]
    life, clock = lines(600, 120)
    assert (life.status, life.found) == ("warning", "10 minutes left")
    assert (clock.status, "seconds ahead of" in clock.found) == ("error", True)
    assert lines(-60, -120)[0].status == "error"
    assert "behind" in lines(8000, -120)[1].found
