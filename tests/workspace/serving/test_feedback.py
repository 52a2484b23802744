"""Feedback on a served agent: what the feedback model takes and refuses, and the client that rates answers.

The agent logs its traces; the endpoint has an inference table, and the feedback model as FeedbackModel registers it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.client import FeedbackError, feedback, withdraw
from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import Workspace
from agent_deploy.local import LocalWorkspace
from agent_deploy.provider.feedback.feedback_model_version import FeedbackModelVersion
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.rules.environment import EXPERIMENT_TAG
from tests.unit.test_feedback_rules import JSON, SEED
from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import API, Endpoint, ok, question, register, served, wait
from tests.workspace.serving.test_serving_payloads import gateway, read

MLFLOW = "/api/2.0/mlflow"
TRACES = "/api/3.0/mlflow/traces"
ACCEPTED = {"predictions": {"result": "ok"}}
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Place:
    """Two agents of one schema, `first` with feedback and `second` too, in one experiment; `bare` takes none."""

    local: LocalWorkspace
    workspace: Workspace
    first: Endpoint
    second: Endpoint
    bare: Endpoint
    table: str

    def rate(self, request_id: str, **more: Any) -> Any:
        """Rates an answer of the first agent."""
        return feedback(self.first.name, request_id, workspace=self.workspace, **more)

    def post(self, content: bytes | str, headers: dict[str, str] | None = None) -> httpx.Response:
        """To the first agent's feedback model, as it is."""
        path = f"/serving-endpoints/{self.first.name}/served-models/feedback/invocations"
        return self.first.http.post(path, content=content, headers=headers or HEADERS)

    def rows(self) -> list[dict[str, Any]]:
        """What the feedback model was asked so far, oldest first."""
        return [row for row in read(self.local, self.table) if "assessments" in row["request"]]

    def count(self) -> int:
        """How many rows there are when all is written: rows come in their order, and a last one is waited for."""
        marker = {**SEED, "request_id": uuid.uuid4().hex}
        assert self.post(json.dumps({"dataframe_records": [marker]})).status_code == 200
        return len(wait(self.rows, lambda rows: any(marker["request_id"] in row["request"] for row in rows)))

    def rows_since(self, before: int) -> list[dict[str, Any]]:
        """All rows after the first ``before``."""
        after = self.count() - 1  # without the last one
        return self.rows()[before:after]

    def assessments(self, trace_id: str) -> list[dict[str, Any]]:
        """What the trace's assessments are."""
        info = ok(self.first.http.get(f"{TRACES}/{trace_id}"))["trace"]["trace_info"]
        return list(info.get("assessments") or ())

    def answer(self, endpoint: Endpoint | None = None) -> dict[str, Any]:
        """A new answer with its trace."""
        asked = question("say hello", databricks_options={"return_trace": True})
        return ok((endpoint or self.first).post(asked))


@pytest.fixture(scope="module")
def place(local_workspace: LocalWorkspace, admin: Caller, models: Path) -> Iterator[Place]:
    schema = f"main.f{uuid.uuid4().hex[:10]}"
    admin.sdk.schemas.create(name=schema.split(".")[1], catalog_name="main")
    register(admin.http, f"{schema}.agent", models / "agent")
    workspace = Workspace(Settings(host=local_workspace.host, method=PAT, token=local_workspace.token))
    model, context = FeedbackModelVersion(), Context(configuration=workspace)
    inputs = {"modelName": f"{schema}.feedback", "ownerMark": "tests"}
    created = model.create(context, inputs)
    body = {"name": f"/Users/{admin.name}/feedback-{uuid.uuid4().hex[:8]}"}
    experiment = str(ok(admin.http.post(f"{MLFLOW}/experiments/create", json=body))["experiment_id"])
    agent = served(f"{schema}.agent", name="agent", environment_vars={"MLFLOW_EXPERIMENT_ID": experiment})
    rating = {"entity_name": created.id, "entity_version": created.properties["version"], "name": "feedback"}
    made = []
    for name, entities in (("one", [agent, rating]), ("two", [agent, rating]), ("bare", [agent])):
        endpoint = Endpoint(admin.http, f"{name}-{uuid.uuid4().hex[:8]}")
        routes = [{"served_model_name": e["name"], "traffic_percentage": 100 * (e is agent)} for e in entities]
        config = {"served_entities": entities, "traffic_config": {"routes": routes}}
        tags = [{"key": EXPERIMENT_TAG, "value": experiment}]
        more = {"ai_gateway": gateway(schema), "tags": tags} if name == "one" else {}
        ok(admin.http.post(API, json={"name": endpoint.name, "config": config, **more}))
        made.append(endpoint)
    for endpoint in made:
        assert endpoint.settled()["state"]["ready"] == "READY"
    first, second, bare = made
    yield Place(local_workspace, workspace, first, second, bare, f"{schema}.agent_payload")
    for endpoint in made:
        admin.http.delete(endpoint.url)
    model.delete(context, created.id, inputs, created.properties)
    admin.sdk.schemas.delete(schema, force=True)


