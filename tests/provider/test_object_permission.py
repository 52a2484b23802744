"""ObjectPermission: one principal in, only that one out, whatever others do meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agent_deploy.provider.access import object_permission
from agent_deploy.provider.access.object_permission import ObjectPermission, Place
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, UserError
from tests.provider.permission_double import Double, Entry

WAREHOUSE = "sql/warehouses/abc"
BO = "bo@example.com"
INPUTS = {
    "objectType": "sql/warehouses",
    "objectId": "abc",
    "principalKind": "user",
    "principal": BO,
    "level": "CAN_USE",
}
OTHERS = {("owner@example.com", "IS_OWNER", False), ("team", "CAN_MONITOR", False), ("admins", "CAN_MANAGE", True)}


@pytest.fixture
def double() -> Double:
    double = Double()
    double.acl(
        WAREHOUSE,
        ("user", "owner@example.com", "IS_OWNER"),
        ("group", "team", "CAN_MONITOR"),
        ("group", "admins", "CAN_MANAGE", True),
    )
    return double


def give(double: Double, *entries: tuple[str, str, str]) -> None:
    double.acl(WAREHOUSE, *entries, *(_entry(*other) for other in OTHERS))


def _entry(name: str, level: str, inherited: bool) -> Entry:
    kind = "user" if "@" in name else "group"
    return (kind, name, level, True) if inherited else (kind, name, level)


def state(created: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    inputs = {name: created.properties[name] for name in INPUTS if name in created.properties}
    return created.id, inputs, created.properties


def test_it_comes_and_goes_and_others_stay(double: Double) -> None:
    resource = ObjectPermission()
    created = resource.create(double.context, dict(INPUTS))
    assert created.id == "sql/warehouses/abc/user/bo@example.com"
    assert created.properties["previousLevel"] == ""
    assert double.levels(WAREHOUSE) == OTHERS | {(BO, "CAN_USE", False)}
    assert double.writes() == [("PATCH", "/api/2.0/permissions/sql/warehouses/abc")]
    resource.delete(double.context, *state(created))
    assert double.levels(WAREHOUSE) == OTHERS


def test_an_endpoint_named_is_found_by_its_id(double: Double) -> None:
    double.answers["/api/2.0/serving-endpoints/llm"] = {"id": "e1"}
    double.acl("serving-endpoints/e1")
    inputs = {**INPUTS, "objectType": "serving-endpoints", "objectName": "llm", "level": "CAN_QUERY"}
    del inputs["objectId"]
    created = ObjectPermission().create(double.context, inputs)
    assert created.id == "serving-endpoints/e1/user/bo@example.com"
    assert created.properties["resolvedObjectId"] == "e1"


@pytest.mark.parametrize(("before", "after"), [("CAN_MANAGE", "CAN_MANAGE"), ("CAN_USE", "CAN_USE"), ("CAN_VIEW", "")])
def test_what_the_principal_had_is_never_lowered_and_comes_back(double: Double, before: str, after: str) -> None:
    give(double, ("user", BO, before))
    resource = ObjectPermission()
    created = resource.create(double.context, dict(INPUTS))
    assert created.properties["previousLevel"] == before
    assert (BO, after or "CAN_USE", False) in double.levels(WAREHOUSE)
    resource.delete(double.context, *state(created))
    assert double.levels(WAREHOUSE) == OTHERS | {(BO, before, False)}


def test_the_platforms_own_endpoint_is_everybodys_and_nothing_is_written(double: Double) -> None:
    double.answers["/api/2.0/serving-endpoints/databricks-llm"] = {"name": "databricks-llm"}
    inputs = {**INPUTS, "objectType": "serving-endpoints", "objectName": "databricks-llm", "level": "CAN_QUERY"}
    del inputs["objectId"]
    resource = ObjectPermission()
    created = resource.create(double.context, inputs)
    assert created.properties["resolvedObjectId"] == ""
    found = resource.read(double.context, created.id, inputs, created.properties)
    assert found is not None
    assert (found.inputs, found.properties) == (inputs, created.properties)
    resource.delete(double.context, created.id, inputs, created.properties)
    assert double.writes() == []
    # It became an endpoint with a list of its own: the entry is not there.
    double.answers["/api/2.0/serving-endpoints/databricks-llm"] = {"name": "databricks-llm", "id": "e1"}
    assert resource.read(double.context, created.id, inputs, created.properties) is None


def test_no_object_is_nothing_to_give_until_there_is_one(double: Double) -> None:
    resource, none = ObjectPermission(), {**INPUTS, "objectId": ""}
    assert resource.check(double.context, {}, none) == (none, [])
    created = resource.create(double.context, none)
    id, inputs, old = state(created)
    assert double.writes() == []
    found = resource.read(double.context, id, inputs, old)
    assert found is not None
    assert found.properties == old
    there = resource.update(double.context, id, inputs, old, dict(INPUTS))
    assert (BO, "CAN_USE", False) in double.levels(WAREHOUSE)
    gone = resource.update(double.context, id, dict(INPUTS), there, none)
    assert double.levels(WAREHOUSE) == OTHERS
    assert gone == old
    resource.delete(double.context, id, inputs, gone)


def test_a_level_changes_in_place_but_not_below_what_was_there(double: Double) -> None:
    give(double, ("user", BO, "CAN_USE"))
    resource = ObjectPermission()
    id, inputs, old = state(resource.create(double.context, {**INPUTS, "level": "CAN_MANAGE"}))
    assert (BO, "CAN_MANAGE", False) in double.levels(WAREHOUSE)
    resource.update(double.context, id, inputs, old, dict(INPUTS))
    assert double.levels(WAREHOUSE) == OTHERS | {(BO, "CAN_USE", False)}
    change = resource.diff(double.context, id, inputs, old, {**inputs, "level": "CAN_MONITOR"})
    assert not change.replaces


def test_a_platform_that_adds_levels_is_written_to_until_there_is_one(double: Double) -> None:
    double.patch_adds = True
    resource = ObjectPermission()
    id, inputs, old = state(resource.create(double.context, {**INPUTS, "level": "CAN_MANAGE"}))
    resource.update(double.context, id, inputs, old, dict(INPUTS))
    assert double.levels(WAREHOUSE) == OTHERS | {(BO, "CAN_USE", False)}


def test_drift_is_seen_and_inherited_levels_are_not_ours(double: Double) -> None:
    resource = ObjectPermission()
    id, inputs, old = state(resource.create(double.context, dict(INPUTS)))
    found = resource.read(double.context, id, inputs, old)
    assert found is not None
    assert (found.inputs, found.properties) == (inputs, old)
    give(double, ("user", BO, "CAN_MANAGE"))
    found = resource.read(double.context, id, inputs, old)
    assert found is not None
    assert found.inputs["level"] == "CAN_MANAGE"
    give(double)
    assert resource.read(double.context, id, inputs, old) is None
    double.acl(WAREHOUSE, ("user", BO, "CAN_USE", True))
    assert resource.read(double.context, id, inputs, old) is None
    del double.acls[WAREHOUSE]
    assert resource.read(double.context, id, inputs, old) is None


def test_a_higher_level_from_before_is_no_drift(double: Double) -> None:
    give(double, ("user", BO, "CAN_MANAGE"))
    resource = ObjectPermission()
    id, inputs, old = state(resource.create(double.context, dict(INPUTS)))
    found = resource.read(double.context, id, inputs, old)
    assert found is not None
    assert found.inputs == inputs


def test_it_is_imported_by_its_id(double: Double) -> None:
    give(double, ("user", BO, "CAN_USE"))
    found = ObjectPermission().read(double.context, "sql/warehouses/abc/user/bo@example.com", {}, {})
    assert found is not None
    assert found.inputs == INPUTS
    with pytest.raises(UserError, match="expected <object type>"):
        ObjectPermission().read(double.context, "warehouse/abc", {}, {})


def test_a_higher_level_that_somebody_gave_since_is_kept_and_told(double: Double) -> None:
    resource, lines = ObjectPermission(), []
    created = resource.create(double.context, dict(INPUTS))
    give(double, ("user", BO, "CAN_MANAGE"))
    context = Context(
        configuration=double.context.configuration, log=lambda severity, text, _: lines.append((severity, text))
    )
    resource.delete(context, *state(created))
    assert (BO, "CAN_MANAGE", False) in double.levels(WAREHOUSE)
    assert lines[0][0] == "warning"


def test_deleting_what_is_gone_is_no_error(double: Double) -> None:
    resource = ObjectPermission()
    created = resource.create(double.context, dict(INPUTS))
    give(double)
    resource.delete(double.context, *state(created))
    del double.acls[WAREHOUSE]
    resource.delete(double.context, *state(created))


def test_a_writer_who_brings_the_entry_back_is_followed_by_another_try(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = ObjectPermission()
    created = resource.create(double.context, dict(INPUTS))
    stale = [1, 1]

    def put_back() -> None:
        if stale:
            stale.pop()
            double.patch_adds = True
            # What another process wrote from what it had read before we began lands right after ours.
            original = double.acl

            def acl(path: str, *entries: Entry) -> None:
                monkeypatch.setattr(double, "acl", original)
                original(path, *entries, ("user", BO, "CAN_USE"))

            monkeypatch.setattr(double, "acl", acl)

    double.before_put = put_back
    resource.delete(double.context, *state(created))
    assert not stale
    assert double.levels(WAREHOUSE) == OTHERS


def test_many_at_once_lose_nobody(double: Double) -> None:
    resource = ObjectPermission()
    people = [f"p{number}@example.com" for number in range(12)]
    context = double.context
    with ThreadPoolExecutor(12) as pool:
        created = list(pool.map(lambda who: resource.create(context, {**INPUTS, "principal": who}), people))
        assert double.levels(WAREHOUSE) == OTHERS | {(who, "CAN_USE", False) for who in people}
        list(pool.map(lambda one: resource.delete(context, *state(one)), created[:6]))
    assert double.levels(WAREHOUSE) == OTHERS | {(who, "CAN_USE", False) for who in people[6:]}


@pytest.mark.parametrize(("moved", "place"), [({"principal": "cy@example.com"}, WAREHOUSE), ({"objectId": "b"}, "b")])
def test_another_place_is_taken_and_the_old_one_left(double: Double, moved: dict[str, Any], place: str) -> None:
    other = WAREHOUSE if place == WAREHOUSE else "sql/warehouses/b"
    double.acl("sql/warehouses/b")
    before = {path: double.levels(path) for path in (WAREHOUSE, "sql/warehouses/b")}
    resource = ObjectPermission()
    id, inputs, old = state(resource.create(double.context, dict(INPUTS)))
    after = {**inputs, **moved}
    for value in (after, {**inputs, **dict.fromkeys(moved, UNKNOWN)}):
        assert not resource.diff(double.context, id, inputs, old, value).replaces
    now = resource.update(double.context, id, inputs, old, after)
    assert double.levels(other) == before[other] | {(after["principal"], "CAN_USE", False)}
    assert other == WAREHOUSE or double.levels(WAREHOUSE) == before[WAREHOUSE]
    found = resource.read(double.context, id, after, now)
    assert found
    assert found.inputs == after
    resource.delete(double.context, id, after, now)
    assert {path: double.levels(path) for path in before} == before


def test_the_same_entry_named_in_another_way_stays(double: Double) -> None:
    double.answers["/api/2.0/serving-endpoints/llm"] = {"id": "e1"}
    double.acl("serving-endpoints/e1")
    resource = ObjectPermission()
    inputs = {**INPUTS, "objectType": "serving-endpoints", "objectId": "e1", "level": "CAN_QUERY"}
    created = resource.create(double.context, inputs)
    named = {**inputs, "objectName": "llm"}
    del named["objectId"]
    resource.update(double.context, created.id, inputs, created.properties, named)
    assert double.levels("serving-endpoints/e1") == {(BO, "CAN_QUERY", False)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"objectType": "warehouses"}, "objectType 'warehouses': expected one of"),
        ({"objectId": None}, "either objectId or objectName"),
        ({"objectName": "x"}, "either objectId or objectName"),
        ({"objectType": "jobs", "objectId": None, "objectName": "x", "level": "CAN_VIEW"}, "is not found by its name"),
        ({"principalKind": "robot"}, "principalKind 'robot'"),
        ({"principal": ""}, "principal ''"),
        ({"principalKind": "group", "principal": "admins"}, "admins manage every object"),
        ({"level": "CAN_QUERY"}, "CAN_USE"),
        ({"level": "IS_OWNER"}, "one owner"),
    ],
)
def test_bad_inputs_name_the_field(change: dict[str, Any], told: str) -> None:
    inputs = {name: value for name, value in {**INPUTS, **change}.items() if value is not None}
    _, failures = ObjectPermission().check(Context(), {}, inputs)
    assert told in " ".join(failure.reason for failure in failures)


def test_unknown_values_pass_the_check() -> None:
    unknown = {**INPUTS, "objectId": UNKNOWN, "principal": UNKNOWN}
    assert ObjectPermission().check(Context(), {}, unknown)[1] == []
    assert ObjectPermission().check(Context(), {}, dict.fromkeys(INPUTS, UNKNOWN))[1] == []


def test_refusals_say_what_to_do(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_permission, "PROPAGATION_PAUSES", (0.0,))
    with pytest.raises(UserError, match="There is no user 'ghost' to give CAN_USE on SQL warehouse abc"):
        ObjectPermission().create(double.context, {**INPUTS, "principal": "ghost"})
    with pytest.raises(UserError, match="SQL warehouse nowhere does not exist"):
        ObjectPermission().create(double.context, {**INPUTS, "objectId": "nowhere"})
    double.answers["/api/2.0/permissions/sql/warehouses/closed"] = 403
    with pytest.raises(UserError, match="the deployer needs CAN_MANAGE there"):
        ObjectPermission().create(double.context, {**INPUTS, "objectId": "closed"})
    named = {**INPUTS, "objectType": "serving-endpoints", "objectName": "none", "level": "CAN_QUERY"}
    del named["objectId"]
    with pytest.raises(UserError, match="Serving endpoint 'none' does not exist"):
        ObjectPermission().create(double.context, named)


@pytest.mark.parametrize("place", [Place("sql/warehouses", "abc", "group", "a/b c"), Place("genie", "01", "user", BO)])
def test_ids_are_read_back(place: Place) -> None:
    assert Place.parse(str(place)) == place
