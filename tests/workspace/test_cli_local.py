"""`agent-deploy local` as a user types it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent_deploy.local import LocalWorkspace, workspace
from tests.processes import alive


class Command:
    """Runs `agent-deploy` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = "from agent_deploy.cli import main; main()"
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path)
    yield command
    command("local", "stop")


def test_a_life_from_start_to_reset(command: Command) -> None:
    started = command("local", "start")
    assert started.returncode == 0, started.stderr
    assert "ready at http://127.0.0.1:" in started.stdout
    assert "starting the APIs" in started.stderr
    assert started.stderr.endswith('Next: eval "$(agent-deploy local env)"\n')
    assert "runs already" in command("local", "start").stdout

    variables = json.loads(command("local", "env", "--json").stdout)
    url = f"{variables['DATABRICKS_HOST']}/api/2.0/preview/scim/v2/Me"
    assert httpx.get(url, headers={"Authorization": f"Bearer {variables['DATABRICKS_TOKEN']}"}).status_code == 200
    shell = f"{command('local', 'env').stdout}\nenv"
    exported = subprocess.check_output(["sh", "-c", shell], text=True)
    assert all(f"{name}={value}\n" in exported for name, value in variables.items())

    status = json.loads(command("local", "status", "--json").stdout)
    assert (status["running"], status["host"]) == (True, variables["DATABRICKS_HOST"])
    assert command("local", "stop").stdout == "Stopped.\n"
    assert not alive(status["pid"])
    assert "No local workspace runs" in command("local", "stop").stdout
    stopped = command("local", "status")
    assert (stopped.returncode, stopped.stdout) == (1, "not running\n")

    command("local", "start")
    assert json.loads(command("local", "env", "--json").stdout) == variables
    assert command("local", "reset").returncode == 1
    assert command("local", "reset", "--yes").returncode == 0
    assert not (command.folder / ".agent-deploy").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_faults_are_added_listed_and_cleared(command: Command) -> None:
    command("local", "start")
    added = command("local", "faults", "add", "--path", "/api/*", "--status", "503", "--times", "2")
    assert "Fault 1 added" in added.stdout
    command("local", "faults", "add", "--build", "qa_*", "--fail", "no such package")
    rules = json.loads(command("local", "faults", "list", "--json").stdout)
    assert [(rule["match"], rule["status"], rule["fail"]) for rule in rules] == [
        ("request", 503, None),
        ("build", None, "no such package"),
    ]
    assert command("local", "faults", "clear", "1").stdout == "Removed 1.\n"
    assert "fail no such package" in command("local", "faults", "list").stdout
    command("local", "faults", "clear")
    assert command("local", "faults", "list").stdout == "No faults.\n"
    nothing = command("local", "faults", "add")
    assert (nothing.returncode, "--status, --reset, --lose-answer or --delay" in nothing.stderr) == (1, True)
    nothing = command("local", "faults", "add", "--build", "qa_*")
    assert (nothing.returncode, "--fail MESSAGE, or --delay SECONDS" in nothing.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("env",), ("faults", "list"), ("stop",), ("reset", "--yes")])
def test_without_a_workspace_one_line_says_what_to_do(command: Command, arguments: tuple[str, ...]) -> None:
    answer = command("local", *arguments)
    assert answer.returncode == 1
    assert answer.stderr.startswith("agent-deploy: ")
    assert len(answer.stderr.splitlines()) == 1


def test_reset_spares_a_folder_that_is_no_workspace(command: Command) -> None:
    (command.folder / "precious").mkdir()
    (command.folder / "precious" / "file").write_text("x")
    assert command("local", "reset", "--yes", "--folder", "precious").returncode == 1
    assert (command.folder / "precious" / "file").exists()


