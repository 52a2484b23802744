"""What could not be saved is nowhere: no ghost in memory that a restart would take away, nor one that it brings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Transaction
from agent_deploy.local.jobs.runs import Runs
from agent_deploy.local.services import Services
from agent_deploy.local.serving import deployment
from agent_deploy.local.serving.endpoints import KIND, OBJECT, Endpoint, Endpoints

CREATOR = Principal("user", "1", "someone@local", "Someone")
AGENT: dict[str, Any] = {"name": "agent", "ai_gateway": None, "tags": [], "task": None}
CONFIG: dict[str, Any] = {"served_entities": [], "routes": []}
Failing = Callable[..., None]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """From now on no document of these kinds is written; of none, all are again."""
    real = {"put": Transaction.put, "delete": Transaction.delete}

    def fail(*kinds: str) -> None:
        for name, write in real.items():

            def wrapped(self: Transaction, kind: str, *more: Any, write: Any = write, **named: Any) -> Any:
                if kind in kinds:
                    raise OSError("disk full")
                return write(self, kind, *more, **named)

            monkeypatch.setattr(Transaction, name, wrapped)

    return fail


def access(workspace: Workspace) -> list[Any]:
    return [*workspace.store.list("object"), *workspace.store.list("acl")]


def on_disk(workspace: Workspace) -> dict[str, Any]:
    return {document["name"]: document for document in workspace.store.list(KIND)}


@pytest.mark.parametrize("kind", [KIND, "object", "acl"])
def test_an_endpoint_that_was_not_saved_is_not_there(workspace: Workspace, failing: Failing, kind: str) -> None:
    endpoints = Services.of(workspace).endpoints
    before = access(workspace)
    failing(kind)
    with pytest.raises(OSError, match="disk full"):
        endpoints.add(AGENT, CREATOR)
    assert endpoints.all() == []
    assert on_disk(workspace) == {}
    assert access(workspace) == before
    failing()
    assert endpoints.add(AGENT, CREATOR) is endpoints.get("agent")


@pytest.mark.parametrize("kind", [KIND, "object", "acl"])
def test_an_endpoint_whose_deletion_was_not_saved_stays(workspace: Workspace, failing: Failing, kind: str) -> None:
    endpoints = Services.of(workspace).endpoints
    endpoint = endpoints.add(AGENT, CREATOR)
    failing(kind)
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(endpoints.delete(endpoint))
    assert endpoints.find("agent") is endpoint
    assert [*on_disk(workspace)] == ["agent"]
    assert workspace.authorization.allows_object(CREATOR, OBJECT, endpoint.document["id"], "CAN_MANAGE")
    failing()
    asyncio.run(endpoints.delete(endpoint))
    assert endpoints.all() == workspace.store.list(KIND) == []


def changed(endpoints: Endpoints, endpoint: Endpoint) -> None:
    endpoints.change(endpoint, description="new", ai_gateway={"usage_tracking_config": {"enabled": True}})


def begun(endpoints: Endpoints, endpoint: Endpoint) -> None:
    deployment.begin(endpoints, endpoint, CONFIG)


@pytest.mark.parametrize("change", [changed, begun])
def test_a_change_that_was_not_saved_is_not_seen(
    workspace: Workspace, failing: Failing, change: Callable[[Endpoints, Endpoint], None]
) -> None:
    endpoints = Services.of(workspace).endpoints
    endpoint = endpoints.add(AGENT, CREATOR)
    before = on_disk(workspace)["agent"]
    failing(KIND)
    with pytest.raises(OSError, match="disk full"):
        change(endpoints, endpoint)
    assert endpoint.document == before == on_disk(workspace)["agent"]


def test_an_update_whose_end_was_not_saved_can_be_made_again(workspace: Workspace, failing: Failing) -> None:
    async def run() -> None:
        endpoints = Services.of(workspace).endpoints
        endpoint = endpoints.add(AGENT, CREATOR)
        deployment.begin(endpoints, endpoint, CONFIG)
        assert endpoint.update is not None
        with pytest.raises(ApiError, match="currently updating"):
            deployment.refuse_while_updating(endpoint)
        failing(KIND)
        await asyncio.wait({endpoint.update})
        assert endpoint.document["config_update"] == deployment.IN_PROGRESS
        assert endpoint.document["config"] is None
        assert on_disk(workspace)["agent"] == endpoint.document
        failing()
        deployment.refuse_while_updating(endpoint)
        await deployment.replace(endpoints, endpoint, CONFIG)
        await endpoint.update
        assert endpoint.document["config_update"] == deployment.NOT_UPDATING
        assert endpoint.document["config"] == {**CONFIG, "config_version": 2}
        assert on_disk(workspace)["agent"] == endpoint.document

    asyncio.run(run())


def test_a_run_that_was_not_saved_does_not_keep_others_from_running(workspace: Workspace, failing: Failing) -> None:
    workspace.principals.create_user(CREATOR.name)
    services = Services.of(workspace)
    jobs, runs = services.jobs, services.runs
    job = jobs.get(jobs.create({"name": "job", "tasks": []}, CREATOR))
    failing("job_run")
    with pytest.raises(OSError, match="disk full"):
        runs.start(job, "ONE_TIME")
    failing()
    state = runs.start(job, "ONE_TIME")["state"]["life_cycle_state"]
    runs.close()
    assert state == "PENDING"


def test_a_run_whose_end_was_not_saved_does_not_keep_others_from_running(
    workspace: Workspace, failing: Failing
) -> None:
    full = threading.Event()

    class FullAtTheEnd:
        def run(self, *_: object) -> None:
            failing("job_run")
            full.set()

    workspace.principals.create_user(CREATOR.name)
    runs = Runs(workspace.store, FullAtTheEnd())  # type: ignore[arg-type] # all that a run asks of them
    job = {"job_id": 1, "creator_user_name": CREATOR.name, "run_as_user_name": CREATOR.name}
    job["settings"] = {"name": "job", "tasks": [{"task_key": "a"}]}
    first = runs.start(job, "ONE_TIME")["run_id"]
    assert full.wait(30)
    runs.close()
    failing()
    assert runs.get(first)["state"]["life_cycle_state"] == "RUNNING"
    assert runs.start(job, "ONE_TIME")["state"]["life_cycle_state"] == "PENDING"
    runs.close()
    failing()
    runs.recover()
    assert runs.get(first)["state"]["result_state"] == "FAILED"


@pytest.mark.parametrize("kind", ["pipeline_update", "pipeline"])
def test_an_update_of_a_pipeline_that_was_not_saved_does_not_keep_others_from_running(
    workspace: Workspace, failing: Failing, kind: str
) -> None:
    workspace.principals.create_user(CREATOR.name)
    services = Services.of(workspace)
    updates = services.updates
    pipeline = services.pipelines.create({"name": "pipeline"}, CREATOR)
    failing(kind)
    with pytest.raises(OSError, match="disk full"):
        updates.start(pipeline, "API_CALL")
    failing()
    update = updates.start(pipeline, "API_CALL")
    updates.close()
    assert updates.get(pipeline["pipeline_id"], update)["cause"] == "API_CALL"
