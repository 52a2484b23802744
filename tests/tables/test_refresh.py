"""Runs of the derivation: killed at any moment, begun again, at the same time."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from agent_deploy.tables import refresh as refreshing
from agent_deploy.tables.reading import read
from agent_deploy.tables.refresh import RefreshFailed, Target, refresh
from agent_deploy.tables.spark import SparkFailed, SparkProcess
from tests.tables.cases import ASKED, Case, Raw
from tests.tables.corpus import CASES
from tests.tables.payload import append, by_id, derived, row

DEADLINE_SECONDS = 240.0


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


@pytest.mark.parametrize("name", ["my tables", "a, b", "100% ü #"])
def test_the_folder_may_have_any_name(tmp_path: Path, spark: SparkProcess, name: str) -> None:
    target = Target(tmp_path / name, "main.named.qa_payload")
    for id in ("one", "two", "three"):
        append(target, [row(Case(id, ASKED), id), row(Case(f"bad {id}", Raw("{")), f"bad {id}")])
        assert refresh(target.folder, target.payload, "agents_qa", {}, spark)["requests"] == 1
    assert {key: len(by_id(target, key)) for key in ("requests", "quarantine")} == {"requests": 3, "quarantine": 3}
    assert any(target.storage.glob("storage/_checkpoints/**/commits/0"))


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


def test_a_table_of_served_entities_tells_model_and_version(
    tmp_path: Path, spark: SparkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(tmp_path, "main.entities.qa_payload")
    # As system.serving.served_entities: a row for each configuration of an entity.
    configurations = {"served_entity_id": ["known"] * 2, "entity_name": ["m.s.qa"] * 2, "entity_version": ["7"] * 2}
    write_deltalake(tmp_path / "entities", pa.table({**configurations, "endpoint_config_version": [1, 2]}))
    plain = refreshing.configuration
    named = {"served_entities_table": f"delta.`{tmp_path / 'entities'}`"}
    monkeypatch.setattr(refreshing, "configuration", lambda *args, **more: plain(*args, **{**more, **named}))
    entities = {"one": "known", "two": "unknown", "three": None}
    append(target, [{**row(Case(id, ASKED), id), "served_entity_id": entity} for id, entity in entities.items()])
    assert refresh(tmp_path, target.payload, "agents_qa", {}, spark)["requests"] == 3
    found = {id: dict(logged["request_metadata"]) for id, logged in by_id(target, "requests").items()}
    endpoint = {"endpoint_name": "agents_qa"}
    known = {**endpoint, "model_name": "m.s.qa", "model_version": "7"}
    assert found == {"one": known, "two": endpoint, "three": endpoint}


def test_a_payload_table_that_was_made_anew_is_told_with_the_way_out(tmp_path: Path, spark: SparkProcess) -> None:
    target = Target(tmp_path, "main.anew.qa_payload")
    append(target, [row(Case("old", ASKED), "old"), row(Case("older", ASKED), "older")])
    refresh(tmp_path, target.payload, "agents_qa", {}, spark)
    shutil.rmtree(target.path())
    append(target, [row(Case("new", ASKED), "new")])
    with pytest.raises(RefreshFailed, match=r"made anew .*agent-deploy tables refresh agents_qa --start-over"):
        refresh(tmp_path, target.payload, "agents_qa", {}, spark)
    assert set(by_id(target, "requests")) == {"old", "older"}
    refresh(tmp_path, target.payload, "agents_qa", {}, spark, start_over=True)
    assert set(by_id(target, "requests")) == {"new"}
    append(target, [row(Case("newer", ASKED), "newer")])
    assert refresh(tmp_path, target.payload, "agents_qa", {}, spark)["requests"] == 1


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


def test_a_table_that_is_being_made_anew_is_told_to_whoever_reads_it(tmp_path: Path) -> None:
    target = Target(tmp_path, "main.remade.qa_payload")
    append(target, [row(Case("one", ASKED), "one")])
    append(target, [row(Case("two", ASKED), "two")])
    next(target.path().glob("_delta_log/*0.json")).unlink()
    with pytest.raises(RefreshFailed, match=r"main\.remade\.qa_payload cannot be read \(.*try again"):
        read(target, "payload")
