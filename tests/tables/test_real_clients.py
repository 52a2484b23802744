"""All columns of the derived tables, from requests that unmodified clients made to an agent that is really served."""

from __future__ import annotations

import datetime
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import mlflow.pyfunc
import pytest
from databricks.sdk import WorkspaceClient
from deltalake import DeltaTable
from mlflow.deployments import get_deploy_client

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.local import LocalWorkspace
from agent_deploy.provider.feedback.feedback_model_version import FeedbackModelVersion
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.rules import tables
from agent_deploy.tables.reading import target_of
from agent_deploy.tables.refresh import Target, refresh
from agent_deploy.tables.spark import SparkProcess
from tests.tables.payload import by_id, derived
from tests.unit.test_feedback_rules import SEED
from tests.workspace.conftest import http_client
from tests.workspace.serving import agent as served_agent
from tests.workspace.serving.conftest import API, Endpoint, ok, question, register, served, wait
from tests.workspace.serving.test_serving_payloads import gateway, read

AGENT, LATEST = "main.clients.agent", "1"


@dataclass
class Asked:
    """A request as its client made it, and what the client saw of the answer."""

    text: str
    body: dict[str, Any]
    answer: str | None
    status: int = 200
    conversation_id: str | None = None
    client_request_id: str | None = None
    request_id: str | None = None
    trace: dict[str, Any] | None = None
    began: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.timezone.utc))
    ended: datetime.datetime | None = None


