"""From what is known of each object to the list of what is missing, with the way to mend it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules import findings
from agent_deploy.rules.requirements import SECRET_SCOPE, WORKSPACE, Need, Requirements, needs
from agent_deploy.rules.resource_kinds import KINDS, Resource, Target, WorkspaceObject, agent_grants, target
from agent_deploy.rules.unity_catalog import Securable
from agent_deploy.rules.verification import (
    Held,
    Outcome,
    Presence,
    Principal,
    in_workspace,
    open_to_all,
    path_of,
    satisfied,
    verdict,
)

ANN = Principal("ann@example.com", "user", frozenset({"ann@example.com", "users", "account users"}))
NOTHING = Requirements()
FOUND = Presence.FOUND
TABLE = Resource("table", "main.default.docs")
CATALOG, SCHEMA = Securable("catalog", "main"), Securable("schema", "main.default")
EXAMPLES = {
    "sql_warehouse": "abc",
    "serving_endpoint": "llm",
    "genie_space": "01ef",
    "lakebase": "db",
    "app": "my-app",
    "uc_connection": "github",
}


def example(kind: str) -> Resource:
    return Resource(kind, EXAMPLES.get(kind, f"main.default.{kind}"))


def full(wanted: list[Need]) -> dict[Target, Held]:
    """Facts by which everything is allowed."""
    facts: dict[Target, Held] = {}
    for need in wanted:
        held = facts.get(need.access.target, Held(FOUND)).privileges
        facts[need.access.target] = Held(FOUND, held | {need.access.privilege})
    return facts


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_without_the_privilege_it_is_named_with_its_object_and_the_way_out(kind: str) -> None:
    resource = example(kind)
    wanted = needs([resource], NOTHING)
    facts = {**full(wanted), target(resource): Held(FOUND)}
    [failure] = verdict(wanted, facts, ANN).failures
    privilege = KINDS[kind].deployer
    assert failure.object == f"{KINDS[kind].title} {resource.name}"
    assert failure.kind == kind
    assert failure.privilege.replace(" ", "_") == privilege
    assert failure.principal == ANN.name
    if KINDS[kind].securable:
        assert "GRANT " + failure.privilege + " ON " in failure.remedy
        assert failure.remedy.endswith("TO `ann@example.com`")
    else:
        path = f"/api/2.0/permissions/{KINDS[kind].object_type}/{resource.name}"
        assert path in failure.remedy
        assert f'{{"user_name": "ann@example.com", "permission_level": "{privilege}"}}' in failure.remedy


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_with_the_privilege_nothing_fails(kind: str) -> None:
    wanted = needs([example(kind)], NOTHING)
    found = verdict(wanted, full(wanted), ANN)
    assert not found.failures
    assert bool(found.unverified) == bool(KINDS[kind].beyond)


def test_unity_catalog_resources_need_their_parents_too() -> None:
    wanted = needs([TABLE, Resource("function", "main.default.f")], NOTHING)
    assert [(str(need.access.target), need.access.privilege) for need in wanted] == [
        ("Catalog 'main'", "USE_CATALOG"),
        ("Schema 'main.default'", "USE_SCHEMA"),
        ("Table 'main.default.docs'", "SELECT"),
        ("Routine or Model 'main.default.f'", "EXECUTE"),
    ]


def test_all_failures_come_at_once() -> None:
    resources = [example(kind) for kind in KINDS]
    requirements = Requirements(
        model_name="main.default.agent",
        endpoint_name="agents_x",
        inference_schema="logs.raw",
        secret_scopes=("scope",),
        create_service_principal=True,
    )
    wanted = needs(resources, requirements)
    facts = {need.access.target: Held(FOUND) for need in wanted}
    found = verdict(wanted, facts, ANN)
    assert len(found.failures) == len(wanted) == len(found.checks)
    assert {check.outcome for check in found.checks} == {Outcome.NO}


def test_what_does_not_exist_is_told_apart_from_what_may_not_be_seen() -> None:
    wanted = needs([TABLE], NOTHING)
    facts = {**full(wanted), target(TABLE): Held(Presence.MISSING)}
    [failure] = verdict(wanted, facts, ANN).failures
    assert failure.reason == "it does not exist"
    assert "GRANT" not in failure.remedy
    facts[target(TABLE)] = Held(Presence.HIDDEN)
    [failure] = verdict(wanted, facts, ANN).failures
    assert "may not see it" in failure.reason
    assert "GRANT SELECT ON TABLE `main`.`default`.`docs`" in failure.remedy


def test_what_is_missing_is_told_once_however_much_is_wanted_of_it() -> None:
    requirements = Requirements(grant=True)
    wanted = needs([TABLE], requirements)
    facts = {**full(wanted), target(TABLE): Held(Presence.MISSING)}
    found = verdict(wanted, facts, ANN)
    assert [failure.object for failure in found.failures] == ["Table main.default.docs"]
    assert [check.outcome for check in found.checks].count(Outcome.NO) == 2


def test_a_missing_catalog_is_told_once_for_each_resource_in_it() -> None:
    wanted = needs([TABLE], NOTHING)
    facts = {need.access.target: Held(Presence.MISSING) for need in wanted}
    [failure] = verdict(wanted, facts, ANN).failures
    assert failure.reason == "Catalog 'main' does not exist"


def test_a_closed_catalog_is_named_as_the_reason_for_what_it_hides() -> None:
    wanted = needs([TABLE], NOTHING)
    facts = {need.access.target: Held(Presence.HIDDEN) for need in wanted}
    failures = verdict(wanted, facts, ANN).failures
    assert [failure.privilege for failure in failures] == ["USE CATALOG", "USE SCHEMA", "SELECT"]
    assert "while Catalog 'main' is closed" in failures[2].reason


def test_what_cannot_be_read_is_neither_allowed_nor_a_failure() -> None:
    wanted = needs([Resource("sql_warehouse", "abc")], NOTHING)
    facts: dict[Target, Held] = {WorkspaceObject("sql/warehouses", "abc"): Held(Presence.UNREADABLE)}
    found = verdict(wanted, facts, ANN)
    assert not found.failures
    assert "cannot be read" in found.unverified[0].reason


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        (Held(FOUND, frozenset({"SELECT"})), True),
        (Held(FOUND, frozenset({"ALL_PRIVILEGES"})), True),
        (Held(FOUND, owns=True), True),
        (Held(FOUND, frozenset({"MANAGE"})), False),
        (Held(FOUND, owns_parent=True), False),
        (Held(FOUND, frozenset({"MODIFY", "BROWSE"})), False),
    ],
)
def test_ways_to_have_a_privilege_on_a_securable(held: Held, allowed: bool) -> None:
    assert satisfied(Securable("table", "main.default.docs"), "SELECT", held) is allowed


def test_all_privileges_does_not_include_manage() -> None:
    table = Securable("table", "main.default.docs")
    assert not satisfied(table, "MANAGE", Held(FOUND, frozenset({"ALL_PRIVILEGES"})))
    assert satisfied(table, "MANAGE", Held(FOUND, owns_parent=True))


def test_a_higher_level_includes_a_lower_one_but_seeing_is_not_using() -> None:
    warehouse = WorkspaceObject("sql/warehouses", "abc")
    assert satisfied(warehouse, "CAN_USE", Held(FOUND, frozenset({"CAN_MONITOR"})))
    assert not satisfied(warehouse, "CAN_USE", Held(FOUND, frozenset({"CAN_VIEW"})))


def test_what_is_yet_to_be_created_need_not_be_there() -> None:
    requirements = Requirements(endpoint_name="agents_x", secret_scopes=("agents_x",))
    wanted = needs([], requirements)
    missing = {need.access.target: Held(Presence.MISSING) for need in wanted} | {WORKSPACE: in_workspace(ANN)}
    assert not verdict(wanted, missing, ANN).failures
    taken: dict[Target, Held] = {need.access.target: Held(FOUND) for need in wanted}
    taken[WORKSPACE] = in_workspace(ANN)
    failures = verdict(wanted, taken, ANN).failures
    assert [failure.kind for failure in failures] == ["serving_endpoint", "secret_scope"]
    assert "belong to somebody else" in failures[1].remedy
    assert satisfied(WorkspaceObject(SECRET_SCOPE, "x"), "READ", Held(FOUND, frozenset({"WRITE"})))


def test_only_admins_create_service_principals() -> None:
    requirements = Requirements(create_service_principal=True)
    wanted = needs([], requirements)
    [failure] = verdict(wanted, {WORKSPACE: in_workspace(ANN)}, ANN).failures
    assert failure.privilege == "workspace admin"
    admin = Principal("bo@example.com", "user", frozenset({"bo@example.com", "admins"}))
    assert not verdict(wanted, {WORKSPACE: in_workspace(admin)}, admin).failures


def test_endpoints_need_the_entitlement_when_the_workspace_tells_of_entitlements() -> None:
    requirements = Requirements(endpoint_name="agents_x")
    wanted = needs([], requirements)
    facts = {need.access.target: Held(Presence.MISSING) for need in wanted}
    without = Principal("ann@example.com", "user", ANN.identities, entitlements=frozenset())
    [failure] = verdict(wanted, {**facts, WORKSPACE: in_workspace(without)}, without).failures
    assert failure.privilege == "workspace-access"
    assert not verdict(wanted, {**facts, WORKSPACE: in_workspace(ANN)}, ANN).failures


def test_whoever_gives_privileges_manages_the_objects() -> None:
    requirements = Requirements(grant=True)
    wanted = needs([TABLE, example("sql_warehouse")], requirements)
    manage = {(str(need.access.target), need.access.privilege) for need in wanted if "MANAGE" in need.access.privilege}
    assert manage == {
        ("Catalog 'main'", "MANAGE"),
        ("Schema 'main.default'", "MANAGE"),
        ("Table 'main.default.docs'", "MANAGE"),
        ("SQL warehouse 'abc'", "CAN_MANAGE"),
    }


def test_what_everybody_has_need_not_be_managed() -> None:
    wanted = needs([TABLE], Requirements(grant=True))
    facts = full(needs([TABLE], NOTHING))
    for opened_up, expected in ((frozenset[str](), 3), (frozenset({"USE_CATALOG"}), 2)):
        facts[CATALOG] = Held(FOUND, frozenset({"USE_CATALOG"}), open_to_all=opened_up)
        assert len(verdict(wanted, facts, ANN).failures) == expected
    opened = {("catalog", "main", "USE_CATALOG")}
    assert CATALOG not in agent_grants([TABLE], opened)
    assert SCHEMA in agent_grants([TABLE], opened)


def test_what_everybody_has_is_told() -> None:
    wanted = needs([TABLE], NOTHING)
    facts = full(wanted)
    facts[CATALOG] = Held(FOUND, frozenset({"USE_CATALOG"}), open_to_all=frozenset({"USE_CATALOG"}))
    assert [(each.target, each.privilege) for each in open_to_all(wanted, facts)] == [(CATALOG, "USE_CATALOG")]


def test_on_behalf_of_the_user_nothing_is_needed() -> None:
    assert not needs([Resource("table", "main.default.docs", True)], Requirements(grant=True))


HELD = st.builds(
    Held,
    st.sampled_from(Presence),
    st.frozensets(st.sampled_from(["SELECT", "EXECUTE", "USE_CATALOG", "USE_SCHEMA", "ALL_PRIVILEGES", "CAN_USE"])),
    st.booleans(),
    st.booleans(),
)


NAMES = ["main.default.a", "main.default.b", "main.other.a", "logs.default.a"]
TABLES = [Resource(kind, name) for kind in ("table", "function") for name in NAMES]
DEPLOYMENTS = st.builds(
    Requirements,
    grant=st.booleans(),
    model_name=st.none() | st.sampled_from(NAMES),
    inference_schema=st.none() | st.sampled_from(["main.default", "logs.default"]),
    feedback_schema=st.none() | st.just("main.default"),
    readers=st.sampled_from([(), ("users",), ("users", "team")]),
    run_as=st.none() | st.just("bo@example.com"),
)


@given(st.lists(st.sampled_from(TABLES), unique=True), DEPLOYMENTS, st.data())
def test_a_node_that_is_missing_gives_one_finding_for_all_beneath_it(
    resources: list[Resource], deployment: Requirements, data: st.DataObject
) -> None:
    wanted = needs(resources, deployment)
    targets = list(dict.fromkeys(need.access.target for need in wanted))
    facts = {each: data.draw(HELD) for each in targets}
    found = verdict(wanted, facts, ANN)
    gone = {next((e for e in path_of(each) if facts[e].presence is Presence.MISSING), None) for each in targets}
    told = [failure.at for failure in found.failures if failure.rule is findings.MISSING]
    assert sorted(told, key=str) == sorted(gone - {None}, key=str)
    for failure in (*found.failures, *found.unverified):
        if failure.rule is not findings.MISSING:
            assert not gone & set(path_of(failure.at))


@given(st.lists(st.sampled_from(sorted(KINDS)), unique=True), st.data())
def test_a_deployment_passes_exactly_when_every_need_is_met(kinds: list[str], data: st.DataObject) -> None:
    wanted = needs([example(kind) for kind in kinds], NOTHING)
    assert len({need.access for need in wanted}) == len(wanted)
    facts = {each: data.draw(HELD) for each in dict.fromkeys(need.access.target for need in wanted)}
    found = verdict(wanted, facts, ANN)
    assert len(found.checks) == len(wanted)
    for need, check in zip(wanted, found.checks, strict=True):
        held = facts[need.access.target]
        is_gone = any(facts[each].presence is Presence.MISSING for each in path_of(need.access.target))
        met = not is_gone and satisfied(need.access.target, need.access.privilege, held)
        if check.outcome is Outcome.YES:
            assert met
        elif check.outcome is Outcome.NO:
            assert not met
            assert found.failures
