"""A ServingEndpoint knows of which versions its entities were made: one that was registered anew is another version."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.provider.endpoint import waiting as endpoint_waiting
from agent_deploy.provider.endpoint.served_versions import RECORD
from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.plugin.resource import UNKNOWN, Change, Found, Kind, PartialFailure, Path, Values
from tests.provider.serving_api import ServingApi

MODEL = "main.default.qa"
ANEW = "version 1 of main.default.qa was deleted and registered anew since it was deployed"
RESOURCE = ServingEndpoint()


def inputs(version: Any = "1", **more: Any) -> Values:
    return {"name": "e", "servedEntities": {"qa": {"entityName": MODEL, "entityVersion": version, **more}}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_waiting, "FIRST_POLL", 0.001)
    monkeypatch.setattr(endpoint_waiting, "LAST_POLL", 0.005)


@pytest.fixture
def api() -> ServingApi:
    """Versions 1 and 2 are registered."""
    made = ServingApi()
    made.versions = {f"{MODEL}/1": "first", f"{MODEL}/2": "second"}
    return made


@pytest.fixture
def state(api: ServingApi) -> Values:
    """An endpoint with version 1, as the state has it."""
    made = RESOURCE.create(api.context(), inputs()).properties
    assert made[RECORD] == {"qa": "first"}
    api.calls.clear()
    return made


def diff(api: ServingApi, old: Values, wanted: Values) -> tuple[dict[Path, Change], list[str]]:
    context = api.context()
    return RESOURCE.diff(context, "e", inputs(), old, wanted).changes, context.told


def update(api: ServingApi, old: Values, wanted: Values) -> Values:
    return RESOURCE.update(api.context(), "e", inputs(), old, wanted)


def read(api: ServingApi, old: Values) -> Values:
    found = RESOURCE.read(api.context(), "e", inputs() if old else {}, old)
    assert isinstance(found, Found)
    return found.properties


def test_nothing_differs_as_long_as_the_version_is_the_same(api: ServingApi, state: Values) -> None:
    assert diff(api, state, inputs()) == ({}, [])
    assert read(api, state) == state
    assert update(api, state, inputs()) == state
    assert api.changes == []


def test_a_version_that_was_registered_anew_is_a_change_and_is_deployed(api: ServingApi, state: Values) -> None:
    api.versions[f"{MODEL}/1"] = "third"
    found, told = diff(api, state, inputs())
    assert found == {(RECORD, "qa"): Change(Kind.UPDATE, of_inputs=False)}
    assert [text for text in told if ANEW in text] == told != []
    previewed = RESOURCE.preview(api.context(), state, inputs())
    assert (previewed[RECORD], previewed["configVersion"]) == ({"qa": "third"}, UNKNOWN)
    # What is served is still the former one.
    refreshed = read(api, state)
    assert refreshed[RECORD] == {"qa": "first"}
    assert ANEW in refreshed["servedEntityStates"]["qa"]["message"]
    after = update(api, refreshed, inputs())
    assert api.changes == ["PUT /e/config"]
    assert (after[RECORD], after["servedEntityStates"]["qa"]["message"]) == ({"qa": "third"}, "")
    assert diff(api, after, inputs()) == ({}, [])


def test_a_failed_deployment_of_it_is_tried_again(api: ServingApi, state: Values) -> None:
    api.versions[f"{MODEL}/1"] = "third"
    api.failing = {"qa": "no such module"}
    with pytest.raises(PartialFailure) as raised:
        update(api, state, inputs())
    failed = raised.value.properties
    assert failed[RECORD] == {"qa": "first"}
    api.failing = {}
    assert update(api, failed, inputs())[RECORD] == {"qa": "third"}


def test_another_number_is_told_as_that_alone(api: ServingApi, state: Values) -> None:
    api.versions[f"{MODEL}/1"] = "third"
    found, told = diff(api, state, inputs("2"))
    assert (list(found), told) == ([("servedEntities", "qa", "entityVersion")], [])
    assert update(api, state, inputs("2"))[RECORD] == {"qa": "second"}


def test_a_state_of_before_shows_nothing_and_knows_from_the_next_change_on(api: ServingApi, state: Values) -> None:
    old = {name: value for name, value in state.items() if name != RECORD}
    api.versions[f"{MODEL}/1"] = "third"
    assert diff(api, old, inputs()) == ({}, [])
    assert read(api, old) == old
    assert update(api, old, inputs())[RECORD] == {"qa": "third"}
    assert api.changes == []


def test_what_nobody_tells_is_no_difference(api: ServingApi, state: Values) -> None:
    api.versions.clear()
    assert diff(api, state, inputs()) == ({}, [])
    assert read(api, state) == state
    assert update(api, state, inputs()) == state
    assert diff(api, state, inputs(UNKNOWN))[0].keys() == {("servedEntities", "qa", "entityVersion")}


def test_an_import_takes_the_versions_that_there_are(api: ServingApi, state: Values) -> None:
    assert read(api, {})[RECORD] == {"qa": "first"} == state[RECORD]


def test_who_changed_the_number_by_hand_made_of_another_version(api: ServingApi, state: Values) -> None:
    """Which, nobody has noted: the next update does."""
    api.endpoints["e"]["config"]["served_entities"][0]["entity_version"] = "2"
    refreshed = read(api, state)
    assert refreshed[RECORD] == {}
    assert update(api, refreshed, inputs("2"))[RECORD] == {"qa": "second"}