def encoded(record: dict[str, Any]) -> dict[str, Any]:
    """With JSON text in the columns, as Databricks' chatbot template sends it."""
    return {name: value if name == "request_id" else json.dumps(value) for name, value in record.items()}


# Each is answered by the original with 200, and means something.
MEANINGFUL: dict[str, dict[str, Any]] = {
    "nested": {"dataframe_records": [SEED]},
    "JSON text": {"dataframe_records": [encoded(SEED)]},
    "no documents": {"dataframe_records": [{**SEED, "retrieval_assessments": None}]},
    "two answers": {"dataframe_records": [SEED, {**SEED, "request_id": "another"}]},
    "split": {"dataframe_split": {"columns": list(SEED), "data": [list(SEED.values())]}},
    "split JSON text": {"dataframe_split": {"columns": list(SEED), "data": [list(encoded(SEED).values())]}},
    "another column": {"dataframe_records": [{**SEED, "channel": "chat"}]},
}


def test_what_means_something_is_accepted_as_the_original_answers(place: Place) -> None:
    before = place.count()
    for what, body in MEANINGFUL.items():
        response = place.post(json.dumps(body))
        assert (response.status_code, response.json()) == (200, ACCEPTED), f"{what}: {response.text}"
    rows = place.rows_since(before)
    assert [json.loads(row["request"]) for row in rows] == list(MEANINGFUL.values())
    assert {row["status_code"] for row in rows} == {200}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dataframe_records": [{**SEED, "source": {"id": "a", "type": "robot"}}]}, "source.type"),
        ({"dataframe_records": [encoded({**SEED, "source": {"id": "a", "type": "robot"}})]}, "source.type"),
        ({"dataframe_records": [{**SEED, "request_id": ""}]}, "request_id"),
        ({"dataframe_records": [{**SEED, "request_id": None}]}, "request_id"),
        ({"dataframe_records": [{k: v for k, v in SEED.items() if k != "request_id"}]}, "request_id"),
        ({"dataframe_records": [{**SEED, "text_assessments": [{"ratings": {"accurate": {}}}]}]}, "accurate.value"),
        ({"dataframe_records": [{**SEED, "text_assessments": "fine"}]}, "text_assessments"),
        ({"dataframe_records": [{**SEED, "retrieval_assessments": [{"stars": 5}]}]}, "retrieval_assessments[0].stars"),
        ({"dataframe_records": [SEED, {**SEED, "source": None}]}, "record 1: source"),
        ({"dataframe_records": []}, "request_id"),
        ({"inputs": [1, 2]}, "request_id"),
    ],
)
def test_the_rest_is_refused_by_the_name_of_its_field(place: Place, body: dict[str, Any], field: str) -> None:
    response = place.post(json.dumps(body))
    assert response.status_code == 400
    assert field in response.json()["message"].partition("Error: ")[2]
    assert response.json()["error_code"] == "INVALID_PARAMETER_VALUE"


