"""Rows made from rules, in all layouts, by real Spark: none is lost, none is twice, and each says what it means."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from agent_deploy.tables.refresh import Target, refresh
from agent_deploy.tables.spark import SparkProcess
from tests.tables.cases import Case
from tests.tables.corpus import CASES
from tests.tables.payload import (
    LEGACY_METADATA,
    LEGACY_SCHEMA,
    LEGACY_TEXT_SCHEMA,
    append,
    by_id,
    derived,
    legacy_row,
    row,
    snapshot,
)
from tests.tables.rules import generated

EACH = 60  # rows of a rule
METADATA = {"endpoint_name": "agents_qa", "model_name": "main.rules.qa", "model_version": "3"}
ENTITIES = {"entity-1": {name: METADATA[name] for name in ("model_name", "model_version")}}


@pytest.fixture
def number() -> int:
    """What the rows are made from: the same in every run, so that a run that fails says something of its change.

    To look further: `AGENT_DEPLOY_ROWS_OF=7 pytest tests/tables/test_generated_rows.py`, with other numbers.
    """
    return int(os.environ.get("AGENT_DEPLOY_ROWS_OF") or 21)


def run(target: Target, spark: SparkProcess) -> dict[str, int]:
    return refresh(target.folder, target.payload, "agents_qa", ENTITIES, spark)


def ids(cases: list[Case]) -> dict[str, Case]:
    """A request id for each."""
    return {f"id-{number}": case for number, case in enumerate(cases)}


def check(target: Target, cases: dict[str, Case], metadata: dict[str, str]) -> None:
    """Nothing is lost, nothing is twice, and what is well formed says what its rule says."""
    requests, quarantined = by_id(target, "requests"), by_id(target, "quarantine")
    assert requests.keys().isdisjoint(quarantined)
    rating = cases.keys() - requests.keys() - quarantined.keys()
    # A row of which nothing was found is one of feedback that has rows of assessments, or it was lost.
    assert {key: cases[key] for key in rating if cases[key].place not in ("assessments", "anywhere")} == {}
    places = {"requests": requests.keys(), "quarantine": quarantined.keys(), "assessments": rating}
    assert len(cases) == sum(map(len, places.values()))
    astray = {key: case for key, case in cases.items() if case.place in places and key not in places[case.place]}
    assert astray == {}
    assert {key: case for key, case in cases.items() if case.place == "anywhere" and key in rating} == {}
    found = {**requests, **quarantined}
    wrong = [(case, got) for key, case in cases.items() if (got := _wrong(found.get(key, {}), case))]
    assert wrong == []
    assert all(got["request_raw"] == cases[key].request_text for key, got in found.items())
    assert all(got["response_raw"] == cases[key].response_text for key, got in found.items())
    assert all(dict(got["request_metadata"]) == metadata for got in found.values())
    rows, expected = derived(target, "assessments"), [each for case in cases.values() for each in case.assessed]
    assert len(rows) == sum(case.elements for case in cases.values())
    named = {each["request_id"] for each in expected}
    assert _assessed(each for each in rows if each["request_id"] in named) == _assessed(expected)


def _wrong(found: dict[str, Any], case: Case) -> dict[str, Any]:
    """What was found in columns of which the case says something else."""

    def read(name: str) -> Any:
        value = found.get(name)
        return json.loads(value) if name == "trace" and value is not None else value

    may_be_null = {name: read(name) for name in case.perhaps if read(name) not in (None, case.perhaps[name])}
    return may_be_null | {name: read(name) for name in case.expected if read(name) != case.expected[name]}


def _assessed(rows: Any) -> list[str]:
    """Rows of the assessment logs, to be compared."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):  # a map, as pyarrow reads it
            return {name: plain(inner) for name, inner in value}
        return {name: plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value

    told = [{name: plain(value) for name, value in found.items() if name != "timestamp"} for found in rows]
    return sorted(json.dumps(found, sort_keys=True) for found in told)


def test_whatever_is_logged_has_one_place_and_says_what_it_means(
    tmp_path: Path, spark: SparkProcess, number: int
) -> None:
    target = Target(tmp_path, "main.rules.qa_payload")
    cases = ids(generated(number, EACH))
    rows = [row(case, key, seconds) for seconds, (key, case) in enumerate(cases.items())]
    append(target, [*rows, *rows[::5]])
    run(target, spark)
    check(target, cases, METADATA)
    before = snapshot(target)
    append(target, rows[::2])  # delivered again, later
    assert run(target, spark) == {"requests": 0, "assessments": 0, "quarantine": 0}
    assert snapshot(target) == before


@pytest.mark.parametrize("schema", [LEGACY_SCHEMA, LEGACY_TEXT_SCHEMA], ids=["metadata is a map", "metadata is text"])
def test_the_legacy_layout(tmp_path: Path, spark: SparkProcess, number: int, schema: pa.Schema) -> None:
    target = Target(tmp_path, f"main.legacy{schema.types[-1].id}.my-agent_payload")
    # It has no column that says what was cut; its rows name endpoint and model themselves.
    logged = [case for case in generated(number, EACH) if not case.codes]
    fixed = [case for case in CASES if not case.codes and "request_metadata" not in case.expected]
    cases = ids([*logged, *fixed])
    append(target, [legacy_row(case, key, schema=schema) for key, case in cases.items()], schema)
    run(target, spark)
    found = by_id(target, "requests")[next(key for key, case in cases.items() if case.name == "chat completions")]
    assert (found["request"], found["response"], found["status_code"]) == ("What is Delta?", "A table format.", 200)
    assert (found["timestamp"].isoformat(), str(found["date"])) == ("2026-11-01T12:00:00+00:00", "2026-11-01")
    assert found["execution_time_ms"] == 12
    check(target, cases, LEGACY_METADATA)
