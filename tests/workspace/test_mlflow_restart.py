"""What was logged and registered is there after a stop, and after kill -9; no process stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.tracking.server import MlflowServer
from tests.processes import alive, await_end, descendants

UC = "/api/2.0/mlflow/unity-catalog"
MODEL = "main.default.kept"
TRACKING_SERVER = "agent_deploy.local.tracking.process"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LocalWorkspace]:
    # A folder with a long name: its MLflow server's socket must lie elsewhere.
    with LocalWorkspace(folder=tmp_path / ("long-" * 20)) as workspace:
        yield workspace


def client(workspace: LocalWorkspace) -> httpx.Client:
    return httpx.Client(base_url=workspace.host, headers={"Authorization": f"Bearer {workspace.token}"}, timeout=60)


def fill(http: httpx.Client) -> str:
    """A registered model with a file, and a run; returns the run's id."""
    http.post(f"{UC}/registered-models/create", json={"name": MODEL}).raise_for_status()
    http.post(f"{UC}/model-versions/create", json={"name": MODEL}).raise_for_status()
    http.put("/api/2.0/fs/files/Models/main/default/kept/1/MLmodel", content=b"x" * 3_000_000).raise_for_status()
    http.post(f"{UC}/model-versions/finalize", json={"name": MODEL, "version": "1"}).raise_for_status()
    created = http.post("/api/2.0/mlflow/experiments/create", json={"name": "/Shared/kept"}).raise_for_status().json()
    run = http.post("/api/2.0/mlflow/runs/create", json={"experiment_id": created["experiment_id"]}).raise_for_status()
    return str(run.json()["run"]["info"]["run_id"])


def check(http: httpx.Client, run_id: str) -> None:
    version = http.get(f"{UC}/model-versions/get", params={"name": MODEL, "version": "1"}).json()["model_version"]
    assert version["status"] == "READY"
    content = http.get("/api/2.0/fs/files/Models/main/default/kept/1/MLmodel").content
    assert content == b"x" * 3_000_000
    assert http.get("/api/2.0/mlflow/runs/get", params={"run_id": run_id}).status_code == 200


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_all_is_there_after_a_restart(workspace: LocalWorkspace, how: str) -> None:
    with client(workspace) as http:
        run_id = fill(http)
    [server] = descendants(workspace.pid, TRACKING_SERVER)
    workspace.stop() if how == "stop" else workspace.kill()
    await_end(server)
    workspace.start()
    with client(workspace) as http:
        check(http, run_id)


def test_the_tracking_server_is_started_only_when_it_is_needed(workspace: LocalWorkspace) -> None:
    with client(workspace) as http:
        http.get(f"{UC}/registered-models/search").raise_for_status()
    assert descendants(workspace.pid, TRACKING_SERVER) == []


def test_a_tracking_server_that_answers_nobody_is_ended_and_the_next_call_starts_another(tmp_path: Path) -> None:
    server = MlflowServer(tmp_path, answer_seconds=3)
    others = set(descendants(os.getpid(), TRACKING_SERVER))  # of workspaces that run on for other tests
    try:
        server.start()
        (hung,) = set(descendants(os.getpid(), TRACKING_SERVER)) - others
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(ApiError, match="did not answer") as told:
            server.request("GET", "/health")
        assert told.value.status == 503
        assert not alive(hung)
        server.start()
        assert hung not in descendants(os.getpid(), TRACKING_SERVER)
    finally:
        asyncio.run(server.stop())
    assert set(descendants(os.getpid(), TRACKING_SERVER)) <= others
