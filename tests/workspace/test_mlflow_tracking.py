"""MLflow's unmodified client with tracking URI databricks: experiments, runs, artifacts, logged models, traces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, AssessmentSourceType, SpanType
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.tracking.access import EDIT, MANAGE, READ, level
from tests.processes import await_end, descendants
from tests.workspace.conftest import Caller

ARTIFACTS = "/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts"


@pytest.fixture
def experiment(mlflow_client: MlflowClient, name: str) -> Iterator[str]:
    """An experiment of the administrator's, active."""
    yield mlflow.set_experiment(f"/Users/admin@local/{name}").experiment_id
    mlflow.tracking.fluent._active_experiment_id = None


@pytest.fixture
def traced(experiment: str) -> str:
    """The id of a trace with a retriever below an agent."""

    @mlflow.trace(span_type=SpanType.RETRIEVER)
    def retrieve(question: str) -> list[dict[str, str]]:
        return [{"page_content": f"about {question}"}]

    @mlflow.trace(span_type=SpanType.AGENT)
    def answer(question: str) -> str:
        return retrieve(question)[0]["page_content"]

    answer("whales")
    mlflow.flush_trace_async_logging()
    trace_id = mlflow.get_last_active_trace_id()
    assert trace_id
    return trace_id


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(MlflowException) as raised:
        call()
    return str(raised.value.error_code)


def test_an_experiment_lies_where_the_clients_find_its_artifacts(mlflow_client: MlflowClient, experiment: str) -> None:
    found = mlflow_client.get_experiment(experiment)
    assert found.artifact_location == f"dbfs:/databricks/mlflow-tracking/{experiment}"
    assert found.tags["mlflow.experimentType"] == "MLFLOW_EXPERIMENT"
    assert found.tags["mlflow.ownerEmail"] == "admin@local"


@pytest.mark.parametrize("path", ["plain", "/Users/nobody@nowhere/x", "/Users/admin@local", "/x"])
def test_an_experiments_name_is_a_path_in_the_workspace(mlflow_client: MlflowClient, path: str) -> None:
    assert refused(lambda: mlflow_client.create_experiment(path)) in (
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
    )


def test_the_prefix_workspace_is_no_part_of_the_name(mlflow_client: MlflowClient, name: str) -> None:
    created = mlflow_client.create_experiment(f"/Workspace/Users/admin@local/{name}")
    assert mlflow_client.get_experiment(created).name == f"/Users/admin@local/{name}"


def test_mlflows_default_experiment_does_not_exist(mlflow_client: MlflowClient) -> None:
    assert refused(lambda: mlflow_client.get_experiment("0")) == "RESOURCE_DOES_NOT_EXIST"
    assert "Default" not in [found.name for found in mlflow_client.search_experiments()]


def test_a_run_with_parameters_metrics_and_tags(mlflow_client: MlflowClient, experiment: str) -> None:
    with mlflow.start_run() as run:
        mlflow.log_params({"depth": 3})
        mlflow.log_metric("score", 0.5)
        mlflow.set_tag("kind", "test")
    found = mlflow_client.get_run(run.info.run_id)
    assert (found.data.params, found.data.metrics) == ({"depth": "3"}, {"score": 0.5})
    assert found.info.experiment_id == experiment
    assert [other.info.run_id for other in mlflow_client.search_runs([experiment], "metrics.score > 0.4")] == [
        run.info.run_id
    ]


def test_artifacts_of_a_run_come_back(mlflow_client: MlflowClient, experiment: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "empty.txt").write_text("")
    (tmp_path / "folder" / "ümläut #1.txt").write_text("hello")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path), "in")
        mlflow.log_dict({"a": 1}, "a.json")
    run_id = run.info.run_id
    assert [found.path for found in mlflow_client.list_artifacts(run_id)] == ["a.json", "in"]
    assert [
        (found.path, found.is_dir, found.file_size) for found in mlflow_client.list_artifacts(run_id, "in/folder")
    ] == [
        ("in/folder/empty.txt", False, 0),
        ("in/folder/ümläut #1.txt", False, 5),
    ]
    loaded = Path(mlflow_client.download_artifacts(run_id, "in", str(tmp_path)))
    assert (loaded / "folder" / "ümläut #1.txt").read_text() == "hello"
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/a.json") == {"a": 1}


