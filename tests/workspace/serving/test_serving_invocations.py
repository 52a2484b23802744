"""Asking served models: scoring protocol, streams, request ids, traces, permissions, failures of the model's code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import (
    AGENT_ENVIRONMENT,
    API,
    Endpoint,
    ok,
    question,
    register,
    served,
    text_of,
    wait,
)


@pytest.fixture(scope="module")
def both(admin: Caller, models: Path) -> Iterator[Endpoint]:
    """An endpoint that serves an agent and a model of tables; these tests only ask it."""
    schema = f"served{time.time_ns()}"
    admin.sdk.schemas.create(name=schema, catalog_name="main")
    for model in ("agent", "doubler"):
        register(admin.http, f"main.{schema}.{model}", models / model)
    entities = [served(f"main.{schema}.{model}", name=model) for model in ("agent", "doubler")]
    routes = [{"served_model_name": "agent", "traffic_percentage": 100}]
    routes.append({"served_model_name": "doubler", "traffic_percentage": 0})
    endpoint = Endpoint(admin.http, schema)
    config = {"served_entities": entities, "traffic_config": {"routes": routes}}
    ok(admin.http.post(API, json={"name": schema, "config": config}))
    endpoint.settled()
    yield endpoint
    admin.http.delete(endpoint.url)
    admin.sdk.schemas.delete(f"main.{schema}", force=True)


def test_an_answer_names_its_entity_and_its_request(both: Endpoint) -> None:
    response = both.post(question("say hello"))
    body = ok(response)
    assert text_of(body) == "hello"
    assert response.headers["served-model-name"] == "agent"
    request_id = response.headers["x-request-id"]
    assert body["databricks_output"] == {"databricks_request_id": request_id}
    assert body["id"] == request_id


def test_the_trace_comes_when_asked_for(both: Endpoint) -> None:
    body = ok(both.post(question("say hello", databricks_options={"return_trace": True})))
    trace = body["databricks_output"]["trace"]
    assert trace["info"]["client_request_id"] == body["databricks_output"]["databricks_request_id"]
    assert [span["name"] for span in trace["data"]["spans"]] == ["predict", "thinking"]
    assert trace["info"]["trace_metadata"]["mlflow.databricks.modelServingEndpointName"] == both.name


def test_the_conversation_of_the_options_reaches_the_agent(both: Endpoint) -> None:
    assert both.say("context", databricks_options={"conversation_id": "c-7"}) == "c-7"
    assert both.say("context", context={"conversation_id": "c-8"}) == "c-8"


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
def test_the_model_of_an_openai_request_is_the_endpoint(both: Endpoint, path: str) -> None:
    body = ok(both.http.post(f"/serving-endpoints/{path}", json=question("say hi", model=both.name)))
    assert text_of(body) == "hi"


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"x": 1.5}, {"x": 2.0}]},
        {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2.0]]}},
        {"inputs": {"x": [1.5, 2.0]}},
        {"instances": [{"x": 1.5}, {"x": 2.0}]},
    ],
)
def test_tables_in_each_of_mlflows_formats(both: Endpoint, body: dict[str, object]) -> None:
    answer = ok(both.post(body, "doubler"))
    predictions = [row["x"] if isinstance(row, dict) else row for row in answer["predictions"]]
    assert predictions == [3.0, 4.0]
    assert answer["databricks_output"]["databricks_request_id"] == answer["id"]


def test_csv_is_taken_too(both: Endpoint) -> None:
    url = f"/serving-endpoints/{both.name}/served-models/doubler/invocations"
    response = both.http.post(url, content="x\n1.5\n", headers={"content-type": "text/csv"})
    assert ok(response)["predictions"] == [{"x": 3.0}]


@pytest.mark.parametrize(
    ("entity", "body", "names"),
    [
        ("agent", {"input": "not a list"}, "input"),
        ("agent", {"input": [{"role": "user"}]}, "content"),
        ("agent", {"question": "?"}, "dataframe_records"),
        ("doubler", {"dataframe_records": [{"y": 1.0}]}, "x"),
        ("doubler", {"stream": True, "dataframe_records": [{"x": 1.0}]}, "stream"),
    ],
)
def test_a_request_that_does_not_fit_is_a_400_that_says_why(
    both: Endpoint, entity: str, body: dict[str, object], names: str
) -> None:
    response = both.post(body, entity)
    assert response.status_code == 400, response.text
    assert response.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
    assert names in response.json()["message"]


def test_not_json_is_a_400(both: Endpoint) -> None:
    url = f"/serving-endpoints/{both.name}/invocations"
    response = both.http.post(url, content="{", headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "JSON" in response.json()["message"]


def test_code_that_raises_is_a_500_and_the_process_goes_on(both: Endpoint) -> None:
    before = both.say("pid")
    response = both.post(question("fail on purpose"))
    assert response.status_code == 500
    assert "told to fail: on purpose" in response.json()["message"]
    assert both.say("pid") == before
    assert "RuntimeError: told to fail" in wait(lambda: both.log("agent"), lambda log: "told to fail" in log)


def test_events_arrive_when_the_model_makes_them(both: Endpoint, tmp_path: Path) -> None:
    signal = tmp_path / "go-on"
    url, body = f"/serving-endpoints/{both.name}/invocations", question(f"one wait:{signal} two", stream=True)
    with both.http.stream("POST", url, json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in response.iter_lines() if line)
        first = next(lines)
        assert '"delta": "one "' in first
        signal.touch()  # had the first event been held back, the model would wait for this in vain
        rest = list(lines)
    assert rest[-1] == "data: [DONE]"
    assert "response.output_item.done" in rest[-2]
    assert response.headers["x-request-id"] in rest[-2]


def test_the_command_shows_the_answer_while_it_is_written(
    both: Endpoint, local_workspace: LocalWorkspace, tmp_path: Path
) -> None:
    signal = tmp_path / "go-on"
    command = [str(Path(sys.executable).with_name("agent-deploy")), "query", both.name, f"one wait:{signal} two"]
    buffered = {"PYTHONUNBUFFERED": ""}  # as a user's Python is
    environment = {**os.environ, **buffered, **local_workspace.env(), "DATABRICKS_CONFIG_FILE": os.devnull}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        assert asking.stdout
        # Had the first word been held back, it would come with all the others, when the model has waited in vain.
        assert os.read(asking.stdout.fileno(), 4096) == b"one "
        signal.touch()
        rest, told = asking.communicate(timeout=60)
    assert rest.split()[-1] == b"two", told
    assert asking.returncode == 0


def test_a_stream_ends_with_the_trace_when_asked_for(both: Endpoint) -> None:
    response = both.post(question("a b", stream=True, databricks_options={"return_trace": True}))
    *_, output, end = [line for line in response.text.splitlines() if line]
    assert end == "data: [DONE]"
    assert '"trace": {"info"' in output
    assert '"predict_stream"' in output


def test_a_stream_that_fails_at_once_has_a_status(both: Endpoint) -> None:
    response = both.post(question("fail", stream=True))
    assert response.status_code == 500
    assert "failed before the first event" in response.json()["message"]


def test_a_stream_that_fails_later_says_so(both: Endpoint) -> None:
    response = both.post(question("one fail", stream=True))
    assert response.status_code == 200
    assert '"delta": "one "' in response.text
    assert "failed in the middle of the stream" in response.text


def test_a_caller_that_leaves_ends_the_model_s_stream(both: Endpoint, tmp_path: Path) -> None:
    url, body = f"/serving-endpoints/{both.name}/invocations", question(f"one wait:{tmp_path / 'never'}", stream=True)
    with both.http.stream("POST", url, json=body) as response:
        lines = response.iter_lines()
        next(lines)
        assert both.processes()["agent"]["requests"] == 1
    wait(both.processes, lambda running: running["agent"]["requests"] == 0)


def test_who_may_ask(both: Endpoint, newcomer: Callable[[], Caller], admin: Caller) -> None:
    nobody, asker = newcomer(), newcomer()
    entry = {"service_principal_name": asker.name, "permission_level": "CAN_QUERY"}
    acl = {"access_control_list": [entry]}
    ok(admin.http.patch(f"/api/2.0/permissions/serving-endpoints/{both.get()['id']}", json=acl))
    assert Endpoint(asker.http, both.name).say("say yes") == "yes"
    refused = Endpoint(nobody.http, both.name).post(question("say yes"))
    assert refused.status_code == 403
    assert refused.json()["error_code"] == "PERMISSION_DENIED"
    assert "CAN_QUERY" in refused.json()["message"]


def test_what_is_not_there_is_a_404(both: Endpoint) -> None:
    assert both.post(question("say x"), "nothing").status_code == 404
    unknown = both.http.post("/serving-endpoints/nowhere/invocations", json={})
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert both.http.post(f"/serving-endpoints/{both.name}/other", json={}).status_code == 501


def test_without_a_token_nothing_is_answered(both: Endpoint, local_workspace: LocalWorkspace) -> None:
    url = f"{local_workspace.host}/serving-endpoints/{both.name}/invocations"
    assert httpx.post(url, json=question("say x")).status_code == 401


def test_databricks_sdk_asks(admin: Caller, both: Endpoint) -> None:
    config = {"served_model_name": "doubler", "traffic_percentage": 100}
    agent = {"served_model_name": "agent", "traffic_percentage": 0}
    entities = both.get()["config"]["served_entities"]
    ok(both.put(*entities, routes=[config, agent]))
    both.settled()
    answer = admin.sdk.serving_endpoints.query(both.name, dataframe_records=[{"x": 1.0}])
    assert answer.predictions == [{"x": 2.0}]
    assert answer.served_model_name == "doubler"
    back = [{**agent, "traffic_percentage": 100}, {**config, "traffic_percentage": 0}]
    ok(both.put(*entities, routes=back))
    both.settled()


def test_metrics_and_openapi(both: Endpoint) -> None:
    both.say("say counted")
    metrics = both.http.get(f"{both.url}/metrics").text
    assert f'request_count_total{{endpoint_name="{both.name}"' in metrics
    described = ok(both.http.get(f"{both.url}/openapi"))
    paths = described["paths"]
    assert set(paths) == {"/served-models/agent/invocations", "/served-models/doubler/invocations"}
    schema = paths["/served-models/agent/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "input" in schema["required"]


def test_the_sdk_makes_waits_and_deletes(admin: Caller, agent: str, name: str) -> None:
    entity = ServedEntityInput(
        entity_name=agent, entity_version="1", environment_vars=AGENT_ENVIRONMENT, workload_size="Small"
    )
    config = EndpointCoreConfigInput(name=name, served_entities=[entity])
    made = admin.sdk.serving_endpoints.create_and_wait(name, config=config)
    assert made.config
    assert made.config.served_entities
    assert made.config.served_entities[0].name == "agent-1"
    admin.sdk.serving_endpoints.delete(name)
    assert name not in [endpoint.name for endpoint in admin.sdk.serving_endpoints.list()]