_NEAR = st.fixed_dictionaries({name: st.just(value) | JSON | st.text() for name, value in SEED.items()})
_BODIES = (
    st.builds(lambda records: {"dataframe_records": records}, st.lists(_NEAR | JSON, max_size=3) | JSON)
    | st.builds(lambda row: {"dataframe_split": {"columns": list(SEED), "data": [list(row.values())]}}, _NEAR)
    | st.builds(lambda record, name: {name: [record]}, _NEAR, st.sampled_from(["inputs", "instances", "x"]))
    | JSON
)


def test_whatever_comes_is_answered_and_all_that_was_accepted_is_a_row(place: Place) -> None:
    before, accepted = place.count(), list[Any]()
    refused = {400, 413, 415}

    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(_BODIES)
    def fuzz(body: Any) -> None:
        response = place.post(json.dumps(body))
        assert response.status_code in refused | {200}, f"{body}: {response.text}"
        if response.status_code == 200:
            assert response.json() == ACCEPTED
            accepted.append(body)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(max_size=60), st.sampled_from(["application/json", "text/csv", "application/xml", "a;b=c"]))
    def bytes_fuzz(content: bytes, content_type: str) -> None:
        response = place.post(content, {"Content-Type": content_type})
        assert response.status_code in refused, f"{content!r} as {content_type}: {response.text}"

    fuzz()
    bytes_fuzz()
    for text in ("[" * 100_000, '{"dataframe_records": [' + "[" * 5_000 + "]" * 5_000 + "]}", json.dumps("[" * 9_000)):
        assert place.post(text).status_code in refused
    deep = {**SEED, "text_assessments": "[" * 50_000}
    assert place.post(json.dumps({"dataframe_records": [deep]})).status_code == 400
    rows = [row for row in place.rows_since(before) if row["status_code"] == 200]
    assert [json.loads(row["request"]) for row in rows] == accepted
    assert {json.dumps(json.loads(row["response"])) for row in rows} == {json.dumps(ACCEPTED)}


def test_an_answer_is_rated_in_the_table_and_on_its_trace(place: Place, mlflow_client: Any, admin: Caller) -> None:
    import mlflow

    before, answer = place.count(), place.answer()
    given = place.rate(
        "",
        answer=answer,
        ratings={"answer_correct": "positive", "stars": 4},
        comment="It greets.",
        suggested="hello, you",
        retrieval={1: {"groundedness": "negative"}},
    )
    id = answer["databricks_output"]["databricks_request_id"]
    names = ("answer_correct", "stars", "free_text_comment", "expected_response", "groundedness")
    assert (given.request_id, given.assessments, given.notes) == (id, names, ())
    [row] = place.rows_since(before)
    [record] = json.loads(row["request"])["dataframe_records"]
    assert record["request_id"] == id
    assert record["source"] == {"id": admin.name, "type": "human"}
    assert record["retrieval_assessments"] == [{"position": 1, "ratings": {"groundedness": {"value": "negative"}}}]
    trace = mlflow.get_trace(given.trace_id)
    assert trace is not None
    feedbacks = {a.name: a.feedback.value for a in trace.info.assessments if a.feedback}
    assert feedbacks == {
        "answer_correct": "positive", "stars": 4, "free_text_comment": "It greets.", "groundedness": "negative"
    }  # fmt: skip
    [expected] = [a.expectation.value for a in trace.info.assessments if a.expectation]
    assert expected == "hello, you"
    assert {a.source.source_id for a in trace.info.assessments} == {admin.name}
    [document] = [a for a in trace.info.assessments if a.name == "groundedness"]
    assert document.metadata["position"] == "1"


def test_by_its_id_alone_the_answer_is_found_in_the_experiment(place: Place) -> None:
    id = ok(place.first.post(question("say hello")))["id"]
    given = place.rate(id, ratings={"answer_correct": True}, source="judge", source_type="llm_judge")
    [assessment] = place.assessments(given.trace_id)
    assert assessment["source"] == {"source_type": "LLM_JUDGE", "source_id": "judge"}
    assert assessment["feedback"]["value"] is True


