"""What an MLmodel declares: read as MLflow writes it, told when it is wrong, never a stack trace."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules.declared_resources import combine, from_program, parse
from agent_deploy.rules.resource_kinds import (
    KINDS,
    Resource,
    WorkspaceObject,
    agent_access,
    agent_grants,
    agent_permissions,
    check_resources,
    without_passthrough,
)
from agent_deploy.rules.unity_catalog import Securable

pytestmark = pytest.mark.long

# Kinds that no model declares, since MLflow has no word for them.
OF_PROGRAMS = {"volume"}
WAREHOUSE = {"sql_warehouse": [{"name": "0123456789abcdef"}]}
KEYS = ["resources", "auth_policy", "system_auth_policy", "user_auth_policy", "api_scopes", "databricks"]
KEYS += ["api_version", "table", "function", "name", "on_behalf_of_user"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
LEVEL = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
NAMES = {
    True: st.tuples(LEVEL, LEVEL, LEVEL).map(".".join),
    False: LEVEL.map(lambda text: text.replace("_", "x")),
}
RESOURCES = st.lists(
    st.sampled_from(sorted(KINDS)).flatmap(
        lambda kind: st.builds(Resource, st.just(kind), NAMES["three" in KINDS[kind].syntax.expected], st.booleans())
    ),
    max_size=8,
)


def notation(resources: list[Resource]) -> dict[str, object]:
    found: dict[str, list[dict[str, object]]] = {}
    for resource in resources:
        entry: dict[str, object] = {"name": resource.name}
        if resource.on_behalf_of_user:
            entry["on_behalf_of_user"] = True
        found.setdefault(resource.kind, []).append(entry)
    return {"api_version": "1", "databricks": found}


@given(RESOURCES)
def test_whatever_mlflow_writes_is_read_back(resources: list[Resource]) -> None:
    for document in (
        {"resources": notation(resources)},
        {"auth_policy": {"system_auth_policy": {"resources": notation(resources)}}},
    ):
        declared = parse(document)
        assert set(declared.resources) == set(resources)
        assert not declared.problems
        assert not declared.unknown_kinds


@given(JSON)
def test_no_document_raises(document: object) -> None:
    declared = parse(document)
    assert all(str(problem) for problem in declared.problems)


def test_kinds_are_those_of_the_installed_mlflow() -> None:
    resources = pytest.importorskip("mlflow.models.resources")
    assert {kind.value for kind in resources.ResourceType} == set(KINDS) - OF_PROGRAMS


def test_documents_of_the_installed_mlflow_are_read() -> None:
    mlflow = pytest.importorskip("mlflow.models.resources")
    policy = pytest.importorskip("mlflow.models.auth_policy")
    names = {"sql_warehouse": "0123456789abcdef", "lakebase": "db-1", "app": "my-app", "uc_connection": "github"}
    made = []
    for cls in vars(mlflow).values():
        is_kind = inspect.isclass(cls) and issubclass(cls, mlflow.DatabricksResource)
        if is_kind and cls is not mlflow.DatabricksResource:
            argument = next(name for name in inspect.signature(cls).parameters if name != "on_behalf_of_user")
            kind = cls(**{argument: "x"}).type.value
            made.append(cls(**{argument: names.get(kind, "main.default.x")}))
    document = policy.AuthPolicy(
        system_auth_policy=policy.SystemAuthPolicy(made),
        user_auth_policy=policy.UserAuthPolicy(["sql", "serving.serving-endpoints"]),
    ).to_dict()
    declared = parse({"auth_policy": document})
    assert {resource.kind for resource in declared.resources} == set(KINDS) - OF_PROGRAMS
    assert declared.user_scopes == ("sql", "serving.serving-endpoints")


def test_kinds_of_a_newer_mlflow_are_told_by_name() -> None:
    databricks = {**WAREHOUSE, "teapot": [{"name": "x"}]}
    declared = parse({"resources": {"api_version": "1", "databricks": databricks, "elsewhere": {}}})
    assert declared.unknown_kinds == ("elsewhere (not on Databricks)", "teapot")
    assert [resource.kind for resource in declared.resources] == ["sql_warehouse"]


def test_a_newer_notation_is_refused_and_not_guessed() -> None:
    [problem] = parse({"resources": {"api_version": "2", "databricks": WAREHOUSE}}).problems
    assert problem.field == "resources.api_version"
    assert "resources=" in problem.remedy


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("table", "default.docs"),
        ("table", "main.default.do cs"),
        ("table", "main.default.`docs`"),
        ("function", "f"),
        ("vector_search_index", "a.b.c.d"),
        ("uc_connection", "a.b"),
        ("sql_warehouse", "/sql/1.0/warehouses/abc"),
        ("genie_space", ""),
        ("serving_endpoint", "-x"),
        ("app", "my_app"),
    ],
)
def test_malformed_names_name_the_field_and_the_form(kind: str, name: str) -> None:
    [problem] = check_resources("resources", [Resource(kind, name)])
    assert problem.field == "resources[0].name"
    assert KINDS[kind].title in problem.expected


def test_an_unknown_kind_in_the_program_lists_the_kinds() -> None:
    _, [problem] = from_program("resources", [{"kind": "tabel", "name": "main.default.x"}])
    assert problem.field == "resources[0].kind"
    assert "table" in problem.expected


def test_the_program_adds_or_replaces() -> None:
    model = [Resource("table", "main.default.a"), Resource("table", "main.default.b", True)]
    given_ = [Resource("table", "main.default.B"), Resource("app", "x")]
    assert combine(model, None, replace=True) == model
    assert combine(model, given_) == [model[0], given_[0], given_[1]]
    assert combine(model, given_, replace=True) == given_
    assert combine(model, [], replace=True) == []


@given(RESOURCES)
def test_the_agent_is_given_exactly_what_it_declares(resources: list[Resource]) -> None:
    grants, permissions = agent_grants(resources), agent_permissions(resources)
    for resource in resources:
        kind, own = KINDS[resource.kind], not resource.on_behalf_of_user
        if kind.securable and own:
            securable = Securable.of(kind.securable, resource.name)
            assert kind.agent in grants[securable]
            assert all(grants[parent] for parent in securable.parents)
        elif own:
            assert permissions[WorkspaceObject(kind.object_type, resource.name)] == kind.agent
    declared = {Securable.of(KINDS[r.kind].securable, r.name) for r in resources if KINDS[r.kind].securable}
    parents = {parent for securable in declared for parent in securable.parents}
    assert set(grants) <= declared | parents
    for securable, privileges in grants.items():
        if securable in parents:
            assert set(privileges) == {"USE_CATALOG" if securable.type == "catalog" else "USE_SCHEMA"}
    assert len(agent_access(resources)) == sum(map(len, grants.values())) + len(permissions)


def test_what_passthrough_does_not_support_is_told() -> None:
    resources = [Resource("table", "main.default.a"), Resource("app", "x"), Resource("app", "y", True)]
    assert without_passthrough(resources) == [Resource("app", "x")]