def test_a_taken_port_is_told(command: Command) -> None:
    command("local", "start")
    port = json.loads(command("local", "status", "--json").stdout)["host"].rpartition(":")[2]
    answer = command("local", "start", "--folder", "other", "--port", port)
    assert answer.returncode == 1
    assert f"Port {port}" in answer.stderr


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("seconds=3", "expected NAME=NUMBER, NAME one of sql_memory_mib"),
        ("sql_seconds=soon", "expected a number above 0, such as sql_seconds=60"),
        ("sql_rows=-1", "option sql_rows is -1.0: expected a number above 0"),
    ],
)
def test_a_limit_that_is_none_is_told(command: Command, limit: str, told: str) -> None:
    refused = command("local", "start", "--limit", limit)
    assert (refused.returncode, told in refused.stderr) == (1, True), refused.stderr
    assert list(command.folder.iterdir()) == []  # no folder, and no token in it


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("databricks-gpt-5", "expected NAME=ANSWERS"),
        ("gpt=llm", "expected the name of a foundation model's endpoint, databricks-"),
        ("databricks-gpt-5=https://models.example.com/v1", "expected an address on this machine"),
    ],
)
def test_what_cannot_answer_for_a_foundation_model_is_told(command: Command, given: str, told: str) -> None:
    refused = command("local", "start", "--foundation-model", given)
    assert (refused.returncode, told in refused.stderr) == (1, True), refused.stderr
    assert list(command.folder.iterdir()) == []


def test_a_refused_start_leaves_what_was_there(command: Command) -> None:
    kept = command.folder / ".agent-deploy" / "plugins" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert command("local", "start", "--limit", "sql_rows=-1").returncode == 1
    assert [path for path in (command.folder / ".agent-deploy").rglob("*") if path.is_file()] == [kept]
    assert command("local", "start").returncode == 0
    command("local", "stop")
    token = command.folder / ".agent-deploy" / "admin.token"
    before = token.read_text()
    assert command("local", "start", "--limit", "sql_rows=-1").returncode == 1
    assert token.read_text() == before


def test_a_refused_start_takes_nothing_that_somebody_else_has_put_there_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    before = workspace._files(tmp_path)
    for name in ("theirs.txt", "admin.token", "logs"):
        (tmp_path / name).mkdir() if name == "logs" else (tmp_path / name).touch()
    workspace._remove_new(tmp_path, before)
    assert {path.name for path in tmp_path.iterdir()} == {"before", "theirs.txt"}


def test_a_workspace_of_a_test_that_does_not_start_leaves_no_folder() -> None:
    refused = LocalWorkspace(sql_rows=-1)
    with pytest.raises(workspace.WorkspaceError, match="sql_rows"):
        refused.start()
    assert not refused.folder.exists()


def test_a_limit_holds(command: Command) -> None:
    command("local", "start", "--limit", "sql_rows=10", "--limit", "sql_seconds=60")
    variables = json.loads(command("local", "env", "--json").stdout)
    headers = {"Authorization": f"Bearer {variables['DATABRICKS_TOKEN']}"}
    with httpx.Client(base_url=variables["DATABRICKS_HOST"], headers=headers, timeout=60) as http:
        warehouse = http.post("/api/2.0/sql/warehouses", json={"name": "w"}).json()["id"]
        body = {"warehouse_id": warehouse, "statement": "SELECT id FROM range(11)", "wait_timeout": "30s"}
        answer = http.post("/api/2.0/sql/statements", json=body).json()
    assert "sql_rows" in answer["status"]["error"]["message"]


def test_the_next_command_names_a_folder_of_ones_own(command: Command) -> None:
    folder = ("--folder", "another place")
    started = command("local", "start", *folder)
    assert command("local", "stop", *folder).returncode == 0
    assert started.stderr.endswith("Next: eval \"$(agent-deploy local env --folder 'another place')\"\n")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from agent_deploy.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'mlflow', 'fastapi', 'uvicorn', 'pandas', 'databricks', 'pulumi', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor: what else the machine does meanwhile is not the command's.
    assert spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime < 10
