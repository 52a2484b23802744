"""Processes: they end with the server, come back after it, start again when they die, sleep when idle."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.serving import passthrough, pins
from agent_deploy.local.serving.process import BuildFailed, ModelProcess
from agent_deploy.local.serving.replica import Replica, Surroundings
from tests.processes import alive, descendants
from tests.workspace.conftest import http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, question, register, served, wait


@pytest.fixture
def own(local_workspace_factory: Callable[..., LocalWorkspace], models: Path) -> Iterator[LocalWorkspace]:
    """A workspace of the test's own, with an agent; idle models sleep after a second."""
    with LocalWorkspace(scale_to_zero_seconds=1, serving_token_seconds=6) as workspace:
        with http_client(workspace.host, workspace.token) as http:
            for _ in range(2):
                register(http, "main.default.agent", models / "agent")
        yield workspace


@pytest.fixture
def endpoint(own: LocalWorkspace) -> Iterator[Endpoint]:
    """An endpoint of that workspace."""
    with http_client(own.host, own.token) as http:
        made = Endpoint(http, "agents")
        config = {"served_entities": [served("main.default.agent")]}
        ok(http.post(API, json={"name": made.name, "config": config}))
        made.settled()
        yield made


def test_a_process_that_dies_is_started_again(endpoint: Endpoint) -> None:
    before = endpoint.processes()["first"]["pid"]
    os.kill(before, signal.SIGKILL)
    wait(lambda: endpoint.processes()["first"], lambda process: process["pid"] not in (before, None))
    assert endpoint.say("say again") == "again"
    assert "ended with signal SIGKILL" in endpoint.log("first")


def test_a_request_that_kills_its_process_is_told_and_the_next_one_waits(endpoint: Endpoint) -> None:
    response = endpoint.post(question("die 7"))
    assert response.status_code == 502
    assert "first" in response.json()["message"]
    assert endpoint.say("say again") == "again"
    assert "ended with exit code 7" in endpoint.log("first")


@pytest.mark.parametrize("ask", ["raise SystemExit", "raise CancelledError", "one exit"])
def test_a_model_that_raises_what_ends_a_program_is_ended_and_another_starts(
    own: LocalWorkspace, endpoint: Endpoint, ask: str
) -> None:
    before = _pids(own)
    if ask == "one exit":
        told = endpoint.post(question(ask, stream=True)).text
    else:
        response = endpoint.post(question(ask))
        assert response.status_code == 500
        told = response.json()["message"]
        assert "on purpose" in told
    assert "The model raised SystemExit" in told or "The model raised CancelledError" in told
    assert endpoint.say("say again") == "again"  # the next request waits for the next process
    assert not set(before) & set(_pids(own))
    assert len(_pids(own)) == 1
    assert "The model raised" in endpoint.log("first")
    ok(endpoint.http.delete(endpoint.url))
    assert _pids(own) == []


def test_dying_again_and_again_is_said(endpoint: Endpoint) -> None:
    for _ in range(3):
        assert endpoint.post(question("die 7")).status_code == 502
        wait(lambda: endpoint.processes()["first"], lambda process: process["status"] == "ready")
    endpoint.post(question("die 7"))
    seen = wait(endpoint.get, lambda seen: seen["state"]["ready"] == "NOT_READY")
    state = seen["config"]["served_entities"][0]["state"]
    assert state["deployment"] == "DEPLOYMENT_FAILED"
    assert "exit code 7, 4 times in a row" in state["deployment_state_message"]
    refused = endpoint.post(question("say x"))
    assert refused.status_code == 503
    assert "4 times" in refused.json()["message"]
    wait(endpoint.get, lambda seen: seen["state"]["ready"] == "READY")  # it is tried again
    assert endpoint.say("say back") == "back"


def test_idle_models_sleep_if_they_may_and_the_next_request_wakes_them(own: LocalWorkspace, endpoint: Endpoint) -> None:
    before = endpoint.processes()["first"]["pid"]
    may, may_not = served("main.default.agent", scale_to_zero_enabled=True), served("main.default.agent", "2", "second")
    ok(endpoint.put(may, may_not, routes=_all_to("first")))
    endpoint.settled()
    awake = endpoint.processes()["second"]["pid"]
    seen = wait(endpoint.get, lambda seen: _message(seen) == "Scaled to zero")
    assert seen["state"]["ready"] == "READY"
    assert endpoint.processes()["first"]["pid"] is None
    wait(lambda: alive(before), lambda there: not there)
    # Asked of the process itself: it may sleep again before one looks for it.
    assert int(endpoint.say("pid")) != before
    # By the time that it sleeps again, nobody has asked the other for longer than it takes to be idle.
    wait(endpoint.get, lambda seen: _message(seen) == "Scaled to zero")
    assert endpoint.processes()["second"]["pid"] == awake
    assert int(endpoint.say("pid", "second")) == awake


