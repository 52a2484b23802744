"""The option `serving_start="on_request"`: an entity is ready without a process, which its first request starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, register, served


def test_an_entity_is_ready_without_a_process_until_it_is_asked(
    local_workspace_factory: Callable[..., Any], models: Path
) -> None:
    workspace: LocalWorkspace = local_workspace_factory(serving_start="on_request")
    with http_client(workspace.host, workspace.token) as http:
        register(http, "main.default.agent", models / "agent")
        endpoint = Endpoint(http, "later")
        ok(http.post(API, json={"name": "later", "config": {"served_entities": [served("main.default.agent")]}}))
        assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
        assert endpoint.processes()["first"]["pid"] is None
        assert endpoint.say("say hello") == "hello"
        assert endpoint.processes()["first"]["pid"] is not None
        # An injected failure is one nevertheless.
        ok(http.post("/_local/faults", json={"match": "build", "entity": "second", "fail": "no space left"}))
        ok(endpoint.put({**served("main.default.agent"), "name": "second"}))
        assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
