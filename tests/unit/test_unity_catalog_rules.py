"""Unity Catalog's rules of privileges, without a workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from agent_deploy.rules.unity_catalog import Requirement, Securable, effective, missing, requirements, visible

TABLE, SCHEMA, CATALOG = Securable("table", "c.s.t"), Securable("schema", "c.s"), Securable("catalog", "c")


class Facts:
    """Owners and grants, as a table."""

    def __init__(
        self, grants: dict[Securable, dict[str, set[str]]], owners: dict[Securable, str] | None = None
    ) -> None:
        self._grants, self._owners = grants, owners or {}

    def owner(self, securable: Securable) -> str:
        return self._owners.get(securable, "")

    def grants(self, securable: Securable) -> Mapping[str, Collection[str]]:
        return self._grants.get(securable, {})


def lacking(privilege: str, securable: Securable, facts: Facts, *names: str) -> list[str]:
    return [str(requirement) for requirement in missing(names, privilege, securable, facts)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("model", "A.B.C"), ("function", "a.b.c")),
        (("VIEW", "a.b.v"), ("table", "a.b.v")),
        (("catalog", "C"), ("catalog", "c")),
    ],
)
def test_securables_are_known_by_one_name(given: tuple[str, str], expected: tuple[str, str]) -> None:
    assert Securable.of(*given) == Securable(*expected)


def test_an_action_needs_the_parents_too() -> None:
    assert requirements("SELECT", TABLE) == (
        Requirement("USE_CATALOG", CATALOG),
        Requirement("USE_SCHEMA", SCHEMA),
        Requirement("SELECT", TABLE),
    )


def test_creating_in_a_schema_needs_its_use() -> None:
    assert requirements("CREATE_TABLE", SCHEMA) == (
        Requirement("USE_CATALOG", CATALOG),
        Requirement("USE_SCHEMA", SCHEMA),
        Requirement("CREATE_TABLE", SCHEMA),
    )


def test_all_that_is_missing_is_named_parents_first() -> None:
    assert lacking("SELECT", TABLE, Facts({}), "u") == [
        "USE CATALOG on Catalog 'c'",
        "USE SCHEMA on Schema 'c.s'",
        "SELECT on Table 'c.s.t'",
    ]


def test_grants_on_parents_are_inherited() -> None:
    facts = Facts({CATALOG: {"u": {"USE_CATALOG", "USE_SCHEMA"}, "g": {"SELECT"}}})
    assert lacking("SELECT", TABLE, facts, "u", "g") == []
    assert lacking("SELECT", TABLE, facts, "u") == ["SELECT on Table 'c.s.t'"]


def test_all_privileges_are_all_but_managing() -> None:
    facts = Facts({CATALOG: {"u": {"ALL_PRIVILEGES"}}})
    assert lacking("SELECT", TABLE, facts, "u") == []
    assert "EXTERNAL_USE_SCHEMA" not in effective(["u"], SCHEMA, facts)
    assert lacking("MANAGE", TABLE, facts, "u") == ["MANAGE on Table 'c.s.t'"]


def test_an_owner_has_all_but_still_needs_the_parents() -> None:
    facts = Facts({}, {TABLE: "u"})
    assert "SELECT" in effective(["u"], TABLE, facts)
    assert lacking("SELECT", TABLE, facts, "u") == ["USE CATALOG on Catalog 'c'", "USE SCHEMA on Schema 'c.s'"]


def test_a_parents_owner_manages_but_does_not_read() -> None:
    facts = Facts({}, {CATALOG: "u"})
    assert lacking("MANAGE", TABLE, facts, "u") == []
    assert lacking("BROWSE", TABLE, facts, "u") == []
    assert "SELECT on Table 'c.s.t'" in lacking("SELECT", TABLE, facts, "u")


def test_the_metastores_administrators_manage_everything() -> None:
    assert lacking("MANAGE", TABLE, Facts({}, {TABLE: "other"}), "admins") == []


def test_using_a_parent_does_not_show_what_is_in_it() -> None:
    facts = Facts({CATALOG: {"u": {"USE_CATALOG", "USE_SCHEMA"}}})
    assert visible(["u"], CATALOG, facts)
    assert visible(["u"], SCHEMA, facts)
    assert not visible(["u"], TABLE, facts)


def test_browse_shows_without_the_use_of_parents() -> None:
    facts = Facts({CATALOG: {"u": {"BROWSE"}}})
    assert visible(["u"], TABLE, facts)
    assert lacking("SELECT", TABLE, facts, "u")[0] == "USE CATALOG on Catalog 'c'"


def test_a_privilege_counts_only_where_it_applies() -> None:
    facts = Facts({SCHEMA: {"u": {"EXECUTE", "CREATE_TABLE"}}})
    assert effective(["u"], TABLE, facts) == frozenset()
    assert effective(["u"], Securable("function", "c.s.f"), facts) == {"EXECUTE"}
