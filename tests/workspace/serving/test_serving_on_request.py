"""The option `serving_start="on_request"`: an entity is ready without a process, which its first request starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, register, served, wait


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


def test_a_dropped_table_does_not_come_back_with_the_last_requests(
    local_workspace_factory: Callable[..., Any], models: Path
) -> None:
    workspace: LocalWorkspace = local_workspace_factory(serving_start="on_request")
    with http_client(workspace.host, workspace.token) as http:
        register(http, "main.default.agent", models / "agent")
        endpoints = []
        for name in ("dropped", "kept"):
            table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": name}
            config = {"served_entities": [served("main.default.agent")]}
            body = {"name": name, "config": config, "ai_gateway": {"inference_table_config": table}}
            ok(http.post(API, json=body))
            endpoints.append(Endpoint(http, name))
            endpoints[-1].settled()
            endpoints[-1].say("say hello")
        folder = workspace.folder / "tables" / "main" / "default"
        wait(lambda: rows(folder / "dropped_payload"), lambda count: count == 1)
        endpoints[0].say("say hello again")
        ok(http.delete("/api/2.1/unity-catalog/tables/main.default.dropped_payload"))
        endpoints[1].say("say hello again")
        # One thread writes all tables in the order of the requests.
        wait(lambda: rows(folder / "kept_payload"), lambda count: count == 2)
        assert not (folder / "dropped_payload").exists()


def rows(folder: Path) -> int:
    """How many requests were logged."""
    return int(deltalake.DeltaTable(folder).to_pyarrow_table().num_rows)