def test_what_cannot_be_rated_is_refused_and_nothing_is_written(place: Place) -> None:
    answer = place.answer()
    id = answer["databricks_output"]["databricks_request_id"]
    trace_id = answer["databricks_output"]["trace"]["info"]["trace_id"]
    elsewhere = place.answer(place.second)["databricks_output"]["databricks_request_id"]
    good: dict[str, Any] = {"ratings": {"answer_correct": "positive"}}
    unknown = str(uuid.uuid4())
    place.rate(id, **good)  # so that the trace has certainly arrived
    before = place.count(), len(place.assessments(trace_id))
    for said, request_id, more in (
        (f"'{unknown}' is no answer of '{place.first.name}'", unknown, good),
        ("\"' or '1'='1\" is no answer", "' or '1'='1", good),
        (f"{elsewhere} is an answer of '{place.second.name}', not of '{place.first.name}'", elsewhere, good),
        ("expected at least one assessment", id, {}),
        ("source.type: expected one of human", id, {**good, "source_type": "robot"}),
        ("request_id: expected the databricks_request_id", "", good),
        ("no databricks_output.databricks_request_id", "", {**good, "answer": {"output": []}}),
        (f"is that of the answer {id}, not of {unknown}", unknown, {**good, "answer": answer}),
    ):
        with pytest.raises(FeedbackError) as refused:
            place.rate(request_id, patience=0.0, **more)
        assert said in str(refused.value)
    for name, said in (("nowhere", "There is no serving endpoint 'nowhere'"), (place.bare.name, "takes no feedback")):
        with pytest.raises(FeedbackError, match=said):
            feedback(name, id, workspace=place.workspace, **good)
    assert place.rows_since(before[0]) == []
    assert len(place.assessments(trace_id)) == before[1]


def test_feedback_is_withdrawn_once_and_given_again_only_on_purpose(place: Place) -> None:
    id = place.answer()["databricks_output"]["databricks_request_id"]
    good: dict[str, Any] = {"ratings": {"answer_correct": "positive"}, "source": "ann@example.com"}
    mine: dict[str, Any] = {"source": "ann@example.com", "workspace": place.workspace}
    trace_id = place.rate(id, **good).trace_id
    place.rate(id, ratings={"answer_correct": "negative"}, source="bob@example.com")
    with pytest.raises(FeedbackError, match=r"cleo's feedback on .* was never given"):
        withdraw(place.first.name, id, source="cleo", workspace=place.workspace)
    assert withdraw(place.first.name, id, **mine).assessments == ("answer_correct",)
    assert [each["source"]["source_id"] for each in place.assessments(trace_id)] == ["bob@example.com"]
    with pytest.raises(FeedbackError, match=r"was withdrawn on 20.* already"):
        withdraw(place.first.name, id, **mine)
    with pytest.raises(FeedbackError, match="has withdrawn the feedback on"):
        place.rate(id, **good)
    assert len(place.assessments(trace_id)) == 1
    assert place.rate(id, **good, again=True).assessments == ("answer_correct",)


def test_who_rates_again_replaces_what_he_said_and_nobody_elses(place: Place) -> None:
    id = place.answer()["databricks_output"]["databricks_request_id"]
    first: dict[str, Any] = {"ratings": {"answer_correct": "positive", "stars": 4}, "comment": "fine"}
    documents = {0: {"relevant": "positive"}, 1: {"relevant": "positive"}}
    trace_id = place.rate(id, **first, retrieval=documents, source="ann@example.com").trace_id
    place.rate(id, ratings={"answer_correct": "positive"}, source="bob@example.com")
    for value in ("positive", "negative"):
        again = {1: {"relevant": value}}
        place.rate(id, ratings={"answer_correct": value}, suggested=value, retrieval=again, source="ann@example.com")
    said = [
        (
            each["source"]["source_id"][:3],
            each["assessment_name"],
            (each.get("feedback") or each["expectation"])["value"],
        )
        for each in place.assessments(trace_id)
        if each["valid"]
    ]
    assert sorted(said, key=str) == [
        ("ann", "answer_correct", "negative"),
        ("ann", "expected_response", "negative"),
        ("ann", "free_text_comment", "fine"),
        ("ann", "relevant", "negative"),
        ("ann", "relevant", "positive"),
        ("ann", "stars", 4.0),
        ("bob", "answer_correct", "positive"),
    ]
    withdraw(place.first.name, id, source="ann@example.com", workspace=place.workspace)
    assert [each["source"]["source_id"] for each in place.assessments(trace_id)] == ["bob@example.com"]