def test_older_clients_get_signed_urls(mlflow_client: MlflowClient, experiment: str, admin: Caller) -> None:
    import httpx

    with mlflow.start_run() as run:
        pass
    body = {"run_id": run.info.run_id, "path": ["a/b.txt"]}
    [write] = admin.http.post("/api/2.0/mlflow/artifacts/credentials-for-write", json=body).json()["credential_infos"]
    assert httpx.put(write["signed_uri"], content=b"x").status_code == 200
    [read] = admin.http.post("/api/2.0/mlflow/artifacts/credentials-for-read", json=body).json()["credential_infos"]
    assert httpx.get(read["signed_uri"]).content == b"x"
    listed = admin.http.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run.info.run_id, "path": "a"}).json()
    assert listed["files"] == [{"path": "a/b.txt", "is_dir": False, "file_size": 1}]


def test_a_logged_model_has_its_files_and_parameters(mlflow_client: MlflowClient, experiment: str) -> None:
    class Model(PythonModel):
        def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[str]:
            return model_input

    info = mlflow.pyfunc.log_model(name="m", python_model=Model(), pip_requirements=["mlflow"], params={"k": 3})
    found = mlflow.get_logged_model(info.model_id)
    assert found.artifact_location.endswith(f"/{experiment}/logged_models/{info.model_id}/artifacts")
    assert (str(found.status), found.params) == ("READY", {"k": "3"})
    assert mlflow.pyfunc.load_model(f"models:/{info.model_id}").predict(["a"]) == ["a"]
    [searched] = mlflow.search_logged_models([experiment], output_format="list")
    assert searched.artifact_location == found.artifact_location


def test_a_trace_comes_back_with_its_spans(traced: str, experiment: str) -> None:
    trace = mlflow.get_trace(traced)
    assert trace
    assert [(span.name, span.span_type) for span in trace.data.spans] == [
        ("answer", "AGENT"),
        ("retrieve", "RETRIEVER"),
    ]
    [found] = mlflow.search_traces(locations=[experiment], return_type="list")
    assert found.info.trace_id == traced
    assert found.data.spans[0].outputs == "about whales"


def test_feedback_stays_with_the_trace(traced: str) -> None:
    source = AssessmentSource(AssessmentSourceType.HUMAN, "reader@local")
    given = mlflow.log_feedback(trace_id=traced, name="correct", value=True, rationale="Cites it.", source=source)
    mlflow.log_expectation(trace_id=traced, name="expected", value="whales", source=source)
    trace = mlflow.get_trace(traced)
    assert trace
    assert {(a.name, a.rationale) for a in trace.info.assessments} == {("correct", "Cites it."), ("expected", None)}
    assert given.assessment_id
    mlflow.delete_assessment(trace_id=traced, assessment_id=given.assessment_id)
    trace = mlflow.get_trace(traced)
    assert trace
    assert [a.name for a in trace.info.assessments] == ["expected"]


def test_tags_of_a_trace_and_its_deletion(mlflow_client: MlflowClient, traced: str, experiment: str) -> None:
    mlflow.set_trace_tag(traced, "topic", "whales")
    [found] = mlflow.search_traces(locations=[experiment], filter_string="tag.topic = 'whales'", return_type="list")
    assert found.info.trace_id == traced
    assert mlflow_client.delete_traces(experiment, trace_ids=[traced]) == 1
    assert mlflow.search_traces(locations=[experiment], return_type="list") == []


