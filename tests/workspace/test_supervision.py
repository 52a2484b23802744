"""Whatever code that is not ours raises, in whatever place: the server goes on, and whoever waits is told the cause."""

from __future__ import annotations

import ast
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy import local
from agent_deploy.local.app import create_app
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.supervision import Escaped, contained, described
from agent_deploy.local.jobs.scheduler import Scheduler
from agent_deploy.local.pipelines.updates import Updates
from agent_deploy.local.serving.payload_table import PayloadTable
from agent_deploy.local.serving.payload_writer import Payloads
from agent_deploy.local.sql.warehouses import Warehouses
from agent_deploy.local.statements.engine import Engine
from agent_deploy.local.vector_search.indexes import Indexes
from agent_deploy.tables.scratch import remove_scratch

_TOKEN = "an-administrator-s-token"
_SECONDS = 20.0


class PanicException(BaseException):
    """As Rust libraries for Python raise it."""


RAISED = [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, PanicException]


class _Client:
    """Calls of the administrator; what runs in the background is waited for."""

    def __init__(self, http: TestClient) -> None:
        self._http = http

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        response = self._http.request(method, path, json=body, headers={"Authorization": f"Bearer {_TOKEN}"})
        assert response.status_code == status, response.text
        found: dict[str, Any] = response.json()
        return found

    def until(self, look: Callable[[], Any], reached: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + _SECONDS
        while not reached(seen := look()):
            assert time.monotonic() < deadline, f"not within {_SECONDS} s: {seen}"
            time.sleep(0.02)
        return seen


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Of the test's own, in this process."""
    opened = Workspace.open(tmp_path / "workspace")
    opened.host = "http://127.0.0.1"
    opened.principals.bootstrap(_TOKEN)
    return opened


@pytest.fixture
def client(workspace: Workspace) -> Iterator[_Client]:
    """Its administrator; afterwards the workspace still answers, and stops in order."""
    with TestClient(create_app(workspace), base_url=workspace.host) as http:
        made = _Client(http)
        yield made
        assert made.call("GET", "/api/2.0/preview/scim/v2/Me")["active"]


def _statement(client: _Client) -> str:
    warehouse = client.call("POST", "/api/2.0/sql/warehouses", {"name": "w"})["id"]
    body = {"statement": "SELECT 1", "warehouse_id": warehouse, "wait_timeout": "30s"}
    status = client.call("POST", "/api/2.0/sql/statements", body)["status"]
    assert status["state"] == "FAILED"
    return str(status["error"]["message"])


def _job(client: _Client) -> str:
    warehouse = client.call("POST", "/api/2.0/sql/warehouses", {"name": "w"})["id"]
    content = {"path": "/Shared/q.sql", "format": "AUTO", "content": "U0VMRUNUIDE="}
    client.call("POST", "/api/2.0/workspace/import", content)
    task = {"task_key": "q", "sql_task": {"warehouse_id": warehouse, "file": {"path": "/Shared/q.sql"}}}
    job = client.call("POST", "/api/2.2/jobs/create", {"name": "j", "tasks": [task]})["job_id"]
    run = client.call("POST", "/api/2.2/jobs/run-now", {"job_id": job})["run_id"]
    ended = client.until(
        lambda: client.call("GET", f"/api/2.2/jobs/runs/get?run_id={run}")["state"],
        lambda state: state["life_cycle_state"] == "TERMINATED",
    )
    assert ended["result_state"] == "FAILED"
    return str(ended["state_message"])


def _pipeline(client: _Client) -> str:
    pipeline = client.call("POST", "/api/2.0/pipelines", {"name": "p", "catalog": "main", "schema": "default"})
    path = f"/api/2.0/pipelines/{pipeline['pipeline_id']}"
    update = client.call("POST", f"{path}/updates", {})["update_id"]
    client.until(
        lambda: client.call("GET", f"{path}/updates/{update}")["update"]["state"], lambda state: state == "FAILED"
    )
    return str(client.call("GET", f"{path}/events")["events"][0]["message"])


def _index(client: _Client) -> str:
    client.call("POST", "/api/2.0/vector-search/endpoints", {"name": "vs", "endpoint_type": "STANDARD"})
    spec = {"schema_json": '{"id": "int", "v": "array<float>"}'}
    spec["embedding_vector_columns"] = [{"name": "v", "embedding_dimension": 2}]  # type: ignore[assignment]
    body = {"name": "main.default.i", "endpoint_name": "vs", "primary_key": "id", "index_type": "DIRECT_ACCESS"}
    client.call("POST", "/api/2.0/vector-search/indexes", {**body, "direct_access_index_spec": spec})
    path = "/api/2.0/vector-search/indexes/main.default.i"
    return str(
        client.until(
            lambda: client.call("GET", path)["status"].get("message", ""), lambda message: "Sync failed" in message
        )
    )


def _inference_table(client: _Client) -> str:
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "p"}
    body = {"name": "e", "ai_gateway": {"inference_table_config": table}}
    told = client.call("POST", "/api/2.0/serving-endpoints", body, status=500)["message"]
    client.call("GET", "/api/2.0/serving-endpoints/e", status=404)
    return str(told)


