"""What is asked about permissions, over HTTP: each way to have one, once per object, told and never thrown."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

from agent_deploy.client.configuration import Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context
from tests.provider.checked import checked
from tests.provider.permission_double import ANN, CATALOG, SCIM, Double

TABLE = {"kind": "table", "name": "main.default.docs"}


@pytest.fixture
def double() -> Double:
    double = Double()
    double.grant("catalog/main", **{"account users": "USE_CATALOG"})
    double.grant("schema/main.default", team="USE_SCHEMA")
    double.grant("table/main.default.docs")
    return double


def check(double: Double, *resources: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return checked(double.context, resources, **arguments)


@pytest.mark.parametrize(
    "grant",
    [
        {"ann_at_example.com": "SELECT"},
        {"team": "SELECT"},
        {"users": "SELECT"},
        {"account users": "SELECT"},
        {"TEAM": "BROWSE ALL_PRIVILEGES"},
        {"owner": "ann@example.com"},
        {"owner": "team"},
    ],
)
def test_each_way_to_hold_a_privilege_counts(double: Double, grant: dict[str, str]) -> None:
    double.grant("table/main.default.docs", **grant)
    result = check(double, TABLE)
    assert result["failures"] == []
    assert result["problem"] == ""
    assert result["principal"] == ANN


@pytest.mark.parametrize("grant", [{}, {"others": "SELECT"}, {"team": "MODIFY"}, {"owner": "others"}])
def test_anything_else_does_not(double: Double, grant: dict[str, str]) -> None:
    double.grant("table/main.default.docs", **grant)
    [failure] = check(double, TABLE)["failures"]
    assert failure == {
        "id": "AGV002",
        "object": "Table main.default.docs",
        "kind": "table",
        "privilege": "SELECT",
        "principal": ANN,
        "reason": f"{ANN} lacks SELECT",
        "remedy": "Its owner can mend it: GRANT SELECT ON TABLE `main`.`default`.`docs` TO `ann@example.com`",
    }


def test_what_everybody_has_is_reported(double: Double) -> None:
    opened = check(double, TABLE)["openToAll"]
    assert opened == [{"securableType": "catalog", "name": "main", "privilege": "USE_CATALOG"}]


def test_missing_and_hidden_are_told_apart(double: Double) -> None:
    double.hide("table/main.default.docs")
    [hidden] = check(double, TABLE)["failures"]
    [missing] = check(double, {"kind": "table", "name": "main.default.nothing"})["failures"]
    assert "may not see it" in hidden["reason"]
    assert missing["reason"] == "it does not exist"


def test_who_may_not_see_all_grants_is_asked_about_by_name(double: Double) -> None:
    def own_only(request: httpx.Request) -> Any:
        if request.url.params.get("principal") != ANN:
            return 403
        return {"privilege_assignments": [{"principal": ANN, "privileges": [{"privilege": "SELECT"}]}]}

    double.answers[f"{CATALOG}/effective-permissions/table/main.default.docs"] = own_only
    assert check(double, TABLE)["failures"] == []


def test_all_pages_of_grants_are_read(double: Double) -> None:
    def paged(request: httpx.Request) -> Any:
        if request.url.params.get("page_token") != "2":
            return {"next_page_token": "2"}
        return {"privilege_assignments": [{"principal": "team", "privileges": [{"privilege": "SELECT"}]}]}

    double.answers[f"{CATALOG}/effective-permissions/table/main.default.docs"] = paged
    assert check(double, TABLE)["failures"] == []


@pytest.mark.parametrize(
    ("entry", "passes"),
    [
        (("user", ANN, "CAN_USE"), True),
        (("group", "team", "CAN_MONITOR"), True),
        (("group", "users", "CAN_USE", True), True),
        (("user", ANN, "CAN_VIEW"), False),
        (("group", "others", "CAN_MANAGE"), False),
    ],
)
def test_levels_of_objects_by_group_inherited_and_included(double: Double, entry: Any, passes: bool) -> None:
    double.acl("sql/warehouses/abc", entry)
    result = check(double, {"kind": "sql_warehouse", "name": "abc"})
    assert (result["failures"] == []) is passes


def test_an_endpoint_is_asked_about_by_its_id(double: Double) -> None:
    double.answers["/api/2.0/serving-endpoints/llm"] = {"name": "llm", "id": "e1", "permission_level": "CAN_VIEW"}
    double.acl("serving-endpoints/e1", ("group", "team", "CAN_VIEW"))
    [failure] = check(double, {"kind": "serving_endpoint", "name": "llm"})["failures"]
    assert "/api/2.0/permissions/serving-endpoints/e1" in failure["remedy"]


def test_an_endpoint_that_says_that_one_may_query_is_asked_once(double: Double) -> None:
    double.answers["/api/2.0/serving-endpoints/llm"] = {"name": "llm", "id": "e1", "permission_level": "CAN_QUERY"}
    assert check(double, {"kind": "serving_endpoint", "name": "llm"})["failures"] == []
    assert [path for _, path in double.calls] == [f"{SCIM}/Me", "/api/2.0/serving-endpoints/llm"]


def test_a_list_that_may_not_be_read_is_unverified_and_an_invisible_object_a_failure(double: Double) -> None:
    double.answers["/api/2.0/permissions/genie/seen"] = 403
    double.answers["/api/2.0/genie/spaces/seen"] = {"space_id": "seen"}
    double.answers["/api/2.0/permissions/genie/unseen"] = 403
    double.answers["/api/2.0/genie/spaces/unseen"] = 403
    result = check(double, {"kind": "genie_space", "name": "seen"}, {"kind": "genie_space", "name": "unseen"})
    assert [failure["object"] for failure in result["failures"]] == ["Genie space unseen"]
    assert [failure["object"] for failure in result["unverified"]] == ["Genie space seen"]


def test_one_look_up_per_object_however_many_declare_it(double: Double) -> None:
    double.grant("table/main.default.docs", team="SELECT")
    double.grant("table/main.default.more", team="SELECT")
    double.acl("sql/warehouses/abc", ("group", "team", "CAN_USE"))
    context = double.context
    wanted = [TABLE, {"kind": "table", "name": "main.default.more"}, {"kind": "sql_warehouse", "name": "abc"}]
    for _ in range(3):  # three agents of one program
        result = checked(context, [*wanted, *wanted])
        assert result["failures"] == []
        assert result["checked"] == 5
    assert all(times == 1 for times in Counter(double.calls).values())
    assert len(double.calls) == 1 + 2 + 2 + 1


def test_look_ups_run_at_the_same_time(double: Double) -> None:
    import threading

    together = threading.Barrier(8, timeout=60)  # passes only when eight look-ups are under way at once

    def slow(_: httpx.Request) -> Any:
        together.wait()
        return {"privilege_assignments": [{"principal": "team", "privileges": [{"privilege": "SELECT"}]}]}

    names = [f"main.default.t{number}" for number in range(8)]
    for name in names:
        double.answers[f"{CATALOG}/effective-permissions/table/{name}"] = slow
    assert check(double, *({"kind": "table", "name": name} for name in names))["failures"] == []


def test_what_the_deployment_itself_takes(double: Double) -> None:
    double.grant("function/main.default.agent")
    double.answers[f"{CATALOG}/functions/main.default.agent"] = 404
    double.answers[f"{CATALOG}/models/main.default.agent"] = {"owner": "others"}
    double.answers["/api/2.0/secrets/acls/list"] = 403
    double.answers["/api/2.0/serving-endpoints/agents_x"] = {"id": "e1", "permission_level": "CAN_VIEW"}
    double.acl("serving-endpoints/e1")
    double.answers[f"{SCIM}/Groups"] = {
        "Resources": [{"displayName": "admins", "entitlements": [{"value": "workspace-access"}]}]
    }
    requirements = {
        "modelName": "main.default.agent",
        "endpointName": "agents_x",
        "inferenceSchema": "main.default",
        "secretScopes": ["agents_x"],
        "createServicePrincipal": True,
    }
    result = check(double, requirements=requirements)
    assert [(failure["kind"], failure["privilege"]) for failure in result["failures"]] == [
        ("model", "EXECUTE"),
        ("schema", "CREATE TABLE"),
        ("serving_endpoint", "CAN_MANAGE"),
        ("secret_scope", "MANAGE"),
        ("workspace", "workspace admin"),
        ("workspace", "workspace-access"),
    ]


def test_an_entitlement_is_found_on_any_page_of_the_groups(double: Double) -> None:
    groups: list[dict[str, Any]] = [{"displayName": name, "entitlements": []} for name in ("a", "b", "c", "d")]
    groups.append({"displayName": "team", "entitlements": [{"value": "workspace-access"}]})

    def page(request: httpx.Request) -> dict[str, Any]:
        first = int(request.url.params.get("startIndex", 1)) - 1
        return {"totalResults": 6, "Resources": groups[first : first + 2]}  # one of the six is gone meanwhile

    double.answers[f"{SCIM}/Groups"] = page
    assert check(double, requirements={"endpointName": "agents_x"})["failures"] == []
    assert Counter(path for _, path in double.calls)[f"{SCIM}/Groups"] == 4


def test_a_new_endpoint_and_scope_are_no_failure(double: Double) -> None:
    result = check(double, requirements={"endpointName": "agents_x", "secretScopes": ["agents_x"]})
    assert (result["failures"], result["problem"]) == ([], "")


def test_an_owner_of_the_metastore_or_of_a_parent_may_give_privileges(double: Double) -> None:
    double.grant("table/main.default.docs", team="SELECT")
    failures = check(double, TABLE, requirements={"grant": True})["failures"]
    # Not the catalog: everybody may use it.
    assert {failure["object"] for failure in failures} == {
        "Schema 'main.default'",
        "Table main.default.docs",
    }
    fresh = Double()
    fresh.answers.update(double.answers)
    fresh.answers[f"{CATALOG}/metastore_summary"] = {"owner": "team"}
    assert check(fresh, TABLE, requirements={"grant": True})["failures"] == []


@pytest.mark.parametrize(
    ("name", "route", "kind"),
    [
        ("bo@example.com", "Users", "user"),
        ("5f3f5d3e-1111-4222-8333-000000000001", "ServicePrincipals", "service_principal"),
        ("readers", "Groups", "group"),
    ],
)
def test_another_principal_may_be_asked_about(double: Double, name: str, route: str, kind: str) -> None:
    double.answers[f"{SCIM}/{route}"] = {"Resources": [{"id": "1", "groups": [{"display": "team"}]}]}
    double.acl("sql/warehouses/abc")
    result = check(double, {"kind": "sql_warehouse", "name": "abc"}, principal=name)
    assert result["principal"] == name
    assert f'"{kind}_name": "{name}"' in result["failures"][0]["remedy"]


def test_a_principal_that_does_not_exist_is_a_problem(double: Double) -> None:
    double.answers[f"{SCIM}/Users"] = {"Resources": []}
    double.answers[f"{SCIM}/Groups"] = {"Resources": []}
    result = check(double, TABLE, principal="nobody@example.com")
    assert "principal 'nobody@example.com': expected" in result["problem"]


def test_malformed_resources_are_a_problem_and_nothing_is_asked_about_them(double: Double) -> None:
    result = check(double, {"kind": "table", "name": "docs"}, {"kind": "teapot", "name": "x"})
    assert "resources[0].name 'docs'" in result["problem"]
    assert "resources[1].kind 'teapot'" in result["problem"]
    assert double.calls == [("GET", f"{SCIM}/Me")]


def test_an_unreachable_workspace_is_a_problem() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    settings = Settings(host="https://w.example.com", method="pat", token="t")
    context = Context(configuration=Workspace(settings, transport=httpx.MockTransport(refuse)))
    result = checked(context, [TABLE])
    assert "No Databricks workspace answers" in result["problem"]


def test_refused_credentials_are_a_problem(double: Double) -> None:
    double.answers[f"{SCIM}/Me"] = 401
    assert "refused the credentials" in check(double, TABLE)["problem"]


def test_what_the_workspace_cannot_say_is_unverified(double: Double) -> None:
    double.answers["/api/2.0/permissions/apps/my-app"] = 501
    result = check(double, {"kind": "app", "name": "my-app"})
    assert result["failures"] == []
    assert "501" in result["unverified"][0]["reason"]


def test_nothing_is_written(double: Double) -> None:
    check(double, TABLE, requirements={"grant": True, "endpointName": "x", "createServicePrincipal": True})
    assert double.writes() == []