@dataclass
class Clients:
    """The clients of one endpoint, and what they asked."""

    workspace: LocalWorkspace
    endpoint: Endpoint
    asked: list[Asked] = field(default_factory=list)

    def ask(self, answer: str | None, text: str, call: Callable[[dict[str, Any]], Any], **more: Any) -> Any:
        """Asks ``text`` and notes it; returns what the client returned."""
        noted = {name: more.pop(name) for name in ("status", "conversation_id") if name in more}
        body = question(text, **more)
        asked = Asked(text, body, answer, client_request_id=more.get("client_request_id"), **noted)
        seen = call(body)
        asked.ended = datetime.datetime.now(datetime.timezone.utc)
        if isinstance(seen, dict) and "databricks_output" in seen:
            asked.request_id = seen["databricks_output"]["databricks_request_id"]
            asked.trace = seen["databricks_output"].get("trace")
        self.asked.append(asked)
        return seen

    def curl(self, body: dict[str, Any], *options: str, entity: str = "") -> str:
        """What curl printed."""
        url = f"{self.workspace.host}/serving-endpoints/{self.endpoint.name}{entity}/invocations"
        command = ["curl", "-sS", "-X", "POST", url, "-H", f"Authorization: Bearer {self.workspace.token}"]
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def clients(local_workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    folder = tmp_path_factory.mktemp("agent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        code = str(served_agent.__file__)
        mlflow.pyfunc.save_model(folder / "agent", python_model=code, pip_requirements=["mlflow"])
    sdk = WorkspaceClient(host=local_workspace.host, token=local_workspace.token, auth_type="pat")
    sdk.schemas.create(name="clients", catalog_name="main")
    workspace = Workspace(Settings(host=local_workspace.host, method=PAT, token=local_workspace.token))
    with closing(http_client(local_workspace.host, local_workspace.token)) as http:
        register(http, AGENT, folder / "agent")
        rating = FeedbackModelVersion().create(
            Context(configuration=workspace), {"modelName": "main.clients.feedback", "ownerMark": "tests"}
        )
        entities = [
            served(AGENT, LATEST, name="agent"),
            {"entity_name": rating.id, "entity_version": rating.properties["version"], "name": "feedback"},
        ]
        routes = [
            {"served_model_name": e["name"], "traffic_percentage": 100 * (e["name"] == "agent")} for e in entities
        ]
        endpoint = Endpoint(http, f"clients-{uuid.uuid4().hex[:8]}")
        config = {"served_entities": entities, "traffic_config": {"routes": routes}}
        ok(http.post(API, json={"name": endpoint.name, "config": config, "ai_gateway": gateway("main.clients")}))
        assert endpoint.settled()["state"]["ready"] == "READY"
        made = Clients(local_workspace, endpoint)
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in local_workspace.env().items():
                patch.setenv(variable, value)
            _ask(made, sdk)
        yield made
        http.delete(endpoint.url)


def _ask(clients: Clients, sdk: WorkspaceClient) -> None:
    mlflow_client: Any = get_deploy_client("databricks")
    name = clients.endpoint.name
    traced = {"return_trace": True, "conversation_id": "by-options"}

    def sdk_query(body: dict[str, Any]) -> Any:
        return sdk.serving_endpoints.query(name, **body)

    def predict(body: dict[str, Any]) -> Any:
        return mlflow_client.predict(endpoint=name, inputs=body)

    clients.ask("by the SDK", "say by the SDK", sdk_query, client_request_id="sdk-1")
    clients.ask("by MLflow", "say by MLflow", predict, databricks_options=traced, conversation_id="by-options")
    clients.ask("one two", "one two", lambda body: list(mlflow_client.predict_stream(endpoint=name, inputs=body)))
    clients.ask(
        "by curl",
        "say by curl",
        lambda body: json.loads(clients.curl(body)),
        context={"conversation_id": "by-context"},
        conversation_id="by-context",
    )
    events = clients.ask(
        "a stream",
        "a stream",
        lambda body: clients.curl(body, "-N"),
        stream=True,
        databricks_options={"return_trace": True},
    )
    assert events.count("data: ") >= 3
    clients.ask(None, "fail badly", lambda body: json.loads(clients.curl(body)), status=500)
    rated = {**SEED, "request_id": str(clients.asked[1].request_id)}
    told = json.loads(clients.curl({"dataframe_records": [rated]}, entity="/served-models/feedback"))
    assert told == {"predictions": {"result": "ok"}}


@pytest.fixture(scope="module")
def target(clients: Clients, spark: SparkProcess) -> Target:
    endpoint = clients.endpoint.get()
    target = target_of(clients.workspace.folder, endpoint)
    wait(lambda: read(clients.workspace, target.payload), lambda rows: len(rows) == len(clients.asked) + 1)
    models = ok(clients.endpoint.http.get(f"/_local/serving/entities/{clients.endpoint.name}"))["entities"]
    added = refresh(target.folder, target.payload, clients.endpoint.name, models, spark)
    assert added == {"requests": len(clients.asked), "assessments": 2, "quarantine": 0}
    return target


def test_the_sixteen_columns_are_what_was_asked_and_answered(clients: Clients, target: Target) -> None:
    payload = {row["databricks_request_id"]: row for row in read(clients.workspace, target.payload)}
    rows = {row["request"]: row for row in by_id(target, "requests").values()}
    assert len(rows) == len(clients.asked)
    for asked in clients.asked:
        row = rows[asked.text]
        assert list(row) == [column.name for column in tables.REQUEST_LOG_COLUMNS]
        logged = payload[row["databricks_request_id"]]
        assert asked.request_id in (None, row["databricks_request_id"]), asked
        second = datetime.timedelta(seconds=1)
        assert asked.ended is not None
        assert asked.began - second <= row["timestamp"] <= asked.ended + second
        assert 0 <= row["execution_time_ms"] <= (asked.ended - asked.began) / datetime.timedelta(milliseconds=1)
        assert row["timestamp_ms"] == int(row["timestamp"].timestamp() * 1000)
        body = json.loads(row["request_raw"])
        assert {name: body[name] for name in asked.body} == asked.body
        assert row["response_raw"] == logged["response"]
        told = json.loads(row["trace"])
        assert told == json.loads(row["response_raw"])["databricks_output"]["trace"]
        assert told["info"]["client_request_id"] == row["databricks_request_id"]
        assert asked.trace in (None, told)
        expected = {
            "client_request_id": asked.client_request_id,
            "date": row["timestamp"].date(),
            "status_code": asked.status,
            "conversation_id": asked.conversation_id,
            "response": asked.answer,
            "sampling_fraction": 1.0,
            "request_metadata": [
                ("endpoint_name", clients.endpoint.name),
                ("model_name", AGENT),
                ("model_version", LATEST),
            ],
            "schema_version": "1",
        }
        assert {name: row[name] for name in expected} == expected


def test_the_six_columns_are_the_seeds_feedback(clients: Clients, target: Target) -> None:
    rows = derived(target, "assessments")
    [text] = [row for row in rows if row["text_assessment"] is not None]
    [document] = [row for row in rows if row["retrieval_assessment"] is not None]
    positive = {"value": "positive", "double_value": None, "rationale": None}
    for row in (text, document):
        assert list(row) == [column.name for column in tables.ASSESSMENT_LOG_COLUMNS]
        assert (row["request_id"], row["step_id"]) == (clients.asked[1].request_id, None)
        assert row["source"] == {"type": "human", "id": "user@company.com", "tags": None}
        assert row["timestamp"] > max(asked.began for asked in clients.asked)
        assert row["timestamp"].timestamp() < time.time()
    assert text["retrieval_assessment"] is document["text_assessment"] is None
    ratings = dict(text["text_assessment"].pop("ratings"))
    assert ratings == {"answer_correct": positive, "accurate": positive}
    assert text["text_assessment"] == {
        "step_id": None,
        "free_text_comment": SEED["text_assessments"][0]["free_text_comment"],
        "suggested_output": None,
    }
    assert document["retrieval_assessment"] == {
        "position": None,
        "step_id": None,
        "ratings": [("groundedness", positive)],
        "free_text_comment": None,
    }


def test_types_are_the_declared_ones(target: Target) -> None:
    for table in tables.DERIVED:
        fields = json.loads(DeltaTable(target.path(table.key)).schema().to_json())["fields"]
        assert [(found["name"], _sql(found["type"])) for found in fields] == [(c.name, c.type) for c in table.columns]


def _sql(kind: Any) -> str:
    """A Delta type as SQL writes it."""
    if isinstance(kind, str):
        return {"long": "bigint", "integer": "int"}.get(kind, kind)
    if kind["type"] == "map":
        return f"map<{_sql(kind['keyType'])},{_sql(kind['valueType'])}>"
    return "struct<" + ",".join(f"{inner['name']}:{_sql(inner['type'])}" for inner in kind["fields"]) + ">"