def test_who_may_only_ask_rates_in_the_table_and_is_told_so(place: Place, stranger: Caller) -> None:
    token = str(stranger.http.headers["Authorization"]).removeprefix("Bearer ")
    theirs = Workspace(Settings(host=place.local.host, method=PAT, token=token))
    id = place.answer()["databricks_output"]["databricks_request_id"]
    with pytest.raises(WorkspaceError):
        feedback(place.first.name, id, ratings={"accurate": "positive"}, source="x", workspace=theirs)
    entry = {"service_principal_name": stranger.name, "permission_level": "CAN_QUERY"}
    path = f"/api/2.0/permissions/serving-endpoints/{place.first.get()['id']}"
    ok(place.first.http.patch(path, json={"access_control_list": [entry]}))
    before = place.count()
    given = feedback(place.first.name, id, ratings={"accurate": "positive"}, source="x", workspace=theirs)
    assert given.assessments == ()
    assert "may not be looked at" in given.notes[0]
    [row] = place.rows_since(before)
    assert row["requester"] == stranger.name


def test_a_fault_between_table_and_trace_says_what_is_where(place: Place) -> None:
    id = place.answer()["databricks_output"]["databricks_request_id"]
    before = place.count()
    fault = place.workspace.post("/_local/faults", {"path": "*/assessments", "status": 500, "nth": 2})
    try:
        with pytest.raises(FeedbackError, match=r"is in the inference table, .*: accurate may be missing"):
            place.rate(id, ratings={"answer_correct": "positive", "accurate": "positive"})
    finally:
        place.workspace.delete(f"/_local/faults/{fault['id']}")
    assert len(place.rows_since(before)) == 1


def test_the_command_rates_and_withdraws(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {**place.local.env(), "DATABRICKS_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    run, endpoint = CliRunner().invoke, place.first.name
    answer = place.answer()
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(answer))
    rates = ["--rating", "answer_correct=positive", "--rating", "stars=4", "--comment", "ok", "--suggested", "hi"]
    done = run(app, ["feedback", endpoint, "--answer", str(file), *rates, "--retrieval", "0:groundedness=true"])
    assert done.exit_code == 0, done.output
    trace_id = answer["databricks_output"]["trace"]["info"]["trace_id"]
    names = "answer_correct, stars, free_text_comment, expected_response, groundedness"
    assert f"assessments on trace {trace_id}: {names}" in done.output
    values = {each["assessment_name"]: each.get("feedback") for each in place.assessments(trace_id)}
    assert (values["stars"], values["groundedness"]) == ({"value": 4.0}, {"value": True})
    id = answer["databricks_output"]["databricks_request_id"]
    document = json.loads(run(app, ["feedback", endpoint, "--request-id", id, "--withdraw", "--json"]).stdout)
    assert document["trace_id"] == trace_id
    assert place.assessments(trace_id) == []
    for arguments, said in (
        ([], "which answer?"),
        (["--request-id", id, "--rating", "good"], "expected NAME=VALUE"),
        (["--request-id", id, "--retrieval", "first:x=1"], "expected POSITION:NAME=VALUE"),
        (["--request-id", id, "--withdraw", "--comment", "x"], "nothing else"),
        (["--answer", str(tmp_path / "none")], "expected a file with the JSON of an answer"),
        (["--request-id", id, "--rating", "a=b"], "has withdrawn the feedback"),
    ):
        failed = run(app, ["feedback", endpoint, *arguments])
        assert said in str(failed.exception)
