"""Runs of the derivation: killed at any moment, begun again, at the same time; rows made from rules."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent_deploy.tables.refresh import RefreshFailed, Target, refresh
from agent_deploy.tables.spark import SparkFailed, SparkProcess
from tests.tables.cases import ASKED, Case, Raw, feedback
from tests.tables.corpus import CASES, POSITIVE
from tests.tables.payload import append, by_id, derived, row

DEADLINE_SECONDS = 240.0
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROLES = st.sampled_from(["user", "assistant", "system", "tool"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": TEXT | st.none() | JSON}), max_size=4)
BODIES = st.one_of(
    st.fixed_dictionaries({"messages": MESSAGES | JSON}),
    st.fixed_dictionaries({"input": MESSAGES | TEXT | JSON, "context": JSON}),
    st.fixed_dictionaries({"dataframe_records": st.lists(st.fixed_dictionaries({"query": TEXT | JSON}), max_size=2)}),
    st.fixed_dictionaries(
        {
            "dataframe_split": st.fixed_dictionaries(
                {"columns": st.lists(TEXT, max_size=3) | JSON, "data": st.lists(st.lists(JSON, max_size=3), max_size=2)}
            )
        }
    ),
    st.fixed_dictionaries({"inputs": JSON}),
    st.dictionaries(TEXT, JSON, max_size=3),
    TEXT,
    st.lists(JSON, max_size=3),
)
ANSWERS = st.one_of(
    st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": JSON}), max_size=2) | JSON}),
    st.fixed_dictionaries({"messages": MESSAGES | JSON, "databricks_output": JSON}),
    st.fixed_dictionaries({"output": MESSAGES | JSON}),
    st.fixed_dictionaries({"predictions": JSON}),
    st.lists(st.fixed_dictionaries({"delta": JSON, "type": TEXT}), max_size=3),
)
STREAMS = st.lists(st.fixed_dictionaries({"delta": JSON, "choices": JSON}), min_size=1, max_size=3).map(
    lambda chunks: Raw("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks))
)


def _feedback(assessments: Any) -> dict[str, Any]:
    return feedback(text_assessments=assessments)


RATED = st.lists(st.just(POSITIVE), min_size=1, max_size=2)
# Whatever comes, a row has one place; where the rules can tell which, they do.
GENERATED = st.one_of(
    st.builds(Case, st.just("generated"), BODIES, ANSWERS | STREAMS, status=st.sampled_from([200, 400, 500, None])),
    st.builds(Case, st.just("broken"), TEXT.map(lambda text: Raw("{" + text)), place=st.just("quarantine")),
    st.builds(Case, st.just("cut"), TEXT.map(lambda t: Raw("{" + t)), codes=st.just(("MAX_REQUEST_SIZE_EXCEEDED",))),
    st.builds(Case, st.just("refused"), BODIES, TEXT.map(Raw), status=st.just(503)),
    st.builds(
        Case,
        st.just("feedback"),
        st.lists(st.just(POSITIVE), min_size=1, max_size=2).map(_feedback),
        place=st.just("assessments"),
    ),
)


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        pause.wait(0.02)


def _corpus(folder: Path, name: str) -> Target:
    target = Target(folder, f"main.{name}.qa_payload")
    append(target, [row(case, f"id-{number}", number) for number, case in enumerate(CASES)])
    return target


def _killed_when(target: Target, happened: Callable[[], bool]) -> None:
    """Runs a refresh, and kills Python and JVM at once when it has happened."""
    process = SparkProcess(cores="2", memory="1g")
    failures: list[Exception] = []

    def run() -> None:
        try:
            refresh(target.folder, target.payload, "agents_qa", {}, process)
        except SparkFailed as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        _wait_until(lambda: happened() or not thread.is_alive())
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        thread.join(DEADLINE_SECONDS)
        process.close()
    assert failures, "the run ended before it was killed"


def _rows_of_a_table(target: Target) -> bool:
    return any(log.read_text().count('"add"') for log in target.path().parent.glob("qa_payload_*/_delta_log/*.json"))


def _a_commit(target: Target) -> bool:
    return any(target.storage.glob("storage/_checkpoints/**/commits/0"))


@pytest.mark.parametrize("happened", [_rows_of_a_table, _a_commit])
def test_killed_and_run_again_it_ends_the_same(
    tmp_path: Path, spark: SparkProcess, happened: Callable[[Target], bool]
) -> None:
    target = _corpus(tmp_path, f"killed{happened.__name__}")
    _killed_when(target, lambda: happened(target))
    refresh(target.folder, target.payload, "agents_qa", {}, spark)
    places = {key: sum(case.place == key for case in CASES) for key in ("requests", "quarantine")}
    assert {key: len(by_id(target, key)) for key in places} == places
    assert len(derived(target, "assessments")) == sum(case.elements for case in CASES)


@settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(cases=st.lists(GENERATED, min_size=250, max_size=250))
def test_whatever_is_logged_has_one_place(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkProcess, cases: list[Case]
) -> None:
    target = Target(tmp_path_factory.mktemp("rules"), f"main.rules{time.time_ns()}.qa_payload")
    rows = [row(case, f"id-{number}", number) for number, case in enumerate(cases)]
    append(target, [*rows, *rows[::5]])
    refresh(target.folder, target.payload, "agents_qa", {}, spark)
    requests, quarantined = by_id(target, "requests"), by_id(target, "quarantine")
    rating = {f"id-{number}" for number, case in enumerate(cases) if case.place == "assessments"}
    assert requests.keys().isdisjoint(quarantined)
    assert requests.keys() | quarantined.keys() | rating == {found["databricks_request_id"] for found in rows}
    assert rating.isdisjoint(requests.keys() | quarantined.keys())
    for number, case in enumerate(cases):
        if case.name != "generated" and case.place != "assessments":
            assert f"id-{number}" in (requests if case.place == "requests" else quarantined), (case, number)
        if case.name == "generated" and case.status == 200:
            assert f"id-{number}" in requests, case
    assert all(found["request_raw"] == rows[int(key[3:])]["request"] for key, found in requests.items())


def test_a_table_that_was_deleted_is_derived_again(tmp_path: Path, spark: SparkProcess) -> None:
    target = Target(tmp_path, "main.deleted.qa_payload")
    append(target, [row(Case("one", ASKED), "one"), row(Case("two", Raw("{")), "two")])
    refresh(tmp_path, target.payload, "agents_qa", {}, spark)
    shutil.rmtree(target.path("requests"))
    assert refresh(tmp_path, target.payload, "agents_qa", {}, spark) == {
        "requests": 1,
        "assessments": 0,
        "quarantine": 0,
    }
    shutil.rmtree(target.storage)
    with pytest.raises(RefreshFailed, match="--start-over"):
        refresh(tmp_path, target.payload, "agents_qa", {}, spark)
    refresh(tmp_path, target.payload, "agents_qa", {}, spark, start_over=True)
    assert {key: len(derived(target, key)) for key in ("requests", "quarantine")} == {"requests": 1, "quarantine": 1}


def test_two_at_the_same_time_are_refused(tmp_path: Path) -> None:
    import fcntl

    target = Target(tmp_path, "main.twice.qa_payload")
    append(target, [row(Case("one", ASKED), "one")])
    target.storage.mkdir(parents=True)
    with (target.storage / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RefreshFailed, match="Another refresh"):
            refresh(tmp_path, target.payload, "agents_qa")


def test_without_a_payload_table(tmp_path: Path) -> None:
    with pytest.raises(RefreshFailed, match="inference tables enabled"):
        refresh(tmp_path, "main.none.qa_payload", "agents_qa")