def test_kill_9_leaves_no_process_and_the_restart_resumes(own: LocalWorkspace, endpoint: Endpoint) -> None:
    model = endpoint.processes()["first"]["pid"]
    grandchild = int(endpoint.say("fork"))
    ok(
        endpoint.put(
            served("main.default.agent"), served("main.default.agent", "2", "second"), routes=_all_to("second")
        )
    )
    building = wait(lambda: endpoint.processes().get("second"), lambda process: process is not None)
    wait(lambda: _pids(own), lambda pids: len(pids) >= 3)
    pids = [pid for pid in _pids(own) if pid != grandchild]
    own.kill()
    wait(lambda: [pid for pid in pids if alive(pid)], lambda left: left == [])
    assert building["status"] == "creating"
    assert not alive(model)
    own.start()
    wait(lambda: alive(grandchild), lambda there: not there)  # what a model started ends at the latest now
    with http_client(own.host, own.token) as http:
        again = Endpoint(http, endpoint.name)
        seen = again.settled()
        assert seen["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
        assert [entity["name"] for entity in seen["config"]["served_entities"]] == ["first", "second"]
        assert again.say("say resumed", "first") == "resumed"
        assert again.say("say resumed", "second") == "resumed"


def test_an_orderly_stop_ends_all_and_what_is_deleted_leaves_nothing(own: LocalWorkspace, endpoint: Endpoint) -> None:
    model = endpoint.processes()["first"]["pid"]
    own.stop()
    assert not alive(model)
    own.start()
    with http_client(own.host, own.token) as http:
        again = Endpoint(http, endpoint.name)
        assert again.say("say back") == "back"
        model = again.processes()["first"]["pid"]
        ok(http.delete(again.url))
        assert not alive(model)
        assert list((own.folder / "logs" / "serving").iterdir()) == []
        assert list((own.folder / "serving" / "credentials").iterdir()) == []
        assert list((own.folder / "serving" / "homes").iterdir()) == []


def test_a_process_that_nobody_can_talk_to_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []

    class Process:
        def __init__(self) -> None:
            self.exited = asyncio.get_running_loop().create_future()

        async def ready(self, _seconds: float) -> dict[str, Any]:
            return {}

        async def end(self) -> None:
            killed.append(self)

    async def start(*_: object) -> Process:
        return Process()

    async def launch() -> None:
        surroundings = Surroundings(
            workspace=Workspace.open(tmp_path),
            registry=MagicMock(),
            scopes=MagicMock(),
            credentials=MagicMock(),
            builds=asyncio.Semaphore(1),
            logs=tmp_path,
            homes=tmp_path,
        )
        entity = {"name": "first", "entity_name": "a.b.c", "entity_version": "1", "workload_size": "Unknown"}
        entity |= {pins.VERSION: "id"}
        await Replica(surroundings, "agent", entity, "someone@local").build()

    monkeypatch.setattr(ModelProcess, "start", start)
    monkeypatch.setattr(Replica, "_model_folder", lambda _: tmp_path)
    monkeypatch.setattr(passthrough, "declared", lambda _: [])
    monkeypatch.setattr(passthrough, "user_scopes", lambda _: ())
    monkeypatch.setattr(pins, "require_version", lambda *_: None)
    monkeypatch.setattr(pins, "require_content", lambda *_: None)
    monkeypatch.setattr(Replica, "_order", lambda *_: None)
    with pytest.raises(BuildFailed, match="Unknown"):
        asyncio.run(launch())
    assert len(killed) == 1


def test_tokens_are_replaced_before_they_expire(own: LocalWorkspace, endpoint: Endpoint) -> None:
    identity = endpoint.say("me")
    (file,) = (own.folder / "serving" / "credentials").rglob("model-dependencies-oauth-token")
    first = file.read_text()
    wait(file.read_text, lambda text: text not in ("", first))
    assert file.stat().st_mode & 0o077 == 0
    assert endpoint.say("me") == identity
    assert first not in own.log


def _message(seen: dict[str, object]) -> str:
    config = seen["config"]
    assert isinstance(config, dict)
    return str(config["served_entities"][0]["state"]["deployment_state_message"])


def _all_to(name: str) -> list[dict[str, object]]:
    return [{"served_model_name": name, "traffic_percentage": 100}]


def _pids(workspace: LocalWorkspace) -> list[int]:
    return descendants(workspace.pid, "model_process")
