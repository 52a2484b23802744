"""The sample agent behind an endpoint: asked by MLflow's client and by `agent-deploy query`; its traces and ratings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.deployments import get_deploy_client
from mlflow.entities import AssessmentSource, AssessmentSourceType

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import http_client

ROOT = Path(__file__).resolve().parents[2]
MODEL, ENDPOINT = "main.default.docs_agent", "docs-agent"
EXPERIMENT = "/Shared/docs_agent"
QUESTION = "What is a local workspace?"
READY_SECONDS = 180.0


@pytest.fixture(scope="module")
def workspace(local_workspace_factory: Callable[..., LocalWorkspace]) -> LocalWorkspace:
    """A workspace of these tests' own, with the agent's version 1 behind an endpoint."""
    return deploy(local_workspace_factory())


def deploy(workspace: LocalWorkspace) -> LocalWorkspace:
    """Register the agent and serve it; returns when the endpoint is ready."""
    run(workspace, sys.executable, "-m", "stacks.agents.docs_agent.log", MODEL, "--alias", "champion")
    with http_client(workspace.host, workspace.token) as http:
        query = {"experiment_name": EXPERIMENT}
        found = http.get("/api/2.0/mlflow/experiments/get-by-name", params=query).raise_for_status().json()
        entity = {
            "name": "docs_1",
            "entity_name": MODEL,
            "entity_version": "1",
            "workload_size": "Small",
            "scale_to_zero_enabled": True,
            "environment_vars": deployed_environment(found["experiment"]["experiment_id"]),
        }
        body = {"name": ENDPOINT, "config": {"served_entities": [entity]}}
        http.post("/api/2.0/serving-endpoints", json=body).raise_for_status()
        deadline = time.monotonic() + READY_SECONDS
        while (state := http.get(f"/api/2.0/serving-endpoints/{ENDPOINT}").json()["state"])["ready"] != "READY":
            assert time.monotonic() < deadline, state
            time.sleep(0.2)
    return workspace


def deployed_environment(experiment_id: str) -> dict[str, str]:
    """As `deploy()` and AgentDeployment inject it, and one setting of the agent's own."""
    return {
        "ENABLE_MLFLOW_TRACING": "true",
        "RETURN_REQUEST_ID_IN_RESPONSE": "true",
        "MLFLOW_EXPERIMENT_ID": experiment_id,
        "ANSWER_STYLE": "short",
    }