def test_a_trace_without_an_experiment_is_refused_at_once(admin: Caller) -> None:
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": ""}}
    body = {"trace": {"trace_info": {"trace_id": "tr-0", "trace_location": location}}}
    answer = admin.http.post("/api/3.0/mlflow/traces", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "MLFLOW_EXPERIMENT_ID" in answer.json()["message"]


SERVED = textwrap.dedent("""
    import mlflow
    from mlflow.pyfunc.context import Context, set_prediction_context
    from mlflow.tracing.export.inference_table import pop_trace

    @mlflow.trace
    def predict(question):
        return question.upper()

    with set_prediction_context(Context(request_id="request-1")):
        predict("hello")
    assert pop_trace("request-1")["info"]["client_request_id"] == "request-1"
    mlflow.flush_trace_async_logging()
""")


def test_a_served_process_exports_its_traces(
    mlflow_client: MlflowClient, experiment: str, local_workspace: LocalWorkspace
) -> None:
    import os

    environment = {**os.environ, **local_workspace.env(), "MLFLOW_EXPERIMENT_ID": experiment}
    environment |= {"IS_IN_DB_MODEL_SERVING_ENV": "true", "ENABLE_MLFLOW_TRACING": "true"}
    subprocess.run([sys.executable, "-c", SERVED], env=environment, check=True, timeout=120)
    [trace] = mlflow.search_traces(locations=[experiment], return_type="list")
    assert trace.info.client_request_id == "request-1"
    assert trace.data.spans[0].outputs == "HELLO"


def test_an_experiment_is_its_creators(
    mlflow_client: MlflowClient, experiment: str, traced: str, stranger: Caller, admin: Caller
) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("secret", "a.txt")
    run_id = run.info.run_id
    file = f"{ARTIFACTS}/{experiment}/Runs/{run_id}/artifacts/a.txt"

    def answers() -> dict[str, int]:
        get, post = stranger.http.get, stranger.http.post
        return {
            "experiment": get("/api/2.0/mlflow/experiments/get", params={"experiment_id": experiment}).status_code,
            "run": get("/api/2.0/mlflow/runs/get", params={"run_id": run_id}).status_code,
            "runs": post("/api/2.0/mlflow/runs/search", json={"experiment_ids": [experiment]}).status_code,
            "trace": get(f"/api/3.0/mlflow/traces/{traced}").status_code,
            "spans": get(f"/api/2.0/mlflow/traces/{traced}/credentials-for-data-download").status_code,
            "file": get(file).status_code,
            "log": post("/api/2.0/mlflow/runs/set-tag", json={"run_id": run_id, "key": "a", "value": "b"}).status_code,
            "write": stranger.http.put(file, content=b"x").status_code,
            "delete": post("/api/2.0/mlflow/experiments/delete", json={"experiment_id": experiment}).status_code,
        }

    def give(level: str) -> None:
        entry = {"service_principal_name": stranger.name, "permission_level": level}
        path = f"/api/2.0/permissions/experiments/{experiment}"
        admin.http.patch(path, json={"access_control_list": [entry]}).raise_for_status()

    reads, writes = ("experiment", "run", "runs", "trace", "spans", "file"), ("log", "write")
    assert set(answers().values()) == {403}
    searched = stranger.http.post("/api/2.0/mlflow/experiments/search", json={"max_results": 100}).json()
    assert experiment not in [found["experiment_id"] for found in searched.get("experiments", [])]
    give("CAN_READ")
    found = answers()
    assert {found[what] for what in reads} == {200}
    assert {found[what] for what in (*writes, "delete")} == {403}
    give("CAN_EDIT")
    found = answers()
    assert {found[what] for what in reads} == {200}
    assert (found["log"], found["write"], found["delete"]) == (200, 204, 403)


@pytest.fixture
def mine(stranger: Caller, name: str) -> str:
    """An experiment of the stranger's, which MLflow must not take for the one that a request acts on."""
    path = f"/Users/{stranger.name}/{name}"
    answer = stranger.http.post("/api/2.0/mlflow/experiments/create", json={"name": path})
    return str(answer.raise_for_status().json()["experiment_id"])


def test_no_request_acts_on_another_experiment_than_was_checked(
    mlflow_client: MlflowClient, experiment: str, traced: str, stranger: Caller, mine: str
) -> None:
    with mlflow.start_run() as run:
        pass
    run_id = mlflow_client.create_run(mine).info.run_id
    twice_encoded = f"%25{ord(traced[0]):02x}{traced[1:]}"
    info = {"trace_id": traced, "request_time": "2026-01-01T00:00:00Z", "state": "OK", "tags": {"taken": "yes"}}
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": mine}}
    metrics = [{"key": "a", "value": 1, "timestamp": 1, "run_id": run.info.run_id}]
    v2, v3, here = "/api/2.0/mlflow", "/api/3.0/mlflow", {"experiment_id": mine}
    requests: list[tuple[str, str, dict[str, Any] | str, int]] = [
        ("POST", f"{v2}/runs/search", {"experimentIds": [experiment], "x": here}, 403),
        ("POST", f"{v2}/runs/search", {"experimentIds": [experiment], **here}, 403),
        ("POST", f"{v2}/runs/delete?experiment_id={mine}", {"runId": run.info.run_id}, 403),
        ("POST", f"{v2}/runs/delete?experiment_id={mine}", f'{{"run_id": "{run.info.run_id}"}}', 400),
        ("POST", f"{v2}/runs/log-batch", {"run_id": run_id, "metrics": metrics}, 403),
        ("POST", f"{v2}/experiments/x/%2e%2e/delete", here, 400),
        ("POST", f"{v2}/experiments/delete/", here, 400),
        ("GET", f"{v3}/traces/tr-mine/%2e%2e/{traced}?experiment_id={mine}", "", 400),
        ("GET", f"{v3}/traces/{twice_encoded}?experiment_id={mine}", "", 404),
        ("GET", f"{v3}/traces/{traced}%3Fx?experiment_id={mine}", "", 404),
        ("DELETE", f"{v3}/traces/{traced}/tags?key=get", {}, 403),
        ("POST", f"{v3}/traces", {"trace": {"trace_info": {**info, "trace_location": location}}}, 403),
        ("DELETE", f"{v3}/datasets/d-any?experiment_id={mine}", {}, 501),
        ("GET", f"{v3}/scorers/online-configs?scorer_ids=any&experiment_id={mine}", "", 501),
    ]
    for method, path, body, expected in requests:
        answer = stranger.http.request(method, path, json=body or None)
        assert answer.status_code == expected, (method, path, answer.status_code, answer.text)
    trace = mlflow.get_trace(traced)
    assert trace
    assert "taken" not in trace.info.tags


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "traces/tr-1", READ),
        ("POST", "runs/search", READ),
        ("DELETE", "logged-models/m-1/tags/list", EDIT),
        ("POST", "runs/delete", EDIT),
        ("POST", "experiments/delete", MANAGE),
    ],
)
def test_what_a_request_needs(method: str, path: str, needed: str) -> None:
    assert level(method, path) == needed


