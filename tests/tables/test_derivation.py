"""The derived tables of a corpus of all formats, by real Spark: columns, values, and that nothing is lost."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from deltalake import DeltaTable

from agent_deploy.rules import tables
from agent_deploy.tables.refresh import Target, refresh
from agent_deploy.tables.spark import SparkProcess
from tests.tables.cases import ASKED, Case
from tests.tables.corpus import CASES
from tests.tables.payload import append, by_id, derived, row, snapshot

ENTITIES = {"entity-1": {"model_name": "main.corpus.qa", "model_version": "3"}}
METADATA = [("endpoint_name", "agents_qa"), ("model_name", "main.corpus.qa"), ("model_version", "3")]
IDS = {case.name: f"id-{number}" for number, case in enumerate(CASES)}

# The seed's tables: "Deploy an agent for generative AI application", Agent-enhanced inference tables.
SEED_REQUEST_LOGS = """client_request_id String
databricks_request_id String
date Date
timestamp_ms Long
timestamp Timestamp
status_code Integer
execution_time_ms Long
conversation_id String
request String
response String
request_raw String
response_raw String
trace String
sampling_fraction Double
request_metadata Map[String, String]
schema_version String"""
SEED_ASSESSMENT_LOGS = """request_id String
step_id String
source Struct
timestamp Timestamp
text_assessment Struct
retrieval_assessment Struct"""
DELTA_TYPES = {
    "string": "String",
    "date": "Date",
    "long": "Long",
    "timestamp": "Timestamp",
    "integer": "Integer",
    "double": "Double",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, spark: SparkProcess) -> Target:
    target = Target(tmp_path_factory.mktemp("corpus"), "main.corpus.qa_payload")
    rows = [row(case, IDS[case.name], seconds) for seconds, case in enumerate(CASES)]
    append(target, rows)
    append(target, rows[::3])  # delivered twice
    nameless = Case("without an id", ASKED)
    append(target, [row(nameless, None), row(nameless, None), row(nameless, "", 1)])
    run(target, spark)
    return target


def run(target: Target, spark: SparkProcess) -> dict[str, int]:
    return refresh(target.folder, target.payload, "agents_qa", ENTITIES, spark)


def kind(of: Any) -> str:
    if isinstance(of, dict):
        return "Struct" if of["type"] == "struct" else "Map[String, String]" if of["valueType"] == "string" else "?"
    return DELTA_TYPES[of]


@pytest.mark.parametrize(("key", "seed"), [("requests", SEED_REQUEST_LOGS), ("assessments", SEED_ASSESSMENT_LOGS)])
def test_columns_and_types_are_the_seeds(target: Target, key: str, seed: str) -> None:
    fields = json.loads(DeltaTable(target.path(key)).schema().to_json())["fields"]
    assert "\n".join(f"{found['name']} {kind(found['type'])}" for found in fields) == seed
    assert all(found["metadata"]["comment"] for found in fields)


def test_names_are_the_seeds_and_tables_say_what_they_are(target: Target) -> None:
    assert target.path("requests").name == "qa_payload_request_logs"
    assert target.path("assessments").name == "qa_payload_assessment_logs"
    assert "derived from the payload table" in str(DeltaTable(target.path("requests")).metadata().description)


def test_structs_of_assessments_are_those_of_databricks(target: Target) -> None:
    fields = json.loads(DeltaTable(target.path("assessments")).schema().to_json())["fields"]
    structs = {
        found["name"]: [inner["name"] for inner in found["type"]["fields"]]
        for found in fields
        if kind(found["type"]) == "Struct"
    }
    assert structs == {
        "source": ["type", "id", "tags"],
        "text_assessment": ["step_id", "ratings", "free_text_comment", "suggested_output"],
        "retrieval_assessment": ["position", "step_id", "ratings", "free_text_comment"],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_row_goes_to_its_place(target: Target, case: Case) -> None:
    places = {key: IDS[case.name] in by_id(target, key) for key in ("requests", "quarantine")}
    assert places == {key: key == case.place for key in places}


@pytest.mark.parametrize("case", [c for c in CASES if c.expected], ids=lambda case: case.name)
def test_what_is_extracted(target: Target, case: Case) -> None:
    found = by_id(target, case.place)[IDS[case.name]]
    if "trace" in case.expected and found["trace"] is not None:
        found["trace"] = json.loads(found["trace"])
    assert {name: found[name] for name in case.expected} == case.expected


def test_columns_that_every_request_has(target: Target) -> None:
    case = CASES[1]
    found = by_id(target, "requests")[IDS[case.name]]
    moment = datetime.datetime(2026, 11, 1, 12, 0, 1, tzinfo=datetime.timezone.utc)
    assert {
        name: found[name] for name in ("date", "timestamp", "timestamp_ms", "status_code", "execution_time_ms")
    } == {
        "date": moment.date(),
        "timestamp": moment,
        "timestamp_ms": int(moment.timestamp() * 1000),
        "status_code": 200,
        "execution_time_ms": 13,
    }
    assert (found["request_raw"], found["response_raw"]) == (case.request_text, case.response_text)
    assert (found["request_metadata"], found["sampling_fraction"]) == (METADATA, 1.0)
    assert found["schema_version"].isdecimal()


def test_assessments(target: Target) -> None:
    rows = {
        (found["request_id"], found["step_id"], str(found["retrieval_assessment"])): found
        for found in derived(target, "assessments")
    }
    of = lambda request_id: [found for key, found in rows.items() if key[0] == request_id]  # noqa: E731
    text, document = sorted(of("rated-1"), key=lambda found: found["text_assessment"] is None)
    assert text["source"] == {"type": "human", "id": "user@company.com", "tags": None}
    assert text["text_assessment"]["free_text_comment"] == "The answer used the context"
    positive = {"value": "positive", "double_value": None, "rationale": None}
    assert dict(text["text_assessment"]["ratings"]) == {"answer_correct": positive, "accurate": positive}
    assert text["retrieval_assessment"] is None
    assert dict(document["retrieval_assessment"]["ratings"]) == {"groundedness": positive}
    assert text["timestamp"] == datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.timezone.utc) + datetime.timedelta(
        seconds=[case.name for case in CASES].index("feedback as the seed has it")
    )
    assert sorted(found["step_id"] for found in of("rated-2")) == ["s1", "s2", "s3"]
    assert {str(found["source"]["tags"]) for found in of("rated-2")} == {"[('team', 'x')]"}
    assert [found["source"]["id"] for found in of("rated-3")] == ["u"]
    assert len([found for found in derived(target, "assessments") if found["request_id"] == "rated-4"]) == 2


def test_ratings_of_all_kinds(target: Target) -> None:
    [found] = [found for found in derived(target, "assessments") if found["request_id"] == "rated-5"]
    ratings = {name: (r["value"], r["double_value"], r["rationale"]) for name, r in found["text_assessment"]["ratings"]}
    assert ratings == {
        "yes": ("true", None, None),
        "stars": ("4", 4.0, "good"),
        "half": ("0.5", 0.5, None),
        "named": ("4", None, None),
        "double": (None, 2.5, None),
        "bare": ("negative", None, None),
        "none": (None, None, None),
    }


def test_nothing_is_lost_and_nothing_is_twice(target: Target) -> None:
    requests, quarantined = by_id(target, "requests"), derived(target, "quarantine")
    rating = [case for case in CASES if case.place == "assessments"]
    nameless = [found for found in quarantined if found["databricks_request_id"] is None]
    assert [found["reason"] for found in nameless] == ["databricks_request_id is missing"] * 2
    assert len(CASES) + len(nameless) == len(requests) + len(rating) + len(quarantined)
    assert len(derived(target, "assessments")) == sum(case.elements for case in rating)


def test_later_runs_add_only_what_is_new(target: Target, spark: SparkProcess) -> None:
    """Changed here: duplicates in another run, late rows, updates and deletions upstream, a compaction."""
    before = snapshot(target)
    assert run(target, spark) == {"requests": 0, "assessments": 0, "quarantine": 0}
    assert snapshot(target) == before
    late = Case("late", ASKED)
    payload = DeltaTable(target.path())
    payload.delete(f"databricks_request_id = '{IDS['chat completions']}'")
    payload.update({"response": "'changed'"}, predicate="databricks_request_id = 'id-3'")
    payload.optimize.compact()
    days = 400 * 24 * 3600
    append(target, [row(CASES[0], IDS[CASES[0].name]), row(CASES[-2], IDS[CASES[-2].name]), row(late, "late", -days)])
    assert run(target, spark) == {"requests": 1, "assessments": 0, "quarantine": 0}
    after = snapshot(target)
    assert by_id(target, "requests")["late"]["date"] == datetime.date(2025, 9, 27)
    assert {key: [found for found in after[key] if found not in before[key]] for key in after if key != "requests"} == {
        "assessments": [],
        "quarantine": [],
    }
    assert set(before["requests"]) < set(after["requests"])


def test_the_pipelines_source_stands_alone() -> None:
    from agent_deploy.tables.source import pipeline_source

    text = pipeline_source()
    compile(text, "derivation.py", "exec")
    modules = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert modules == {"__future__", "collections", "functools", "json", "pyspark"}
    assert all(tables.ddl(table.columns).split("COMMENT")[0] in text for table in tables.DERIVED)
