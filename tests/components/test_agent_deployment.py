"""AgentDeployment against Pulumi's mocks: which children with which inputs. Parents, URNs and order: tests/engine."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from typing import Any

import pulumi
import pulumi.runtime
import pytest

from agent_deploy import AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables
from agent_deploy.components.errors import DeploymentError
from agent_deploy.resources import failures
from agent_deploy.resources.failures import program_error
from tests.components.mocked import (
    DERIVED,
    ENDPOINT,
    FEEDBACK,
    FILE,
    JOB,
    MODEL,
    PERMISSIONS,
    PERMIT,
    PIPELINE,
    REGISTRATION,
    RUNNER,
    SCOPE,
    SECRET,
    TABLES,
    Workspace,
    deploy,
)


def test_all_agents_of_a_program_are_verified_by_one_call_and_each_gets_its_own_answer(workspace: Workspace) -> None:
    @pulumi.runtime.test
    def program() -> pulumi.Output[Any]:
        agents = [
            AgentDeployment(f"qa{version}", {"model_name": f"{MODEL}{version}", "model_version": version})
            for version in ("1", "2", "3")
        ]
        return pulumi.Output.all(*(agent.served_entities for agent in agents))

    program()
    assert workspace.calls == 1
    for version in ("1", "2", "3"):
        assert f"main-default-qa{version}_{version}" in workspace.resources[ENDPOINT, f"qa{version}"]["servedEntities"]


def test_only_the_agent_that_is_wrong_is_told(workspace: Workspace) -> None:
    @pulumi.runtime.test
    def program() -> None:
        for version in ("1", "9"):
            AgentDeployment(f"qa{version}", {"model_name": MODEL, "model_version": version, "endpoint_name": version})

    with pytest.raises(DeploymentError, match="'qa9' cannot be deployed") as raised:
        program()
    assert "has no version 9" in str(raised.value)
    assert workspace.calls == 1


class Engine:
    """Of a program; known by its identity alone."""


def test_the_first_error_ends_the_program_whichever_the_engine_sees_first(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    engine = Engine()
    monkeypatch.setattr(failures, "get_monitor", lambda: engine)
    monkeypatch.setattr(pulumi.log, "error", logged.append)
    first, second = (DeploymentError.of("AgentDeployment", name, ["wrong"]) for name in ("qa", "support"))
    assert program_error(first) is first
    assert program_error(second) is first
    assert logged == [str(second)]


def test_one_version_is_one_endpoint_as_deploy_would_make_it(workspace: Workspace) -> None:
    outputs = deploy({"model_version": "1"})
    endpoint = workspace.resources[ENDPOINT, "qa"]
    assert endpoint["name"] == "agents_main-default-qa"
    assert endpoint["traffic"] == {"main-default-qa_1": 100, "feedback": 0}
    assert endpoint["servedEntities"] == {
        "feedback": {
            "entityName": "main.default.feedback",
            "entityVersion": "2",
            "workloadSize": "Small",
            "workloadType": "CPU",
            "scaleToZeroEnabled": False,
        },
        "main-default-qa_1": {
            "entityName": MODEL,
            "entityVersion": "1",
            "workloadSize": "Small",
            "workloadType": "CPU",
            "scaleToZeroEnabled": False,
            "environmentVars": {
                "ENABLE_LANGCHAIN_STREAMING": "true",
                "ENABLE_MLFLOW_TRACING": "true",
                "RETURN_REQUEST_ID_IN_RESPONSE": "true",
                "MLFLOW_EXPERIMENT_ID": "77",
            },
        },
    }
    assert endpoint["tags"] == {"MONITOR_EXPERIMENT_ID": "77"}
    assert endpoint["aiGateway"] == {
        "inferenceTableConfig": {"catalogName": "main", "schemaName": "default", "tableNamePrefixHint": "qa"}
    }
    assert endpoint["ownerMark"] == "agents/dev/qa"
    assert outputs["endpoint_name"] == "agents_main-default-qa"
    assert outputs["endpoint_id"] == "e1"
    assert outputs["query_endpoint"] == "https://w/serving-endpoints/agents_main-default-qa/invocations"
    assert outputs["endpoint_url"] == "https://w/ml/endpoints/agents_main-default-qa"
    assert outputs["inference_tables"]["payload_request_logs"] == "main.default.qa_payload_request_logs"
    feedback, entity = outputs["served_entities"]
    assert entity["query_endpoint"].endswith("/served-models/main-default-qa_1/invocations")
    assert feedback["query_endpoint"].endswith("/served-models/feedback/invocations")
    assert feedback["traffic_percentage"] == 0


def test_what_is_declared_of_all_versions_and_of_the_endpoint_reaches_it(workspace: Workspace) -> None:
    timeouts: list[pulumi.CustomTimeouts | None] = []

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        if args.type_ == ENDPOINT:
            timeouts.append(args.opts.custom_timeouts)

    profile = "arn:aws:iam::123456789012:instance-profile/agents"
    told = {"description": "Answers.", "budget_policy_id": "policy-1", "tags": {"team": "search"}}
    compute = {"instance_profile_arn": profile, "workload_type": "GPU_SMALL", "scale_to_zero": True}
    durations = {"create": "45m", "update": "50m", "delete": "10m"}
    opts = pulumi.ResourceOptions(transformations=[look])
    deploy({"model_version": "1", **told, **compute, "timeouts": durations}, opts)
    endpoint = workspace.resources[ENDPOINT, "qa"]
    assert (endpoint["description"], endpoint["budgetPolicyId"]) == ("Answers.", "policy-1")
    assert endpoint["tags"] == {"MONITOR_EXPERIMENT_ID": "77", "team": "search"}
    entity = endpoint["servedEntities"]["main-default-qa_1"]
    assert (entity["instanceProfileArn"], entity["workloadType"]) == (profile, "GPU_SMALL")
    assert entity["scaleToZeroEnabled"] is True
    [given] = timeouts
    assert given
    assert {"create": given.create, "update": given.update, "delete": given.delete} == durations


@pytest.mark.parametrize("given", [{}, {"route_optimized": False}, {"route_optimized": True}])
def test_a_route_optimized_endpoint_is_asked_at_its_own_url(workspace: Workspace, given: dict[str, bool]) -> None:
    outputs = deploy({"model_version": "1", **given})
    assert workspace.resources[ENDPOINT, "qa"].get("routeOptimized") == given.get("route_optimized")
    workspaces = "https://w/serving-endpoints/agents_main-default-qa/invocations"
    assert outputs["query_endpoint"] == ("https://own.w/1/invocations" if given.get("route_optimized") else workspaces)
    assert outputs["endpoint_url"] == "https://w/ml/endpoints/agents_main-default-qa"


@pytest.mark.parametrize("given", ["yes", pulumi.Output.from_input(True)])
def test_whether_it_is_route_optimized_is_plain(workspace: Workspace, given: Any) -> None:
    with pytest.raises(DeploymentError, match="route_optimized"):
        deploy({"model_version": "1", "route_optimized": given})
    assert (ENDPOINT, "qa") not in workspace.resources


def test_secrets_go_to_a_scope_and_the_endpoint_gets_references(workspace: Workspace) -> None:
    own = {"LATE": pulumi.Output.from_input("plain"), "KEY": pulumi.Output.secret("of version 2")}
    deploy(
        {
            "versions": [{"version": "1"}, {"version": "2", "environment": own}],
            "traffic": {"1": 100, "2": 0},
            "environment": {"KEY": pulumi.Output.secret("shared"), "REF": "{{secrets/team/key}}", "PLAIN": "x"},
        }
    )
    assert workspace.resources[SCOPE, "qa-secrets"]["name"] == "agents_main-default-qa"
    assert workspace.resources[SECRET, "qa-secret-KEY"]["value"]["value"] == "shared"
    assert workspace.resources[SECRET, "qa-secret-KEY-2"]["value"]["value"] == "of version 2"
    entities = workspace.resources[ENDPOINT, "qa"]["servedEntities"]
    reference = "{{secrets/agents_main-default-qa/KEY-0a1b2c3}}"
    assert entities["main-default-qa_1"]["environmentVars"]["KEY"] == reference
    two = entities["main-default-qa_2"]["environmentVars"]
    assert two["KEY"] == "{{secrets/agents_main-default-qa/KEY-own-0a1b2c3}}"
    assert (two["REF"], two["PLAIN"], two["LATE"]) == ("{{secrets/team/key}}", "x", "plain")


def test_credentials_in_plain_text_are_warned_of_once_beside_the_component(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[tuple[str, str]] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, resource: warnings.append((text, resource._name)))
    own = {"DB_PASSWORD": pulumi.Output.from_input("hunter2"), "STYLE": "short"}
    shared = {"SEARCH_KEY": "plain-text", "KEY": pulumi.Output.secret("hidden-one"), "API_KEY": "{{secrets/team/key}}"}
    deploy({"versions": [{"version": "1", "environment": own}], "environment": shared})
    [(text, component)] = warnings
    assert component == "qa"
    assert text.startswith(
        "environment['SEARCH_KEY'], versions[0].environment['DB_PASSWORD']: seem to hold credentials"
    )
    assert not any(value in text for value in ("hunter2", "plain-text", "hidden-one"))
    assert (ENDPOINT, "qa") in workspace.resources


def test_without_secrets_there_is_no_scope_and_without_permissions_no_acl(workspace: Workspace) -> None:
    deploy({"model_version": "1", "environment": {"A": "1"}})
    assert {typ for typ, _ in workspace.resources if typ.startswith(("agent-deploy", "databricks"))} == {
        ENDPOINT,
        REGISTRATION,
        "agent-deploy:index:AgentDeployment",
        "agent-deploy:index:FeedbackModel",
        FEEDBACK,
        TABLES,
        DERIVED,
        FILE,
        PIPELINE,
        JOB,
    }


def test_what_was_served_before_stays_at_nothing_as_it_was_but_with_the_current_secret(workspace: Workspace) -> None:
    environment = {"REF": pulumi.Output.secret("new"), "PLAIN": "new"}
    deploy({"model_version": "5", "keep_previous": 1, "environment": environment})
    endpoint = workspace.resources[ENDPOINT, "qa"]
    assert endpoint["traffic"] == {"main-default-qa_5": 100, "main-default-qa_4": 0, "feedback": 0}
    assert endpoint["servedEntities"]["main-default-qa_4"]["environmentVars"] == {
        "REF": "{{secrets/agents_main-default-qa/REF-0a1b2c3}}",
        "PLAIN": "old",
    }


def test_another_secret_than_all_versions_have_is_not_exchanged_in_a_version_that_is_kept(workspace: Workspace) -> None:
    args = {"model_version": "5", "keep_previous": 1, "environment": {"REF": pulumi.Output.secret("new")}}
    by_hand = "{{secrets/agents_main-default-qa/theirs}}"
    workspace.before["REF"] = by_hand
    deploy(args)
    kept = workspace.resources[ENDPOINT, "qa"]["servedEntities"]["main-default-qa_4"]
    assert kept["environmentVars"]["REF"] == by_hand
    workspace.before["REF"] = "{{secrets/agents_main-default-qa/REF-own-0000000}}"
    with pytest.raises(DeploymentError, match="keep_previous 1: expected version 4 in versions, as REF is a secret"):
        deploy(args)


def test_permissions_go_to_the_endpoints_id(workspace: Workspace) -> None:
    deploy({"model_version": "1", "permissions": [{"group_name": "users", "level": "CAN_QUERY"}]})
    acl = workspace.resources[PERMISSIONS, "qa-permissions"]
    assert acl["servingEndpointId"] == "e1"
    assert acl["accessControls"] == [{"groupName": "users", "permissionLevel": "CAN_QUERY"}]


def test_every_version_is_registered_the_newest_last(workspace: Workspace) -> None:
    outputs = deploy({"versions": [{"version": "5"}, {"version": "3"}], "traffic": {"5": 90, "3": 10}})
    registered = [inputs for (typ, _), inputs in workspace.resources.items() if typ == REGISTRATION]
    assert [each["servedEntityName"] for each in registered] == ["main-default-qa_3", "main-default-qa_5"]
    assert registered[0] == {
        "modelName": MODEL,
        "modelVersion": "3",
        "endpointName": "agents_main-default-qa",
        "servedEntityName": "main-default-qa_3",
        "experimentId": "77",
    }
    assert outputs["review_app_url"] == "https://w/review-v2/5"


@pytest.mark.parametrize(
    ("named", "experiment"),
    [
        ({"environment": {"MLFLOW_EXPERIMENT_ID": "88"}}, "88"),
        ({"environment": {"MLFLOW_EXPERIMENT_ID": "88"}, "experiment_id": "88"}, "88"),
        ({"experiment_id": "88"}, "88"),
        ({"environment": {"MLFLOW_EXPERIMENT_ID": "{{secrets/team/key}}"}}, "77"),
        ({"versions": [{"version": "1", "environment": {"MLFLOW_EXPERIMENT_ID": "88"}}]}, "77"),
    ],
)
def test_the_experiment_that_the_program_names_is_everyones(
    workspace: Workspace, named: dict[str, Any], experiment: str
) -> None:
    reviewers = {"reviewers": [{"group_name": "users"}]}
    deploy({"versions": [{"version": "1"}], "auth": "SERVICE_PRINCIPAL", "review_app": reviewers, **named})
    assert workspace.resources[ENDPOINT, "qa"]["tags"] == {"MONITOR_EXPERIMENT_ID": experiment}
    assert workspace.resources[REGISTRATION, "qa-registration-v1"]["experimentId"] == experiment
    for child in ("qa-reviewer-group-users-experiment", "qa-v1-permission-experiment"):
        assert workspace.resources[PERMIT, child]["objectId"] == experiment


def test_registration_can_be_turned_off(workspace: Workspace) -> None:
    outputs = deploy({"model_version": "1", "review_app": {"enabled": False}})
    assert REGISTRATION not in {typ for typ, _ in workspace.resources}
    assert outputs["review_app_url"] == "https://w/ml/review-v2/chat?endpoint=agents_main-default-qa"


def test_reviewers_may_ask_and_write_assessments_and_stand_in_the_one_list_of_permissions(workspace: Workspace) -> None:
    reviewers = [{"group_name": "users"}, {"service_principal_name": "app"}]
    deploy({"model_version": "1", "review_app": {"reviewers": reviewers, "instructions": "Be kind."}})
    given = {
        name: (inputs["objectType"], inputs["objectId"], inputs["principalKind"], inputs["level"])
        for (typ, name), inputs in workspace.resources.items()
        if typ == PERMIT
    }
    assert given == {
        "qa-reviewer-group-users-endpoint": ("serving-endpoints", "e1", "group", "CAN_QUERY"),
        "qa-reviewer-group-users-experiment": ("experiments", "77", "group", "CAN_EDIT"),
        "qa-reviewer-service_principal-app-endpoint": ("serving-endpoints", "e1", "service_principal", "CAN_QUERY"),
        "qa-reviewer-service_principal-app-experiment": ("experiments", "77", "service_principal", "CAN_EDIT"),
    }
    assert workspace.resources[REGISTRATION, "qa-registration-v1"]["instructions"] == "Be kind."
    assert PERMISSIONS not in {typ for typ, _ in workspace.resources}
    permissions = [{"group_name": "users", "level": "CAN_MANAGE"}]
    deploy({"model_version": "1", "permissions": permissions, "review_app": {"reviewers": reviewers}})
    assert workspace.resources[PERMISSIONS, "qa-permissions"]["accessControls"] == [
        {"groupName": "users", "permissionLevel": "CAN_MANAGE"},
        {"servicePrincipalName": "app", "permissionLevel": "CAN_QUERY"},
    ]
    assert workspace.resources[PERMIT, "qa-reviewer-group-users-endpoint"]["level"] == "CAN_MANAGE"


@pytest.mark.parametrize(
    ("review_app", "said"),
    [
        ({"reviewers": [{"group_name": "nobody"}]}, "review_app.reviewers[0].group_name: there is no nobody"),
        ({"reviewers": [{"group_name": "users", "user_name": "ann"}]}, "expected exactly one of user_name"),
        ({"reviewers": [{}]}, "review_app.reviewers[0]: expected exactly one of user_name"),
        ({"reviewers": [{"group_name": "users"}] * 2}, "review_app.reviewers[1] 'users': expected each reviewer once"),
        ({"reviewers": [{"group_name": "admins"}]}, "'admins': expected another group. The admins may review anyhow"),
        ({"reviewers": [{"user": "ann"}]}, "review_app.reviewers[0].user: expected a name that AgentDeployment knows"),
        ({"enabled": False, "instructions": "x"}, "review_app.instructions: expected nothing"),
        ({"instructions": 3}, "review_app.instructions 3: expected a string"),
        ({"reviewers": "users"}, "review_app.reviewers 'users': expected a list, such as"),
        ({"reviewers": ["users"]}, "review_app.reviewers[0] 'users': expected an entry as in"),
        ({"instruction": "x"}, "Did you mean instructions?"),
    ],
)
def test_mistakes_about_reviewers_are_told(workspace: Workspace, review_app: dict[str, Any], said: str) -> None:
    with pytest.raises(DeploymentError) as raised:
        deploy({"model_version": "1", "review_app": review_app})
    assert said in str(raised.value)
    assert ENDPOINT not in {typ for typ, _ in workspace.resources}


def test_an_alias_is_resolved_when_the_program_runs(workspace: Workspace) -> None:
    deploy({"versions": [{"alias": "champion"}]})
    assert sorted(workspace.resources[ENDPOINT, "qa"]["traffic"]) == ["feedback", "main-default-qa_3"]


def test_an_empty_list_is_an_endpoint_ahead_of_its_first_version(workspace: Workspace) -> None:
    deploy({"versions": []})
    endpoint = workspace.resources[ENDPOINT, "qa"]
    assert endpoint.get("servedEntities") == endpoint.get("traffic") == {}


def test_feedback_is_opt_out_and_waits_for_the_first_version(workspace: Workspace) -> None:
    without: list[dict[str, Any]] = [{"model_version": "1", "feedback_model": False}, {"versions": []}]
    for args in without:
        workspace.resources.clear()
        deploy(args)
        assert not [typ for typ, _ in workspace.resources if "Feedback" in typ]
        assert "feedback" not in workspace.resources[ENDPOINT, "qa"]["servedEntities"]
        assert not workspace.asked[-1].get("feedbackModel")
    deploy({"model_version": "1"})
    assert workspace.asked[-1]["feedbackModel"] == "main.default.feedback"


def test_the_feedback_model_stands_alone(workspace: Workspace) -> None:
    found: dict[str, Any] = {}

    @pulumi.runtime.test
    def program() -> pulumi.Output[Any]:
        model = FeedbackModel("mine", {"catalog": "main", "schema": pulumi.Output.from_input("agents")})
        return pulumi.Output.all(name=model.model_name, version=model.version, created=model.created).apply(
            found.update
        )

    program()
    assert workspace.resources[FEEDBACK, "mine"] == {
        "modelName": "main.agents.feedback",
        "ownerMark": "agents/dev/mine",
    }
    assert found == {"name": "main.agents.feedback", "version": "2", "created": False}


def test_inference_tables_can_be_off_or_elsewhere(workspace: Workspace) -> None:
    deploy({"model_version": "1", "inference_tables": {"enabled": False}})
    assert workspace.resources[ENDPOINT, "qa"]["aiGateway"] == {}
    deploy({"model_version": "1", "inference_tables": {"derive": False}})
    assert not {DERIVED, FILE, PIPELINE, JOB} & {typ for typ, _ in workspace.resources}
    deploy({"model_version": "1", "inference_tables": {"catalog": "logs", "schema": "agents", "prefix": "exact"}})
    assert workspace.resources[ENDPOINT, "qa"]["aiGateway"]["inferenceTableConfig"] == {
        "catalogName": "logs",
        "schemaName": "agents",
        "tableNamePrefix": "exact",
    }


def test_every_problem_is_told_at_once_and_nothing_is_registered(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError) as raised:
        deploy(
            {
                "versions": [{"version": "9"}, {"alias": "champion"}, {"version": "3"}],
                "traffic": {"9": 100, "champion": 0, "3": 0},
                "environment": {"REF": "{{secrets/other/key}}", "KEY": pulumi.Output.secret("never")},
                "workload_size": "Huge",
            }
        )
    text = str(raised.value)
    assert "versions[0]: main.default.qa has no version 9" in text
    assert "environment['REF']: there is no {{secrets/other/key}}" in text
    assert "workload_size 'Huge': expected one of" in text
    assert "versions[2] '3': expected another version than versions[1] (champion)" in text
    components = {"agent-deploy:index:AgentDeployment", TABLES, "pulumi:pulumi:Stack"}
    assert {typ for typ, _ in workspace.resources} <= components


GRANT = "databricks:index/grant:Grant"
PRINCIPAL = "agent-deploy:index:ServicePrincipal"


def test_each_version_is_a_service_principal_of_its_own_with_least_privilege(workspace: Workspace) -> None:
    warehouse = {"kind": "sql_warehouse", "name": "abc123"}
    deploy(
        {
            "versions": [{"version": "1"}, {"version": "2"}],
            "traffic": {"1": 90, "2": 10},
            "auth": "SERVICE_PRINCIPAL",
            "resources": [warehouse],
            "rotation_days": 30,
            "secret_lifetime_days": 60,
        }
    )
    assert workspace.resources[PRINCIPAL, "qa-v1"]["displayName"] == "main-default-qa_1"
    for version in ("1", "2"):
        grants = {
            n: i["privileges"] for (t, n), i in workspace.resources.items() if t == GRANT and f"-v{version}-" in n
        }
        assert grants == {
            f"qa-v{version}-grant-catalog-main": ["USE_CATALOG"],
            f"qa-v{version}-grant-schema-main.default": ["USE_SCHEMA"],
            f"qa-v{version}-grant-table-main.default.docs": ["SELECT"],
        }
        assert workspace.resources[PERMIT, f"qa-v{version}-permission-sql/warehouses-abc123"]["level"] == "CAN_USE"
        assert workspace.resources[PERMIT, f"qa-v{version}-permission-experiment"]["objectId"] == "77"
    secret = workspace.resources["agent-deploy:index:ServicePrincipalSecret", "qa-v1-oauth-secret"]
    assert secret["lifetime"] == "5184000s"
    assert secret["timeRotating"].endswith("/30d")
    variables = workspace.resources[ENDPOINT, "qa"]["servedEntities"]["main-default-qa_2"]["environmentVars"]
    assert variables["DATABRICKS_HOST"] == "https://w"
    assert variables["DATABRICKS_CLIENT_SECRET"] == "{{secrets/agents_main-default-qa_2/client-secret-0a1b2c3}}"
    requirements = workspace.asked[0]["requirements"]
    assert requirements["createServicePrincipal"] is True
    assert requirements["grant"] is True


def test_what_everybody_has_is_not_granted(workspace: Workspace) -> None:
    workspace.open_to_all = [{"securableType": "catalog", "name": "main", "privilege": "USE_CATALOG"}]
    deploy({"model_version": "1", "auth": "SERVICE_PRINCIPAL"})
    grants = {name for typ, name in workspace.resources if typ == GRANT}
    assert grants == {"qa-v1-grant-schema-main.default", "qa-v1-grant-table-main.default.docs"}


def test_a_service_principal_of_the_users_is_only_added_to(workspace: Workspace) -> None:
    given = {"application_id": "app", "client_secret": pulumi.Output.secret("s3cret")}
    deploy({"model_version": "1", "auth": "SERVICE_PRINCIPAL", "service_principal": given})
    types = {typ for typ, _ in workspace.resources}
    assert PRINCIPAL not in types
    assert GRANT not in types
    grant = workspace.resources["agent-deploy:index:SecurableGrant", "qa-principal-grant-table-main.default.docs"]
    assert (grant["principal"], grant["privileges"]) == ("app", ["SELECT"])
    variables = workspace.resources[ENDPOINT, "qa"]["servedEntities"]["main-default-qa_1"]["environmentVars"]
    assert variables["DATABRICKS_CLIENT_ID"] == "app"
    assert (
        variables["DATABRICKS_CLIENT_SECRET"] == "{{secrets/agents_main-default-qa/DATABRICKS_CLIENT_SECRET-0a1b2c3}}"
    )


def test_a_service_principal_whose_secret_turns_out_to_be_none_is_told_and_none_is_made(workspace: Workspace) -> None:
    given = {"application_id": "app", "client_secret": pulumi.Output.from_input(None)}
    with pytest.raises(DeploymentError, match="client_secret: expected an OAuth secret"):
        deploy({"model_version": "1", "auth": "SERVICE_PRINCIPAL", "service_principal": given})
    assert PRINCIPAL not in {typ for typ, _ in workspace.resources}


def test_passthrough_declares_no_identity_and_says_what_the_platform_will_grant(workspace: Workspace) -> None:
    outputs = deploy({"model_version": "1"})
    assert PRINCIPAL not in {typ for typ, _ in workspace.resources}
    assert outputs["identities"] == [
        {
            "version": "1",
            "auth": "PASSTHROUGH",
            "application_id": "",
            "access": [
                "USE_CATALOG on Catalog 'main'",
                "USE_SCHEMA on Schema 'main.default'",
                "SELECT on Table 'main.default.docs'",
            ],
            "user_scopes": [],
        }
    ]


def test_a_program_pays_for_nothing_heavy() -> None:
    heavy = ("pulumi_databricks", "databricks.sdk", "mlflow", "pandas", "fastapi", "sqlalchemy", "httpx")
    program = f"import sys, agent_deploy; agent_deploy.AgentDeployment; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_misspelt_argument_is_told_with_the_nearest_name(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError) as raised:
        deploy(
            {
                "versions": [{"version": "1", "trafic_percentage": 100}],
                "scale_to_zer": True,
                "inference_tables": {"enable": False},
            }
        )
    text = str(raised.value)
    assert "scale_to_zer: expected a name that AgentDeployment knows. Did you mean scale_to_zero?" in text
    assert (
        "versions[0].trafic_percentage: expected a name that AgentDeployment knows. Did you mean traffic_percentage?"
        in text
    )
    assert "inference_tables.enable: expected a name that AgentDeployment knows. Did you mean enabled?" in text


def test_what_is_misshapen_is_told_with_an_example(workspace: Workspace) -> None:
    misshapen = {
        "versions": ["3"],
        "permissions": {"group_name": "users"},
        "environment": ["KEY=hush"],
        "tags": "team",
        "scale_to_zer": True,
    }
    with pytest.raises(DeploymentError) as raised:
        deploy(misshapen)
    text = str(raised.value)
    for expected in (
        """versions[0] '3': expected an entry as in [{"version": "3"}]""",
        "permissions {'group_name': 'users'}: expected a list",
        """environment: expected names and values, such as {"KEY": "value"}""",
        "tags 'team': expected names and values",
        "scale_to_zer: expected",
    ):
        assert expected in text
    assert "hush" not in text
    hushed = {"version": "3", "environment": {"DATABRICKS_TOKEN": "hush"}}
    for versions, field in ((hushed, "versions"), ([[hushed]], r"versions\[0\]")):
        with pytest.raises(DeploymentError, match=f"{field}: expected") as raised:
            deploy({"versions": versions})
        assert "hush" not in str(raised.value)
    with pytest.raises(DeploymentError, match=r"versions\[0\].environment: expected names and values"):
        deploy({"versions": [{"version": "3", "environment": "KEY"}]})


def test_an_entry_that_is_misshapen_hides_nothing_else_of_its_list(workspace: Workspace) -> None:
    unset: Any = None
    with pytest.raises(DeploymentError) as raised:
        deploy(
            {
                "versions": ["3", {"version": "9", "workload_size": "Huge"}, {"version": "4", "environment": "KEY"}],
                "traffic": {"3": 90, "9": 5, "4": 5},
                "permissions": [unset, {"group_name": "nobody", "level": "CAN_QUERY"}, {"group_name": "users"}],
                "review_app": {"reviewers": ["ann", {}], "instructions": 3},
                "resources": ["main.default.docs", {"kind": "tabel", "name": "main.default.docs"}],
            }
        )
    told = [line.removeprefix("  - ") for line in str(raised.value).splitlines()[1:]]
    assert [re.split(": | '", line)[0] for line in told] == [
        "versions[0]",
        "versions[2].environment",
        "permissions[0]",
        "review_app.reviewers[0]",
        "resources[0]",
        "resources[1].kind",
        "versions[1].workload_size",
        "permissions[2].level",
        "review_app.reviewers[1]",
        "review_app.instructions 3",
        "versions[1]",
        "permissions[1].group_name",
    ]


def test_shares_are_judged_when_all_versions_can_be(workspace: Workspace) -> None:
    second = {"version": "4", "traffic_percentage": 10}
    with pytest.raises(DeploymentError) as raised:
        deploy({"versions": ["3", second]})
    assert "traffic" not in str(raised.value)
    with pytest.raises(DeploymentError, match="expected percentages that sum to 100"):
        deploy({"versions": [{"version": "3", "traffic_percentage": 80, "environment": "KEY"}, second]})


def test_a_secret_where_none_can_be_kept_is_told_with_its_field(workspace: Workspace) -> None:
    hidden = pulumi.Output.secret("hush")
    args = {"tags": {"team": hidden}, "permissions": [{"group_name": hidden, "level": "CAN_QUERY"}]}
    with pytest.raises(DeploymentError) as raised:
        deploy({"model_version": "3", "environment": {"KEY": hidden}, **args})
    assert "tags['team']: expected a value that is no secret" in str(raised.value)
    assert "permissions[0].group_name: expected a value that is no secret" in str(raised.value)
    assert "KEY" not in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_secret_for_a_variable_that_is_fixed_is_told_as_another_value_is(workspace: Workspace) -> None:
    hidden = pulumi.Output.secret("hush")
    own = {"RETURN_REQUEST_ID_IN_RESPONSE": hidden, "KEY": hidden}
    with pytest.raises(DeploymentError) as raised:
        deploy({"environment": {"ENABLE_MLFLOW_TRACING": hidden}, "versions": [{"version": "9", "environment": own}]})
    why = "Agents need it to trace and to answer with request ids; leave it out"
    assert str(raised.value).splitlines()[1:] == [
        f"  - environment['ENABLE_MLFLOW_TRACING']: expected 'true', and no secret. {why}",
        f"  - versions[0].environment['RETURN_REQUEST_ID_IN_RESPONSE']: expected 'true', and no secret. {why}",
        "  - versions[0]: main.default.qa has no version 9",
    ]
    assert SECRET not in {typ for typ, _ in workspace.resources}


def test_a_client_secret_that_is_no_string_is_not_shown(workspace: Workspace) -> None:
    wrong: Any = {"application_id": RUNNER, "client_secret": {"value": "hush-hush"}}
    with pytest.raises(DeploymentError) as raised:
        deploy({"auth": "SERVICE_PRINCIPAL", "service_principal": wrong, "versions": [{"version": "3"}]})
    assert "service_principal.client_secret: expected a string" in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_tag_without_a_value_is_told_and_not_left_out(workspace: Workspace) -> None:
    unset: Any = None  # as os.environ.get() has it
    with pytest.raises(DeploymentError) as raised:
        deploy({"tags": {"team": unset, "cost": "1"}, "versions": [{"version": "3"}]})
    assert "tags['team']: expected a string, and not None" in str(raised.value)
    assert "['cost']" not in str(raised.value)


def test_a_variable_without_a_value_is_told_and_not_left_out(workspace: Workspace) -> None:
    unset: Any = None  # as os.environ.get() has it
    with pytest.raises(DeploymentError) as raised:
        deploy({"environment": {"A": unset}, "versions": [{"version": "3", "environment": {"B": unset, "C": "1"}}]})
    assert "environment['A']: expected a string, and not None" in str(raised.value)
    assert "versions[0].environment['B']: expected a string, and not None" in str(raised.value)
    assert "['C']" not in str(raised.value)
    with pytest.raises(DeploymentError, match=r"versions\[0\].traffic_percentage 'all': expected a whole number"):
        deploy({"versions": [{"version": "3", "traffic_percentage": "all"}]})


@pytest.mark.parametrize("component", [AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables])
def test_arguments_stand_as_keywords_or_in_one_dict_and_not_both(workspace: Workspace, component: Any) -> None:
    name = component.__name__
    with pytest.raises(pulumi.RunError, match=f"{name} takes its arguments by keyword or as one dict, not both: opt"):
        component("docs", {}, optts=None)
    assert list(inspect.signature(component).parameters) == ["name", "args", "opts"]


def test_keywords_are_the_same_as_the_dict(workspace: Workspace) -> None:
    given: Any = {"model_name": MODEL, "model_version": "1", "tags": {"team": "search"}}

    @pulumi.runtime.test
    def program() -> None:
        AgentDeployment("one", given, pulumi.ResourceOptions(protect=True))
        AgentDeployment("two", opts=pulumi.ResourceOptions(protect=True), endpoint_name="second", **given)

    program()
    one, two = (workspace.resources[ENDPOINT, name] for name in ("one", "two"))
    assert {**one, "name": "second", "ownerMark": "agents/dev/two"} == two


@pytest.mark.parametrize("component", [AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["hush"], "and not as a value of type list"),
        ("hush", "and not as a value of type str"),
        (None, "and not as None"),
    ],
)
def test_arguments_that_are_no_dict_are_told_without_a_traceback(
    workspace: Workspace, component: Any, given: object, why: str
) -> None:
    name = component.__name__
    for call in (lambda: component("docs", given), lambda: component("docs", args=given)):
        with pytest.raises(pulumi.RunError) as raised:
            call()
        assert isinstance(raised.value, TypeError)
        assert str(raised.value) == (
            f'{name} takes its arguments by keyword or as one dict, {why}: write {name}("name", …=…, opts=…)'
        )


def test_wrong_values_are_told_in_the_one_list_an_output_as_well(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError) as raised:
        deploy(
            {
                "versions": [{"version": "1", "scale_to_zero": pulumi.Output.from_input("no")}],
                "inference_tables": {"serverless": "yes", "cluster_policy_id": "p"},
                "timeouts": {"create": "45 minutes", "updaet": "45m"},
            }
        )
    assert str(raised.value).splitlines()[1:] == [
        "  - timeouts.updaet: expected a name that AgentDeployment knows. Did you mean update?",
        "  - timeouts.create '45 minutes': expected a duration above zero of hours, minutes and seconds, such as "
        '"45m", "1h30m" or "90s"',
        "  - versions[0].scale_to_zero 'no': expected True or False",
        "  - inference_tables.serverless 'yes': expected True or False",
    ]
    assert (ENDPOINT, "qa") not in workspace.resources


def test_a_principal_that_does_not_exist_is_told_also_where_it_is_an_output(workspace: Workspace) -> None:
    lost = {"group_name": pulumi.Output.from_input("lost"), "level": "CAN_VIEW"}
    with pytest.raises(DeploymentError, match=r"permissions\[1\].group_name: there is no lost"):
        deploy({"model_version": "1", "permissions": [{"group_name": "users", "level": "CAN_QUERY"}, lost]})
    stranger = {"application_id": "stranger", "client_secret": "{{secrets/team/key}}"}
    with pytest.raises(DeploymentError, match=r"service_principal.application_id: there is no stranger"):
        deploy({"model_version": "1", "auth": "SERVICE_PRINCIPAL", "service_principal": stranger})
    with pytest.raises(DeploymentError, match=r"permissions\[0\].group_name: there is no nobody"):
        deploy({"model_version": "1", "permissions": [{"group_name": "nobody", "level": "CAN_QUERY"}]})