def test_below_shared_everybody_works_together(mlflow_client: MlflowClient, stranger: Caller, name: str) -> None:
    experiment = mlflow_client.create_experiment(f"/Shared/{name}")
    answer = stranger.http.post("/api/2.0/mlflow/runs/create", json={"experiment_id": experiment})
    assert answer.status_code == 200


def test_nobody_creates_in_anothers_folder(stranger: Caller, name: str) -> None:
    body = {"name": f"/Users/admin@local/{name}"}
    assert stranger.http.post("/api/2.0/mlflow/experiments/create", json=body).status_code == 403


def test_files_of_a_run_that_is_not_of_the_experiment_are_not_served(
    mlflow_client: MlflowClient, experiment: str, admin: Caller, name: str
) -> None:
    other = mlflow_client.create_experiment(f"/Shared/{name}")
    with mlflow.start_run() as run:
        mlflow.log_text("x", "a.txt")
    answer = admin.http.get(f"{ARTIFACTS}/{other}/Runs/{run.info.run_id}/artifacts/a.txt")
    assert answer.status_code == 404


def test_mlflows_server_is_started_again_when_it_died(
    mlflow_client: MlflowClient, experiment: str, local_workspace: LocalWorkspace
) -> None:
    [server] = descendants(local_workspace.pid, "agent_deploy.local.tracking.process")
    os.kill(server, signal.SIGKILL)
    await_end(server)
    assert mlflow_client.get_experiment(experiment).experiment_id == experiment