# What is called there, and what its caller is told.
PLACES: dict[str, tuple[type, str, Callable[[_Client], str]]] = {
    "a statement": (Engine, "run", _statement),
    "a statement of a job": (Engine, "run", _job),
    "a pipeline's update": (Updates, "_job", _pipeline),
    "a vector search index": (Indexes, "_build", _index),
    "an inference table": (PayloadTable, "create", _inference_table),
}


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("place", PLACES)
def test_whoever_waits_is_told(
    place: str, raised: type[BaseException], client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, ask = PLACES[place]

    def fail(*_: Any, **__: Any) -> None:
        raise raised("out of other code")

    monkeypatch.setattr(owner, name, fail)
    told = ask(client)
    assert raised.__name__ in told
    assert "out of other code" in told


@pytest.mark.parametrize("raised", RAISED)
def test_a_route_that_runs_in_a_thread_answers(
    raised: type[BaseException], client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise raised("out of other code")

    monkeypatch.setattr(Warehouses, "list", fail)
    told = client.call("GET", "/api/2.0/sql/warehouses", status=500)["message"]
    assert raised.__name__ in told


@pytest.mark.parametrize("raised", RAISED)
def test_a_canceled_statement_ends(
    raised: type[BaseException], client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = threading.Event()

    def fail(_engine: Engine, _statement: str, session: Any, _started: Any) -> None:
        runs.set()
        session.canceled.wait(_SECONDS)
        raise raised

    monkeypatch.setattr(Engine, "run", fail)
    warehouse = client.call("POST", "/api/2.0/sql/warehouses", {"name": "w"})["id"]
    body = {"statement": "SELECT 1", "warehouse_id": warehouse, "wait_timeout": "0s"}
    path = f"/api/2.0/sql/statements/{client.call('POST', '/api/2.0/sql/statements', body)['statement_id']}"
    assert runs.wait(_SECONDS)
    client.call("POST", f"{path}/cancel")
    assert client.call("GET", path)["status"]["state"] == "CANCELED"


@pytest.mark.parametrize("raised", RAISED)
def test_the_clock_of_jobs_goes_on(raised: type[BaseException], client: _Client, monkeypatch: Any) -> None:
    seen, failed = threading.Event(), threading.Event()

    def fail(*_: Any) -> float:
        if not failed.is_set():
            failed.set()
            raise raised
        seen.set()
        return 60.0

    monkeypatch.setattr(Scheduler, "_look_at", fail)
    for name in ("one", "two"):
        client.call("POST", "/api/2.2/jobs/create", {"name": name, "tasks": []})
    assert seen.wait(_SECONDS)


@pytest.mark.parametrize("raised", RAISED)
def test_a_table_s_library_that_fails_keeps_no_other_row_from_its_table(
    raised: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads, written = Payloads(), threading.Event()

    def append(_payloads: Payloads, folder: Path, _exchanges: Any) -> None:
        if folder.name == "odd":
            raise raised
        written.set()

    monkeypatch.setattr(Payloads, "_append", append)
    for name in ("odd", "good"):
        exchange: Any = type("Exchange", (), {"folder": tmp_path / name})
        payloads.add(exchange)
        payloads.add(exchange)
    assert written.wait(_SECONDS)
    written.clear()
    payloads.add(exchange)
    assert written.wait(_SECONDS)
    payloads.stop()


@given(st.sampled_from([*RAISED, ValueError, StopIteration]), st.text(max_size=20))
def test_nothing_but_exceptions_comes_out_of_a_contained_call(raised: type[BaseException], text: str) -> None:
    @contained
    def call() -> None:
        raise raised(text)

    with pytest.raises(Exception) as seen:
        call()
    assert seen.type is (raised if issubclass(raised, Exception) else Escaped)
    assert raised.__name__ in (seen.typename + str(seen.value))
    assert text in str(seen.value)


def test_an_error_that_cannot_say_what_it_is_is_named() -> None:
    class Mute(BaseException):
        def __str__(self) -> str:
            raise ValueError

    assert described(Mute()) == "Mute: (its text raises ValueError)"


def test_a_folder_can_be_made_while_it_is_removed(tmp_path: Path) -> None:
    folder, stop, errors = tmp_path / "a" / "b", threading.Event(), []

    def remove() -> None:
        while not stop.is_set():
            remove_scratch(tmp_path / "a")

    removing = [threading.Thread(target=remove) for _ in range(2)]
    for thread in removing:
        thread.start()
    try:
        for _ in range(3000):
            make(folder)
    except OSError as error:
        errors.append(error)
    finally:
        stop.set()
        for thread in removing:
            thread.join()
    assert errors == []


def test_a_file_where_a_folder_is_to_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make(tmp_path / "file")


_ROOT = Path(local.__file__).parent
# Before anything else runs, or in another process.
_ALONE = {"server.py", "workspace.py", "core/folders.py", "core/context.py"}


def _modules() -> list[str]:
    found = (path.relative_to(_ROOT) for path in _ROOT.rglob("*.py"))
    return sorted(path.as_posix() for path in found)


@pytest.mark.parametrize("module", [name for name in _modules() if name not in _ALONE])
def test_folders_are_made_in_one_way(module: str) -> None:
    tree = ast.parse((_ROOT / module).read_text())
    found = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in ("mkdir", "makedirs")]
    assert found == []
