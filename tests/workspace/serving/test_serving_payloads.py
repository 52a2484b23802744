"""The payload table: every request in it, as Databricks' inference tables have them, whatever happens to the server."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import httpx
import pytest

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller, http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, question, register, served, wait
from tests.workspace.serving.test_serving_control_plane import refused

Create = Callable[..., Endpoint]
_SECOND = 2.0  # `kill -9` loses less than the last second; and as much again on a busy machine
Rows = Callable[[], list[dict[str, Any]]]
COLUMNS = [
    "databricks_request_id",
    "request_date",
    "client_request_id",
    "request_time",
    "status_code",
    "sampling_fraction",
    "execution_duration_ms",
    "request",
    "response",
    "logging_error_codes",
    "served_entity_id",
    "requester",
]


def gateway(schema: str, prefix: str = "agent", **more: Any) -> dict[str, Any]:
    """An AI Gateway with its inference table on."""
    catalog, _, name = schema.partition(".")
    table = {"enabled": True, "catalog_name": catalog, "schema_name": name, "table_name_prefix": prefix, **more}
    return {"inference_table_config": table}


def read(workspace: LocalWorkspace, full_name: str) -> list[dict[str, Any]]:
    """All rows, oldest first."""
    rows = _table(workspace, full_name).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: row["request_time"])


def _table(workspace: LocalWorkspace, full_name: str) -> deltalake.DeltaTable:
    return deltalake.DeltaTable(workspace.folder.joinpath("tables", *full_name.split(".")))


@pytest.fixture
def endpoint(create: Create, agent: str, schema: str) -> Endpoint:
    """An endpoint that logs to `<schema>.agent_payload`."""
    return create(served(agent), ai_gateway=gateway(schema))


@pytest.fixture
def rows(local_workspace: LocalWorkspace, endpoint: Endpoint, schema: str) -> Callable[[int], list[dict[str, Any]]]:
    """The rows, once there are as many."""
    name = f"{schema}.agent_payload"

    def awaited(count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = wait(lambda: read(local_workspace, name), lambda rows: len(rows) >= count, 10)
        assert len(found) == count
        return found

    return awaited


def test_a_request_becomes_a_row(
    endpoint: Endpoint, rows: Callable[[int], list[dict[str, Any]]], admin: Caller
) -> None:
    body = question("say hello", client_request_id="mine-1")
    response = endpoint.post(body)
    assert "trace" not in response.json()["databricks_output"]
    (row,) = rows(1)
    assert list(row) == COLUMNS
    assert row["databricks_request_id"] == response.headers["x-request-id"]
    assert row["client_request_id"] == "mine-1"
    assert row["status_code"] == 200
    assert row["sampling_fraction"] == 1.0
    assert row["requester"] == admin.name
    assert row["logging_error_codes"] == []
    assert json.loads(row["request"]) == body
    logged = json.loads(row["response"])
    trace = logged["databricks_output"].pop("trace")  # logged though not asked for
    assert logged == response.json()
    assert trace["info"]["client_request_id"] == row["databricks_request_id"]
    assert abs(row["request_time"] - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=1)
    assert row["request_date"] == row["request_time"].date()
    assert 0 <= row["execution_duration_ms"] < 60_000


def test_a_client_s_id_of_any_kind_is_kept_as_text(endpoint: Endpoint, rows: Any) -> None:
    kept = {'"mine"': "mine", "123": "123", '{"a": 1}': '{"a": 1}', '"\\ud800"': "?", '""': "", "null": None}
    for given in kept:
        body = json.dumps(question("say hello", client_request_id="<id>")).replace('"<id>"', given)
        url, headers = f"/serving-endpoints/{endpoint.name}/invocations", {"Content-Type": "application/json"}
        ok(endpoint.http.post(url, content=body, headers=headers))
    assert [row["client_request_id"] for row in rows(len(kept))] == list(kept.values())


def test_streams_failures_and_refusals_are_rows_too(endpoint: Endpoint, rows: Any) -> None:
    endpoint.post(question("a b", stream=True))
    endpoint.post(question("one fail", stream=True))
    endpoint.post(question("fail badly"))
    endpoint.post({"input": "malformed"})
    endpoint.http.post(f"/serving-endpoints/{endpoint.name}/served-models/other/invocations", json={})
    whole, broken, failed, malformed = rows(4)
    answer = json.loads(whole["response"])
    assert [item["content"][0]["text"] for item in answer["output"]] == ["a b"]
    assert answer["databricks_output"]["trace"]["data"]["spans"][0]["name"] == "predict_stream"
    assert answer["id"] == whole["databricks_request_id"]
    assert broken["status_code"] == 500
    assert json.loads(broken["response"])["output"][0]["content"][0]["text"] == "one "
    assert "failed in the middle" in json.loads(broken["response"])["error"]["message"]
    assert failed["status_code"] == 500
    failure = json.loads(failed["response"])
    assert "told to fail: badly" in failure["message"]
    assert failure["databricks_output"]["trace"]["info"]["state"] == "ERROR"
    assert malformed["status_code"] == 400


def test_what_a_caller_heard_before_he_left_is_kept(endpoint: Endpoint, rows: Any, tmp_path: Path) -> None:
    url, body = f"/serving-endpoints/{endpoint.name}/invocations", question(f"one wait:{tmp_path}/never", stream=True)
    with endpoint.http.stream("POST", url, json=body) as response:
        lines = response.iter_lines()
        next(lines)
    (row,) = rows(1)
    assert json.loads(row["response"])["output"][0]["content"][0]["text"] == "one "


def test_what_is_too_long_is_cut_and_flagged(endpoint: Endpoint, rows: Any) -> None:
    endpoint.post(question("long 1100000"))
    endpoint.post(question("say " + "ä" * 600_000))
    response, request = rows(2)
    assert response["logging_error_codes"] == ["MAX_RESPONSE_SIZE_EXCEEDED"]
    assert len(response["response"]) == 1 << 20
    assert request["logging_error_codes"] == ["MAX_REQUEST_SIZE_EXCEEDED", "MAX_RESPONSE_SIZE_EXCEEDED"]
    assert len(request["request"].encode()) <= 1 << 20


def test_feedback_lands_in_the_same_table(
    create: Create, agent: str, schema: str, admin: Caller, models: Path, local_workspace: LocalWorkspace
) -> None:
    register(admin.http, f"{schema}.feedback", models / "doubler")
    routes = [{"served_model_name": "first", "traffic_percentage": 100}]
    entities = (served(agent), {"entity_name": f"{schema}.feedback", "entity_version": "1", "name": "feedback"})
    endpoint = create(*entities, routes=routes, ai_gateway=gateway(schema))
    endpoint.say("say x")
    response = endpoint.post({"dataframe_records": [{"x": 2.0}]}, "feedback")
    assert ok(response) == {"predictions": [{"x": 4.0}]}  # without variables nothing is added
    name = f"{schema}.agent_payload"
    asked, rated = wait(lambda: read(local_workspace, name), lambda rows: len(rows) == 2)
    assert asked["served_entity_id"] != rated["served_entity_id"]
    assert rated["databricks_request_id"] == response.headers["x-request-id"]


def test_the_table_is_a_table_of_the_catalog(create: Create, schema: str, admin: Caller) -> None:
    create(ai_gateway=gateway(schema, "early"))
    table = admin.sdk.tables.get(f"{schema}.early_payload")
    assert [column.name for column in table.columns or []] == COLUMNS
    assert admin.sdk.tables.exists(f"{schema}.early_payload").table_exists


def test_turned_off_it_is_off_and_the_table_stays(
    endpoint: Endpoint, rows: Any, schema: str, admin: Caller, create: Create
) -> None:
    endpoint.say("say logged")
    shown = gateway(schema)["inference_table_config"]
    assert endpoint.get()["ai_gateway"]["inference_table_config"] == shown
    off = ok(endpoint.http.put(f"{endpoint.url}/ai-gateway", json=gateway(schema, enabled=False)))
    assert off["inference_table_config"]["enabled"] is False
    endpoint.say("say unlogged")
    ok(endpoint.http.put(f"{endpoint.url}/ai-gateway", json={}))
    assert "ai_gateway" not in endpoint.get()
    ok(endpoint.http.put(f"{endpoint.url}/ai-gateway", json=gateway(schema)))
    endpoint.say("say logged again")
    assert ["logged" in row["request"] for row in rows(2)] == [True, True]
    taken = admin.http.post(API, json={"name": f"{endpoint.name}-x", "ai_gateway": gateway(schema)})
    refused(taken, 400, "INVALID_PARAMETER_VALUE", f"{schema}.agent_payload", "exists")
    admin.http.delete(endpoint.url)
    assert admin.sdk.tables.exists(f"{schema}.agent_payload").table_exists


def test_while_enabled_the_table_cannot_move(create: Create, schema: str) -> None:
    endpoint = create(ai_gateway=gateway(schema, "here"))
    moved = endpoint.http.put(f"{endpoint.url}/ai-gateway", json=gateway(schema, "there"))
    refused(moved, 400, "INVALID_PARAMETER_VALUE", "disable it first")
    # Go's omitempty: a client that means to disable it does not say so, and the platform leaves it on.
    silent = {
        key: value for key, value in gateway(schema, "here")["inference_table_config"].items() if key != "enabled"
    }
    seen = ok(endpoint.http.put(f"{endpoint.url}/ai-gateway", json={"inference_table_config": silent}))
    assert seen["inference_table_config"]["enabled"] is True
    ok(endpoint.http.put(f"{endpoint.url}/ai-gateway", json={}))
    ok(endpoint.http.put(f"{endpoint.url}/ai-gateway", json=gateway(schema, "there")))


@pytest.mark.parametrize(
    ("config", "status", "names"),
    [
        ({"schema_name": "nowhere"}, 404, ("nowhere",)),
        ({"catalog_name": "nowhere"}, 404, ("nowhere",)),
        ({"schema_name": ""}, 400, ("schema_name",)),
        ({"table_name_prefix": "a b"}, 400, ("table_name_prefix", "a b")),
    ],
)
def test_tables_that_cannot_be(
    admin: Caller, schema: str, name: str, config: dict[str, str], status: int, names: tuple[str, ...]
) -> None:
    response = admin.http.post(API, json={"name": name, "ai_gateway": gateway(schema, **config)})
    assert response.status_code == status, response.text
    for word in names:
        assert word in response.json()["message"]
    assert admin.http.get(f"{API}/{name}").status_code == 404


def test_a_refused_endpoint_leaves_no_table(admin: Caller, create: Create, schema: str, name: str) -> None:
    response = admin.http.post(API, json={"name": name, "ai_gateway": gateway(schema), "tags": [{"value": "no key"}]})
    refused(response, 400, "INVALID_PARAMETER_VALUE", "tags")
    create(ai_gateway=gateway(schema))


def test_who_may_not_create_tables_may_not_log(schema: str, stranger: Caller, name: str) -> None:
    response = stranger.http.post(API, json={"name": name, "ai_gateway": gateway(schema)})
    assert response.status_code == 403
    assert stranger.http.get(f"{API}/{name}").status_code == 404


def test_what_agents_have_no_gateway_for_is_refused(admin: Caller, name: str) -> None:
    response = admin.http.post(API, json={"name": name, "ai_gateway": {"rate_limits": [{"calls": 1}]}})
    refused(response, 400, "INVALID_PARAMETER_VALUE", "rate_limits")


def test_rows_survive_the_server(models: Path) -> None:
    with LocalWorkspace() as workspace:
        with http_client(workspace.host, workspace.token) as http:
            register(http, "main.default.agent", models / "agent")
            endpoint = Endpoint(http, "logged")
            config = {"served_entities": [served("main.default.agent")]}
            ok(http.post(API, json={"name": "logged", "config": config, "ai_gateway": gateway("main.default")}))
            endpoint.settled()
            _ask(endpoint, range(20))
        workspace.stop()
        assert _asked(workspace) == list(range(20))  # orderly: nothing is lost
        assert _table(workspace, "main.default.agent_payload").version() < 20  # several rows go into one commit
        workspace.start()
        with http_client(workspace.host, workspace.token) as http:
            endpoint = Endpoint(http, "logged")
            _ask(endpoint, range(20, 30))
            time.sleep(_SECOND)
            workspace.kill()
        assert _asked(workspace) == list(range(30))
        workspace.start()
        with http_client(workspace.host, workspace.token) as http:
            _ask(Endpoint(http, "logged"), range(30, 31))
            wait(lambda: len(_asked(workspace)), lambda count: count == 31, 5)


_SLOW_IMPORT = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "deltalake":
            time.sleep({seconds})
sys.meta_path.insert(0, Slow())
"""


def test_no_row_is_acknowledged_before_it_can_be_written(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalWorkspace() as workspace:
        with http_client(workspace.host, workspace.token) as http:
            register(http, "main.default.agent", models / "agent")
            config = {"served_entities": [served("main.default.agent")]}
            ok(http.post(API, json={"name": "logged", "config": config, "ai_gateway": gateway("main.default")}))
            Endpoint(http, "logged").settled()
        workspace.stop()
        # As on a machine whose disk is cold: what writes the table takes longer to load than the model.
        (tmp_path / "sitecustomize.py").write_text(_SLOW_IMPORT.format(seconds=15))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        workspace.start()
        with http_client(workspace.host, workspace.token) as http:
            _ask(Endpoint(http, "logged"), range(3))
            time.sleep(_SECOND)
            workspace.kill()
        assert _asked(workspace) == [0, 1, 2]


def _ask(endpoint: Endpoint, numbers: range) -> None:
    for number in numbers:
        response: httpx.Response = endpoint.post(question(f"say {number}"))
        ok(response)


def _asked(workspace: LocalWorkspace) -> list[int]:
    rows = read(workspace, "main.default.agent_payload")
    return [int(json.loads(row["request"])["input"][0]["content"].removeprefix("say ")) for row in rows]
