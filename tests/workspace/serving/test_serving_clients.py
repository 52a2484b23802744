"""Unmodified clients of serving endpoints: databricks-sdk and MLflow's deployments client, through a whole life."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.service.serving import (
    AiGatewayConfig,
    AiGatewayInferenceTableConfig,
    EmailNotifications,
    EndpointCoreConfigInput,
    EndpointStateConfigUpdate,
    EndpointStateReady,
    EndpointTag,
    Route,
    ServedEntityInput,
    TrafficConfig,
)
from mlflow.deployments import get_deploy_client

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import AGENT_ENVIRONMENT, Endpoint, question, served, text_of


def test_the_sdk_through_an_endpoint_s_life(admin: Caller, agent: str, schema: str, name: str) -> None:
    api = admin.sdk.serving_endpoints
    entity = ServedEntityInput(
        entity_name=agent, entity_version="1", environment_vars=AGENT_ENVIRONMENT, workload_size="Small"
    )
    catalog, schema_name = schema.split(".")
    table = AiGatewayInferenceTableConfig(
        catalog_name=catalog, schema_name=schema_name, table_name_prefix="sdk", enabled=True
    )
    api.create(
        name,
        config=EndpointCoreConfigInput(name=name, served_entities=[entity]),
        ai_gateway=AiGatewayConfig(inference_table_config=table),
        tags=[EndpointTag("team", "x")],
        description="by the SDK",
    )
    made = api.wait_get_serving_endpoint_not_updating(name)
    assert made.state
    assert (made.state.ready, made.state.config_update) == (
        EndpointStateReady.READY,
        EndpointStateConfigUpdate.NOT_UPDATING,
    )
    assert made.ai_gateway
    assert made.ai_gateway.inference_table_config == table
    assert made.task == "agent/v1/responses"
    second = ServedEntityInput(entity_name=agent, entity_version="2", name="second", environment_vars=AGENT_ENVIRONMENT)
    first = ServedEntityInput(entity_name=agent, entity_version="1", name="agent-1", environment_vars=AGENT_ENVIRONMENT)
    routes = [Route(served_model_name="agent-1", traffic_percentage=50)]
    routes.append(Route(served_model_name="second", traffic_percentage=50))
    traffic = TrafficConfig(routes=routes)
    updated = api.update_config_and_wait(name, served_entities=[first, second], traffic_config=traffic)
    assert updated.config
    assert [entity.name for entity in updated.config.served_entities or []] == ["agent-1", "second"]
    assert [model.model_version for model in updated.config.served_models or []] == ["1", "2"]
    api.patch(name, add_tags=[EndpointTag("stage", "test")], delete_tags=["team"])
    api.update_notifications(name, email_notifications=EmailNotifications(on_update_failure=["a@example.com"]))
    api.put_ai_gateway(name, inference_table_config=AiGatewayInferenceTableConfig(enabled=False))
    seen = api.get(name)
    assert seen.tags == [EndpointTag("stage", "test")]
    assert seen.description == "by the SDK"
    assert api.build_logs(name, "second").logs is not None
    assert api.logs(name, "second").logs is not None
    metrics = api.export_metrics(name).contents
    assert metrics
    assert b"request_count_total" in metrics.read()
    described = api.get_open_api(name).contents
    assert described
    assert b"/served-models/second/invocations" in described.read()
    levels = admin.sdk.serving_endpoints.get_permission_levels(str(seen.id)).permission_levels
    assert [str(level.permission_level.value) for level in levels or [] if level.permission_level] == [
        "CAN_VIEW",
        "CAN_QUERY",
        "CAN_MANAGE",
    ]
    assert name in [endpoint.name for endpoint in api.list()]
    api.delete(name)
    assert name not in [endpoint.name for endpoint in api.list()]


def test_mlflow_s_client_through_an_endpoint_s_life(
    agent: str, name: str, local_workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, admin: Caller
) -> None:
    for variable, value in local_workspace.env().items():
        monkeypatch.setenv(variable, value)
    client: Any = get_deploy_client("databricks")
    routes = [{"served_model_name": "first", "traffic_percentage": 100}]
    config = {"served_entities": [served(agent)], "traffic_config": {"routes": routes}}
    client.create_endpoint(config={"name": name, "config": config})
    admin.sdk.serving_endpoints.wait_get_serving_endpoint_not_updating(name)
    answer = client.predict(endpoint=name, inputs=question("say hello"))
    assert text_of(answer) == "hello"
    events = list(client.predict_stream(endpoint=name, inputs=question("a b")))
    assert [event["type"] for event in events] == [
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_item.done",
    ]
    client.update_endpoint_tags(endpoint=name, config={"add_tags": [{"key": "a", "value": "b"}]})
    assert client.get_endpoint(endpoint=name)["tags"] == [{"key": "a", "value": "b"}]
    assert name in [endpoint["name"] for endpoint in client.list_endpoints()]
    client.delete_endpoint(endpoint=name)
    assert name not in [endpoint["name"] for endpoint in client.list_endpoints()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_asks(create: Callable[..., Endpoint], agent: str, local_workspace: LocalWorkspace) -> None:
    endpoint = create(served(agent))

    def curl(path: str, body: dict[str, Any], *options: str) -> str:
        url = f"{local_workspace.host}/serving-endpoints/{path}"
        headers = ["-H", "Content-Type: application/json", "-u", f"token:{local_workspace.token}"]
        command = ["curl", "-sS", "--fail-with-body", "-X", "POST", *headers, *options, "-d", json.dumps(body), url]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    for path in (f"{endpoint.name}/invocations", f"{endpoint.name}/served-models/first/invocations"):
        assert text_of(json.loads(curl(path, question("say hello")))) == "hello"
    for path in ("responses", "chat/completions"):
        assert text_of(json.loads(curl(path, question("say hello", model=endpoint.name)))) == "hello"
    streamed = curl(f"{endpoint.name}/invocations", question("a b", stream=True), "-N")
    assert streamed.endswith("data: [DONE]\n\n")