def run(
    workspace: LocalWorkspace, *command: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    # MLflow notes the experiment of other tests of this process in its environment.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DATABRICKS_"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**clean, **workspace.env(), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )


def query(
    workspace: LocalWorkspace, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The installed command."""
    return run(
        workspace, str(Path(sys.executable).with_name("agent-deploy")), "query", *arguments, stdin=stdin, **environment
    )


@pytest.fixture
def client(workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for variable, value in {**workspace.env(), "DATABRICKS_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    mlflow.set_tracking_uri("databricks")
    yield get_deploy_client("databricks")
    mlflow.tracking.fluent._active_experiment_id = None


def asked(**options: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": QUESTION}], **options}


def text(answer: dict[str, Any]) -> str:
    return str(answer["output"][0]["content"][0]["text"])


def test_mlflows_deployments_client_gets_an_answer_with_its_source(client: Any) -> None:
    answer = client.predict(endpoint=ENDPOINT, inputs=asked())
    assert "127.0.0.1" in text(answer)
    assert "docs/local-workspace.md" in text(answer)
    assert answer["custom_outputs"]["answer_style"] == "short"
    assert answer["databricks_output"]["databricks_request_id"] == answer["id"]


def test_a_version_declares_the_table_that_it_reads_where_there_is_one(workspace: LocalWorkspace) -> None:
    def declared(model: str) -> object:
        path = f"/api/2.0/fs/files/Models/{model.replace('.', '/')}/1/MLmodel"
        return yaml.safe_load(http.get(path).raise_for_status().text).get("resources")

    with http_client(workspace.host, workspace.token) as http:
        assert declared(MODEL) == {"api_version": "1"}
        place = {"catalog_name": "main", "schema_name": "curated", "name": "docs_questions", "table_type": "MANAGED"}
        column = {"name": "question", "type_name": "STRING", "type_text": "string", "position": 0}
        data = {"data_source_format": "DELTA", "columns": [column], "storage_location": "file:///none"}
        table = {**place, **data}
        schema = {"name": "curated", "catalog_name": "main"}
        http.post("/api/2.1/unity-catalog/schemas", json=schema).raise_for_status()
        http.post("/api/2.1/unity-catalog/tables", json=table).raise_for_status()
        run(workspace, sys.executable, "-m", "stacks.agents.docs_agent.log", "main.curated.docs_agent")
        resources = {"table": [{"name": "main.curated.docs_questions"}]}
        assert declared("main.curated.docs_agent") == {"api_version": "1", "databricks": resources}


def test_mlflows_deployments_client_streams(client: Any) -> None:
    events = list(client.predict_stream(endpoint=ENDPOINT, inputs=asked()))
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    [done] = [event for event in events if event["type"] == "response.output_item.done"]
    assert len(deltas) > 10
    assert "".join(deltas) == done["item"]["content"][0]["text"]


def test_the_trace_is_returned_arrives_in_the_experiment_and_can_be_rated(client: Any) -> None:
    answer = client.predict(endpoint=ENDPOINT, inputs=asked(databricks_options={"return_trace": True}))
    returned = answer["databricks_output"]["trace"]
    assert {span["name"] for span in returned["data"]["spans"]} >= {"search_docs", "compose_answer"}
    trace_id = returned["info"]["trace_id"]
    deadline = time.monotonic() + 30
    while (trace := mlflow.get_trace(trace_id, silent=True)) is None:
        assert time.monotonic() < deadline, "the trace did not arrive"
        time.sleep(0.2)
    [retriever] = [span for span in trace.data.spans if span.span_type == "RETRIEVER"]
    assert retriever.outputs[0]["metadata"]["doc_uri"] == "docs/local-workspace.md"
    assert trace.info.client_request_id == answer["id"]
    source = AssessmentSource(AssessmentSourceType.HUMAN, "reader@local")
    mlflow.log_feedback(trace_id=trace_id, name="answer_correct", value=True, source=source)
    rated = mlflow.get_trace(trace_id)
    assert rated
    assert [(a.name, a.feedback.value) for a in rated.info.assessments if a.feedback] == [("answer_correct", True)]


def test_the_command_streams_the_answer(workspace: LocalWorkspace) -> None:
    result = query(workspace, ENDPOINT, QUESTION)
    assert "127.0.0.1" in result.stdout
    assert "Source: docs/local-workspace.md" in result.stdout


def test_the_command_shows_the_trace(workspace: LocalWorkspace) -> None:
    result = query(workspace, ENDPOINT, QUESTION, "--return-trace")
    assert "- search_docs retriever" in result.stdout
    assert "request id" in result.stderr


def test_the_command_prints_json_and_reads_the_question_from_a_pipe(workspace: LocalWorkspace) -> None:
    result = query(workspace, ENDPOINT, "-", "--json", "--conversation-id", "c-1", stdin=QUESTION)
    assert "127.0.0.1" in text(json.loads(result.stdout))


def test_the_command_names_the_endpoints_that_there_are(workspace: LocalWorkspace) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        query(workspace, "docs-agnt", QUESTION)
    message = f"agent-deploy: There is no serving endpoint 'docs-agnt' at {workspace.host}: it has {ENDPOINT}.\n"
    assert raised.value.stderr == message
    assert raised.value.returncode == 1


def test_the_command_says_that_it_waits_for_an_endpoint_scaled_to_zero(
    local_workspace_factory: Callable[..., LocalWorkspace],
) -> None:
    workspace = local_workspace_factory(scale_to_zero_seconds=1)
    deploy(workspace)
    with http_client(workspace.host, workspace.token) as http:
        deadline = time.monotonic() + 60
        while "Scaled to zero" not in http.get(f"/api/2.0/serving-endpoints/{ENDPOINT}").text:
            assert time.monotonic() < deadline, "it was never scaled to zero"
            time.sleep(0.2)
    result = query(workspace, ENDPOINT, QUESTION)
    assert f"{ENDPOINT} is scaled to zero: waiting for docs_1 to start (since " in result.stderr
    assert "127.0.0.1" in result.stdout


def test_the_command_tells_who_may_not_ask(workspace: LocalWorkspace) -> None:
    with http_client(workspace.host, workspace.token) as http:
        made = http.post("/api/2.0/preview/scim/v2/ServicePrincipals", json={"displayName": "x"}).json()
        body = {"application_id": made["applicationId"], "lifetime_seconds": 600}
        token = http.post("/api/2.0/token-management/on-behalf-of/tokens", json=body).json()["token_value"]
    with pytest.raises(subprocess.CalledProcessError) as raised:
        query(workspace, ENDPOINT, QUESTION, DATABRICKS_TOKEN=token)
    assert f"You may not ask '{ENDPOINT}'" in raised.value.stderr
    assert raised.value.stderr.count("\n") == 1
