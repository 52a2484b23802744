"""A model that hangs while it loads: its build ends, its endpoint can be mended, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.local import LocalWorkspace
from tests.processes import descendants
from tests.workspace.conftest import http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, register, wait

_MODEL = "main.default.slow"
_BUSY_SECONDS = 1.5


@pytest.fixture
def start(models: Path) -> Iterator[Callable[..., LocalWorkspace]]:
    """``start(**options)`` is a workspace of the test's own, with the model."""
    running: list[LocalWorkspace] = []

    def begin(**options: Any) -> LocalWorkspace:
        workspace = LocalWorkspace(serving_busy_seconds=_BUSY_SECONDS, **options)
        running.append(workspace)
        workspace.start()
        with http_client(workspace.host, workspace.token) as http:
            register(http, _MODEL, models / "slow")
        return workspace

    yield begin
    for workspace in running:
        workspace.__exit__(None, None, None)


def _entity(hangs: bool) -> dict[str, Any]:
    variables = {"HANGS": "yes"} if hangs else {}
    return {"entity_name": _MODEL, "entity_version": "1", "name": "first", "environment_vars": variables}


def _create(workspace: LocalWorkspace, hangs: bool = True) -> Endpoint:
    endpoint = Endpoint(http_client(workspace.host, workspace.token), "slow")
    body = {"name": endpoint.name, "config": {"served_entities": [_entity(hangs)]}}
    ok(endpoint.http.post(API, json=body))
    return endpoint


def _asked(endpoint: Endpoint) -> Any:
    return ok(endpoint.post({"inputs": ["x"]}))["predictions"]


def test_a_build_ends_in_time_and_says_how_far_it_came(start: Callable[..., LocalWorkspace]) -> None:
    workspace = start(serving_build_seconds=30)
    endpoint = _create(workspace)
    seen = endpoint.settled(90)
    assert seen["state"] == {"ready": "NOT_READY", "config_update": "UPDATE_FAILED"}
    (entity,) = seen["config"]["served_entities"]
    assert entity["state"]["deployment"] == "DEPLOYMENT_FAILED"
    assert "not loaded within 30 s" in entity["state"]["deployment_state_message"]
    log = endpoint.log("first", "build-logs")
    assert "connecting to the vector store" in log
    assert 'slow.py", line' in log  # where it hangs
    assert descendants(workspace.pid, "model_process") == []


@pytest.mark.parametrize("restarted", [False, True])
def test_an_update_that_hangs_gives_way_to_a_mended_one(start: Callable[..., LocalWorkspace], restarted: bool) -> None:
    workspace = start()
    endpoint = _create(workspace)
    assert endpoint.put(_entity(False)).status_code == 409  # not while it may still come
    if restarted:
        workspace.restart()
        endpoint = Endpoint(http_client(workspace.host, workspace.token), endpoint.name)
    wait(lambda: endpoint.put(_entity(False)).status_code, lambda status: status == 200)
    assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert _asked(endpoint) == ["awake"]
    assert len(descendants(workspace.pid, "model_process")) == 1


def test_models_that_hang_keep_no_other_from_loading(start: Callable[..., LocalWorkspace]) -> None:
    workspace = start()
    with http_client(workspace.host, workspace.token) as http:
        for number in range(3):
            body = {"name": f"hangs-{number}", "config": {"served_entities": [_entity(True)]}}
            ok(http.post(API, json=body))
    endpoint = _create(workspace, hangs=False)
    assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}


def test_an_endpoint_that_is_deleted_while_it_builds_leaves_nothing(start: Callable[..., LocalWorkspace]) -> None:
    workspace = start()
    for _ in range(5):
        endpoint = _create(workspace)
        wait(lambda: descendants(workspace.pid, "model_process"), bool)
        ok(endpoint.http.delete(endpoint.url))
        assert descendants(workspace.pid, "model_process") == []
        assert list((workspace.folder / "logs" / "serving").iterdir()) == []
        assert list((workspace.folder / "serving" / "homes").iterdir()) == []
