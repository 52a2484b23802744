"""verifyDeployments over HTTP: everything in one list, each cause once, and what agents share is looked up once."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from typing import Any

import httpx
import pytest

from agent_deploy.cli.check import examine
from agent_deploy.client.configuration import Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.verify_deployment import verify_deployments
from agent_deploy.provider.workspace import connection
from agent_deploy.rules.declaration import declared
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.records import wire
from agent_deploy.rules.values import Secret, Unknown
from agent_deploy.rules.verifiable import look_ups
from tests.provider.permission_double import ANN, CATALOG, SCIM, Double

MODEL = "main.default.agent"
VERSIONS = f"{CATALOG}/models/{MODEL}/versions"
FILES = "/api/2.0/fs/files/Models/main/default/agent"
TABLE = "resources: {api_version: '1', databricks: {table: [{name: main.default.docs}]}}"
ENDPOINT = "/api/2.0/serving-endpoints/agents_main-default-agent"


def mlmodel(text: str) -> httpx.Response:
    return httpx.Response(200, text=text)


@pytest.fixture
def double() -> Double:
    """Ann may do all that it takes to serve versions 1 and 2, which read a table; `champion` is 2."""
    double = Double()
    double.grant("catalog/main", team="USE_CATALOG")
    double.grant("schema/main.default", team="USE_SCHEMA CREATE_TABLE CREATE_MODEL")
    double.grant(f"function/{MODEL}", team="EXECUTE")
    double.grant("table/main.default.docs", team="SELECT")
    double.answers[VERSIONS] = {"model_versions": [{"version": 1}, {"version": 2}]}
    for number in (1, 2):
        version = {"version": number, "status": "READY", "run_id": "r"}
        double.answers[f"{VERSIONS}/{number}"] = version
        double.answers[f"{FILES}/{number}/MLmodel"] = lambda _: mlmodel(TABLE)
    double.answers[f"{CATALOG}/models/{MODEL}/aliases/champion"] = double.answers[f"{VERSIONS}/2"]
    double.answers["/api/2.0/mlflow/runs/get"] = {"run": {"info": {"experiment_id": "77"}}}
    double.answers["/api/2.0/secrets/list"] = secrets
    return double


def secrets(request: httpx.Request) -> Any:
    return {"secrets": [{"key": "there"}]} if request.url.params["scope"] == "team" else 404


def verify(double: Double | Context, **args: Any) -> dict[str, Any]:
    context = double.context if isinstance(double, Double) else double
    wanted = look_ups(declared({"model_name": MODEL, **args}), ["agents/dev/qa", "agents/dev/former"])
    return dict(verify_deployments(context, {"deployments": [wire(wanted)]})["deployments"][0])


def test_what_may_be_deployed_is_described(double: Double) -> None:
    found = verify(double, versions=[{"version": "1"}, {"alias": "champion"}])
    table = {"kind": "table", "name": "main.default.docs", "onBehalfOfUser": False, "writes": False}
    assert found == {
        "numbers": ["1", "2"],
        "experimentId": "77",
        "workspaceUrl": "https://w.example.com",
        "kept": {},
        "needs": [{"version": number, "resources": [table], "userScopes": []} for number in ("1", "2")],
        "openToAll": [],
        "unverified": [],
        "problems": [],
    }
    assert double.writes() == []


def test_all_that_is_wrong_comes_in_one_list_with_its_field(double: Double) -> None:
    double.grant("table/main.default.docs")
    double.answers[f"{SCIM}/Groups"] = {"Resources": []}
    double.answers[f"{SCIM}/Users"] = {"Resources": []}
    environment = {"A": "{{secrets/team/there}}", "B": "{{secrets/team/lost}}", "C": "{{secrets/nowhere/x}}"}
    found = verify(
        double,
        versions=[{"version": "1", "environment": {"C": "{{secrets/nowhere/y}}"}}, {"version": "9"}, {"alias": "x"}],
        environment=environment,
        permissions=[{"group_name": "users", "level": "CAN_QUERY"}, {"group_name": "nobody", "level": "Anything"}],
    )
    assert found["numbers"] == ["1", "", ""]
    told = "\n".join(found["problems"])
    for expected in (
        f"versions[1]: {MODEL} has no version 9 (there: 1, 2)",
        f"versions[2]: {MODEL} has no alias 'x'",
        "environment['B']: there is no key 'lost' in the secret scope 'team' (there: there)",
        "environment['C'], versions[0].environment['C']: there is no secret scope 'nowhere'",
        "permissions[1].group_name 'nobody': expected a principal of this workspace",
        f"Table main.default.docs: {ANN} lacks SELECT. Its owner can mend it: GRANT SELECT",
    ):
        assert expected in told
    assert len(found["problems"]) == 6


def test_a_principal_of_another_kind_than_its_field_names_is_told(double: Double) -> None:
    double.answers[f"{SCIM}/Groups"] = {"Resources": []}
    bob = "bob@example.com"
    double.answers[f"{SCIM}/Users"] = {"Resources": [{"userName": bob}]}
    double.grant("catalog/main", team="USE_CATALOG", **{bob: "USE_CATALOG"})
    double.grant("schema/main.default", team="USE_SCHEMA CREATE_TABLE CREATE_MODEL", **{bob: "USE_SCHEMA"})
    found = verify(
        double,
        versions=[{"version": "1"}],
        permissions=[{"group_name": ANN, "level": "CAN_QUERY"}, {"user_name": bob, "level": "CAN_QUERY"}],
        inference_tables={"readers": [bob]},
    )
    expected = "expected the name of a group, and this is a user. Name a group, or say user_name instead"
    assert found["problems"] == [f"permissions[0].group_name {ANN!r}: {expected} [AGV025]"]
    double.answers[f"{SCIM}/Groups"] = {"Resources": [{"displayName": bob}]}
    named_alike = verify(double, versions=[{"version": "1"}], permissions=[{"group_name": bob, "level": "CAN_QUERY"}])
    assert named_alike["problems"] == []


def test_a_feedback_model_that_is_to_be_registered_takes_a_privilege_on_the_schema(double: Double) -> None:
    double.grant("schema/main.default", team="USE_SCHEMA CREATE_TABLE")
    [problem] = verify(double, versions=[{"version": "1"}])["problems"]
    assert "Schema main.default (feedback model)" in problem
    assert "GRANT CREATE MODEL ON SCHEMA `main`.`default` TO" in problem
    assert verify(double, versions=[{"version": "1"}], feedback_model=False)["problems"] == []


def of_readers(found: dict[str, Any], told: str) -> list[str]:
    """For each line: the catalog or the schema that it is about."""
    return [each.partition(" (for the readers of the inference tables): ")[0] for each in found[told]]


def test_who_lets_readers_into_a_catalog_manages_it_unless_they_may_use_it(double: Double) -> None:
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], "inference_tables": {"readers": ["Team", "users"]}}
    double.answers[f"{SCIM}/Groups"] = {"Resources": [{"displayName": "Team"}]}
    ann_has = {"team": "USE_SCHEMA CREATE_TABLE CREATE_MODEL"}
    found = verify(double, **wanted)
    assert of_readers(found, "problems") == ["Catalog 'main'", "Schema 'main.default'"]
    assert (
        f"{ANN} lacks MANAGE. Its owner can mend it: GRANT USE CATALOG ON CATALOG `main` TO `users`; "
        f"or GRANT MANAGE ON CATALOG `main` TO `{ANN}`"
    ) in found["problems"][0]
    double.grant("catalog/main", team="USE_CATALOG", users="USE_CATALOG")
    double.grant("schema/main.default", owner="team", **ann_has)
    assert verify(double, **wanted)["problems"] == []
    # What is inherited does not count: the readers are given it where the tables are.
    inherited = {"privilege": "USE_SCHEMA", "inherited_from_name": "main"}
    double.grant("schema/main.default", **ann_has)
    path = f"{CATALOG}/effective-permissions/schema/main.default"
    everybody = double.answers[path]
    assert isinstance(everybody, dict)
    everybody["privilege_assignments"].append({"principal": "users", "privileges": [inherited]})
    assert of_readers(verify(double, **wanted), "problems") == ["Schema 'main.default'"]
    # Who may not see everybody's grants is not told that they lack it.
    double.answers[path] = lambda request: everybody if "principal" in request.url.params else 403
    found = verify(double, **wanted)
    assert (of_readers(found, "problems"), of_readers(found, "unverified")) == ([], ["Schema 'main.default'"])
    assert "and whether they have USE SCHEMA cannot be read" in found["unverified"][0]


def test_who_lets_a_service_principal_into_an_experiment_manages_it(double: Double) -> None:
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], "auth": "SERVICE_PRINCIPAL"}
    double.acl("experiments/77", ("group", "team", "CAN_EDIT"))
    [problem] = [problem for problem in verify(double, **wanted)["problems"] if "77" in problem]
    assert f"Experiment 77 (for the agent's service principal): {ANN} lacks CAN_MANAGE" in problem
    checked = examine(double.context, MODEL, "1", service_principal=True)["failures"]
    assert "Experiment 77 (for the agent's service principal)" in [failure["object"] for failure in checked]
    double.acl("experiments/77", ("group", "team", "CAN_MANAGE"))
    assert "77" not in "".join(verify(double, **wanted)["problems"])


def test_who_lets_reviewers_into_an_experiment_manages_it(double: Double) -> None:
    reviewed: dict[str, Any] = {"versions": [{"version": "1"}], "review_app": {"reviewers": [{"group_name": "users"}]}}
    double.acl("experiments/77", ("group", "team", "CAN_EDIT"))
    [problem] = verify(double, **reviewed)["problems"]
    assert f"Experiment 77 (for the reviewers of the review app): {ANN} lacks CAN_MANAGE" in problem
    assert "PATCH /api/2.0/permissions/experiments/77" in problem
    double.acl("experiments/88", ("user", ANN, "CAN_MANAGE"))
    assert verify(double, **reviewed, experiment_id="88")["problems"] == []
    assert verify(double, **reviewed, environment={"MLFLOW_EXPERIMENT_ID": "88"})["problems"] == []
    [problem] = verify(double, **reviewed, experiment_id="99")["problems"]
    assert "Experiment 99 (for the reviewers of the review app): it does not exist" in problem
    assert verify(double, versions=[{"version": "1"}])["problems"] == []


@pytest.mark.parametrize(
    "more", [{"review_app": {"reviewers": [{"group_name": "users"}]}}, {"auth": "SERVICE_PRINCIPAL"}]
)
def test_an_experiment_that_is_not_known_yet_is_not_taken_for_the_versions_own(
    double: Double, more: dict[str, Any]
) -> None:
    double.acl("experiments/77", ("group", "team", "CAN_EDIT"))
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], **more}
    for lacks, experiment in ((True, {}), (False, {"experiment_id": Unknown()})):
        problems = verify(double, **wanted, **experiment)["problems"]
        assert any("Experiment 77" in problem for problem in problems) == lacks, problems


def test_an_experiment_for_traces_that_is_not_there_or_deleted_is_told_of_its_field(double: Double) -> None:
    path = "/api/2.0/mlflow/experiments/get"
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], "experiment_id": "99"}
    expected = "experiment_id '99': expected the id of an MLflow experiment. Create or restore it"
    for answer, is_told in (
        (404, True),
        ({"experiment": {"experiment_id": "99", "lifecycle_stage": "deleted"}}, True),
        ({"experiment": {"experiment_id": "99", "lifecycle_stage": "active"}}, False),
        (403, False),
    ):
        double.answers[path] = answer
        problems = verify(double, **wanted)["problems"]
        assert [problem.startswith(expected) for problem in problems] == [True] * is_told
    double.answers[path] = 404
    [problem] = verify(double, versions=wanted["versions"], environment={"MLFLOW_EXPERIMENT_ID": "99"})["problems"]
    assert problem.startswith("environment['MLFLOW_EXPERIMENT_ID'] '99': expected the id of an MLflow experiment")


def test_a_table_of_served_entities_that_is_not_there_is_told_of_its_field(double: Double) -> None:
    wanted: dict[str, Any] = {"versions": [{"version": "1"}]}
    tables = {"served_entities_table": "system.serving.served_entities"}
    [problem] = verify(double, **wanted, inference_tables=tables)["problems"]
    assert problem.startswith(
        "inference_tables.served_entities_table 'system.serving.served_entities': expected a table"
    )
    assert verify(double, **wanted, inference_tables={**tables, "enabled": False})["problems"] == []
    double.answers[f"{CATALOG}/tables/system.serving.served_entities"] = {"name": "served_entities"}
    assert verify(double, **wanted, inference_tables=tables)["problems"] == []


RUNNER = "11111111-2222-3333-4444-555555555555"


def test_who_is_to_derive_exists_may_be_used_and_gets_what_that_takes(double: Double) -> None:
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], "inference_tables": {"run_as": RUNNER}}
    double.answers |= {f"{SCIM}/ServicePrincipals": {}, f"{SCIM}/Groups": {}}
    problems = verify(double, **wanted)["problems"]
    assert (
        sum(problem.startswith(f"inference_tables.run_as '{RUNNER}': expected a principal") for problem in problems)
        == 1
    )
    double.answers[f"{SCIM}/ServicePrincipals"] = {"Resources": [{"applicationId": RUNNER}]}
    bodies: list[dict[str, Any]] = []

    def dry_run(request: httpx.Request) -> Any:
        bodies.append(json.loads(request.content))
        return 403

    double.answers["/api/2.0/pipelines"] = dry_run
    problems = verify(double, **wanted)["problems"]
    assert bodies[-1]["run_as"] == {"service_principal_name": RUNNER}
    [refused] = [problem for problem in problems if problem.startswith("inference_tables.run_as: ")]
    assert f"the workspace refuses a pipeline that runs as {RUNNER}" in refused
    told = [
        problem
        for problem in problems
        if "(for run_as of the inference tables): ann@example.com lacks MANAGE" in problem
    ]
    for privilege, place in (
        ("USE CATALOG", "CATALOG `main`"),
        ("USE SCHEMA", "SCHEMA `main`.`default`"),
        ("CREATE TABLE", "SCHEMA `main`.`default`"),
    ):
        assert sum(f"GRANT {privilege} ON {place} TO `{RUNNER}`" in problem for problem in told) == 1, problems
    assert len(problems) == 4

    # It has all of it: then nobody needs to manage anything.
    double.answers["/api/2.0/pipelines"] = {"effective_settings": {}}
    double.grant("catalog/main", **{"team": "USE_CATALOG", RUNNER: "USE_CATALOG"})
    team = "USE_SCHEMA CREATE_TABLE CREATE_MODEL"
    double.grant("schema/main.default", **{"team": team, RUNNER: "USE_SCHEMA CREATE_TABLE"})
    assert verify(double, **wanted)["problems"] == []
    # But its tables are its own: readers are let in by who manages the schema.
    double.grant("catalog/main", **{"team": "USE_CATALOG", RUNNER: "USE_CATALOG", "users": "USE_CATALOG"})
    double.grant("schema/main.default", **{"team": team, RUNNER: team, "users": "USE_SCHEMA"})
    tables = {"run_as": RUNNER, "readers": ["users"]}
    [problem] = verify(double, versions=[{"version": "1"}], inference_tables=tables)["problems"]
    assert problem.startswith(
        "Schema 'main.default' (for the readers of what run_as derives): ann@example.com lacks MANAGE"
    )
    # Who deploys has what it needs by its groups.
    double.grant("schema/main.default", team=team)
    assert verify(double, versions=[{"version": "1"}], inference_tables={"run_as": ANN})["problems"] == []


@pytest.mark.parametrize(("level", "tables", "refused"), [
    ("CAN_USE", {"retention_days": 9, "run_as": RUNNER}, True),
    ("CAN_MANAGE", {"retention_days": 9, "run_as": RUNNER}, False),
    ("CAN_USE", {"retention_days": 9}, False),
    ("CAN_USE", {"run_as": RUNNER}, False),
])  # fmt: skip
def test_who_lends_run_as_a_warehouse_manages_it(
    double: Double, level: str, tables: dict[str, Any], refused: bool
) -> None:
    double.acl("sql/warehouses/abc", ("group", "team", level))
    double.answers[f"{SCIM}/ServicePrincipals"] = {"Resources": [{"applicationId": RUNNER}]}
    given = {"warehouse_id": "abc", **tables}
    problems = verify(double, versions=[{"version": "1"}], inference_tables=given)["problems"]
    found = [problem for problem in problems if "abc" in problem]
    assert [problem.partition(". ")[0] for problem in found] == [
        "SQL warehouse abc (for run_as of the inference tables): ann@example.com lacks CAN_MANAGE"
    ] * refused


def test_a_source_folder_that_everybody_writes_is_told_of_its_field(double: Double) -> None:
    double.answers["/api/2.0/workspace/get-status"] = {"object_id": 7, "object_type": "DIRECTORY"}
    double.acl("directories/7", ("group", "users", "CAN_MANAGE"))
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], "inference_tables": {"source_folder": "/Shared/logs/"}}
    [problem] = verify(double, **wanted)["problems"]
    assert problem.startswith(
        "inference_tables.source_folder: /Shared/logs holds what a pipeline or a job runs, and may"
    )
    assert "group users (CAN_MANAGE)" in problem
    double.acl("directories/7", ("group", "team", "CAN_MANAGE"))
    assert verify(double, **wanted)["problems"] == []  # a warning, by the resource that writes there


def test_a_model_that_is_not_there_is_told_once_of_its_name(double: Double) -> None:
    double.answers[f"{VERSIONS}/1"] = double.answers[f"{VERSIONS}/2"] = 404
    double.answers[VERSIONS] = 404
    double.answers[f"{CATALOG}/effective-permissions/function/{MODEL}"] = 404
    double.answers[f"{CATALOG}/functions/{MODEL}"] = 404
    [problem] = verify(double, versions=[{"version": "1"}, {"version": "2"}])["problems"]
    assert problem.startswith(f"model_name: there is no registered model {MODEL}")


def test_a_catalog_that_is_not_there_is_told_once(double: Double) -> None:
    gone = [path for path in double.answers if "main" in path and path.startswith((CATALOG, FILES))]
    double.answers.update(dict.fromkeys(gone, 404))
    [problem] = verify(double, versions=[{"version": "1"}])["problems"]
    assert problem.startswith(f"Model {MODEL}, Schema main.default (inference tables): Catalog 'main' does not exist")


def test_a_schema_for_tables_that_is_not_there_is_told_once_and_a_refused_pipeline_otherwise(double: Double) -> None:
    refused = {"error_code": "INVALID_PARAMETER_VALUE", "message": "no pipeline today"}
    double.answers["/api/2.0/pipelines"] = httpx.Response(400, json=refused)
    [problem] = verify(double, versions=[{"version": "1"}], inference_tables={"schema": "nope"})["problems"]
    assert problem.startswith("Schema main.nope (inference tables): it does not exist")
    [problem] = verify(double, versions=[{"version": "1"}])["problems"]
    assert problem.startswith("inference_tables.derive: the workspace refuses a serverless pipeline: ")
    assert "no pipeline today" in problem
    [problem] = verify(double, versions=[{"version": "1"}], inference_tables={"cluster_policy_id": "p"})["problems"]
    assert problem.startswith("inference_tables.cluster_policy_id: the workspace refuses a pipeline with cluster")


def test_a_model_that_may_not_be_seen_is_told_with_the_privilege_and_nothing_else(double: Double) -> None:
    double.grant(f"function/{MODEL}")
    double.answers[f"{VERSIONS}/1"] = double.answers[f"{FILES}/1/MLmodel"] = 403
    [problem] = verify(double, versions=[{"version": "1"}])["problems"]
    assert "GRANT EXECUTE ON FUNCTION `main`.`default`.`agent` TO" in problem
    double.answers[f"{VERSIONS}/1"] = {"version": 1, "status": "READY", "run_id": "r"}
    [problem] = verify(double, versions=[{"version": "1"}])["problems"]
    assert "GRANT EXECUTE ON FUNCTION" in problem


@pytest.mark.parametrize("status", [401, 501])
def test_a_workspace_that_refuses_is_told_once(double: Double, status: int) -> None:
    double.answers = dict.fromkeys((*double.answers, ENDPOINT), status)
    problems = verify(double, versions=[{"version": "1"}, {"alias": "champion"}], environment={"A": "{{secrets/a/b}}"})
    assert len(problems["problems"]) == 1, problems


def test_a_workspace_that_does_not_answer_is_told_once_beside_nothing_else() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    settings = Settings(host="https://w.example.com", method="pat", token="t")
    context = Context(configuration=Workspace(settings, transport=httpx.MockTransport(refuse)))
    [problem] = verify(context, versions=[{"version": "1"}], permissions=[{"group_name": "g", "level": "CAN_QUERY"}])[
        "problems"
    ]
    assert "No Databricks workspace answers" in problem


def test_a_host_that_takes_connections_and_never_answers_is_waited_for_once_by_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "LOOK_UP_SILENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        settings = Settings(host=f"http://127.0.0.1:{silent.getsockname()[1]}", method="pat", token="t")
        context = Context(configuration=Workspace(settings))
        wanted = [wire(look_ups(declared({"model_name": MODEL, "endpoint_name": f"e{n}"}), [])) for n in range(40)]
        began = time.monotonic()
        found = verify_deployments(context, {"deployments": wanted})["deployments"]
    assert time.monotonic() - began < 2.5
    for each in found:
        [problem] = each["problems"]
        assert "took the connection, but did not answer" in problem
        assert "within 0.5 s. Is this the address of a workspace, and does a proxy or a firewall" in problem


def test_wrong_arguments_do_not_keep_the_rest_from_being_looked_up(double: Double) -> None:
    problems = verify(
        double, model_name="agent", endpoint_name="my endpoint", versions=[{"version": "1"}], auth="ANY",
        environment={"A": "{{secrets/nowhere/x}}", "B": "{{secrets/"}, keep_previous=-1,
    )["problems"]  # fmt: skip
    assert problems == ["environment['A']: there is no secret scope 'nowhere'. Create it, or correct the name [AGV022]"]
    problems = verify(double, versions=[{"version": "one"}, {"version": "9"}, {}], keep_previous="x")["problems"]
    assert [problem.split(":")[0] for problem in problems] == ["versions[1]"]


def test_what_agents_share_is_looked_up_once(double: Double) -> None:
    context = double.context
    for agent in ("a", "b", "c"):
        found = verify(context, versions=[{"version": "1"}], endpoint_name=agent, environment={"KEY": Secret()})
        assert found["problems"] == []
    calls = Counter(path for _, path in double.calls)
    own = {f"/api/2.0/serving-endpoints/{agent}" for agent in ("a", "b", "c")}
    assert {path for path, times in calls.items() if times > 1} == {"/api/2.0/secrets/acls/list"}
    assert own <= set(calls)
    # An agent of its own asks about its endpoint and its scope.
    assert len(double.calls) == len(calls) + 2


def test_passthrough_grants_nothing_that_only_the_program_declares(double: Double) -> None:
    for table in ("other", "own"):
        double.grant(f"table/main.default.{table}", team="SELECT")
    docs, other, own = ({"kind": "table", "name": f"main.default.{table}"} for table in ("docs", "other", "own"))
    given = [docs, other, {**own, "on_behalf_of_user": True}]
    [problem] = verify(double, versions=[{"version": "1"}], resources=given)["problems"]
    assert "version 1 needs Table main.default.other, but its model does not declare it" in problem
    assert verify(double, versions=[{"version": "1"}], resources=[docs])["problems"] == []


def test_a_resource_of_a_newer_mlflow_is_told_unless_it_is_replaced(double: Double) -> None:
    double.answers[f"{FILES}/1/MLmodel"] = mlmodel("resources: {api_version: '1', databricks: {teapot: [{name: x}]}}")
    [problem] = verify(double, versions=[{"version": "1"}])["problems"]
    assert "version 1 declares a 'teapot'" in problem
    assert verify(double, versions=[{"version": "1"}], replace_resources=True)["problems"] == [problem]
    assert verify(double, versions=[{"version": "1"}], replace_resources=True, resources=[])["problems"] == []


@pytest.mark.parametrize(("given", "needed"), [([], []), (None, ["main.default.docs"])])
def test_resources_replaced_by_an_empty_list_are_none(double: Double, given: Any, needed: list[str]) -> None:
    found = verify(double, versions=[{"version": "1"}], replace_resources=True, resources=given)
    assert [[each["name"] for each in version["resources"]] for version in found["needs"]] == [needed]


def test_every_version_gets_a_scope_that_must_be_free_or_ones_own(double: Double) -> None:
    double.acl("experiments/77", ("group", "team", "CAN_MANAGE"))
    double.answers["/api/2.0/secrets/acls/list"] = 403
    double.answers[f"{CATALOG}/metastore_summary"] = {"owner": "team"}
    found = verify(double, versions=[{"version": "1"}], auth="SERVICE_PRINCIPAL", keep_previous=1)
    assert [problem.split(":")[0] for problem in found["problems"]] == [
        "Secret scope agents_main-default-agent_1",
        "Service principals",
    ]


def test_what_was_served_stays_if_the_endpoint_is_this_stacks(double: Double) -> None:
    entity = {"name": "main-default-agent_1", "entity_name": MODEL, "entity_version": "1"}
    remote = {
        "name": "agents_main-default-agent",
        "id": "e1",
        "permission_level": "CAN_MANAGE",
        "config": {"served_entities": [entity]},
        "tags": [{"key": OWNER_TAG, "value": "another"}],
    }
    double.answers[ENDPOINT] = remote
    assert verify(double, versions=[{"version": "2"}], keep_previous=1)["kept"] == {}
    for run, mark in enumerate(("agents/dev/qa", "agents/dev/former"), 2):
        double.answers[ENDPOINT] = {**remote, "tags": [{"key": OWNER_TAG, "value": mark}]}
        found = verify(double, versions=[{"version": "2"}], keep_previous=1)
        assert [each["entityVersion"] for each in found["kept"].values()] == ["1"]
        assert [each["version"] for each in found["needs"]] == ["2", "1"]
        assert Counter(path for _, path in double.calls)[ENDPOINT] == run  # once in each run


def test_several_are_answered_in_their_order_and_share_look_ups(double: Double) -> None:
    wanted = [
        {"model_name": MODEL, "model_version": str(version), "endpoint_name": f"e{version}"} for version in (2, 9, 1)
    ]
    wanted = [wire(look_ups(declared(args), [])) for args in wanted]
    found = verify_deployments(double.context, {"deployments": wanted})["deployments"]
    assert [each["numbers"] for each in found] == [["2"], [""], ["1"]]
    assert [bool(each["problems"]) for each in found] == [False, True, False]
    assert Counter(path for _, path in double.calls)[f"{SCIM}/Me"] == 1


TRACES = "main.traces.mlflow_experiment_trace_otel_"
TRACED = {"MLFLOW_TRACING_DESTINATION": "main.traces", "MLFLOW_TRACING_SQL_WAREHOUSE_ID": "abc"}


def test_where_traces_go_is_verified_and_becomes_what_the_agent_needs(double: Double) -> None:
    wanted: dict[str, Any] = {"versions": [{"version": "1"}], "environment": TRACED, "auth": "SERVICE_PRINCIPAL"}
    double.acl("experiments/77", ("group", "team", "CAN_MANAGE"))
    double.grant("schema/main.traces")
    told = verify(double, **wanted)
    problems = "\n".join(told["problems"])
    for name in ("spans", "logs", "metrics"):
        assert f"Table {TRACES}{name}" in problems
    assert "SQL warehouse abc" in problems
    needed = {(each["kind"], each["name"], each["writes"]) for each in told["needs"][0]["resources"]}
    tables = {("table", f"{TRACES}{name}", True) for name in ("spans", "logs", "metrics")}
    assert needed == {("table", "main.default.docs", False), *tables, ("sql_warehouse", "abc", False)}


def test_passthrough_does_not_reach_where_traces_go(double: Double) -> None:
    problems = verify(double, versions=[{"version": "1"}], environment=TRACED)["problems"]
    beyond = [problem for problem in problems if "AGV043" in problem]
    assert len(beyond) == 4, problems
    assert all("choose auth = SERVICE_PRINCIPAL" in problem for problem in beyond)
