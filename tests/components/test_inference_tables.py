"""InferenceTables against Pulumi's mocks: pipeline, job, grants and retention that the arguments mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi.runtime
import pytest

from agent_deploy import InferenceTables
from agent_deploy.components.errors import DeploymentError
from agent_deploy.tables.source import pipeline_source
from tests.components.mocked import in_use

GATEWAY = "agent-deploy:index:EndpointInferenceTable"
DERIVED = "agent-deploy:index:DerivedTables"
GRANT = "agent-deploy:index:SecurableGrant"
PERMIT = "agent-deploy:index:ObjectPermission"
FILE = "agent-deploy:index:WorkspaceFile"
PIPELINE, JOB = "databricks:index/pipeline:Pipeline", "databricks:index/job:Job"
RUNNER = "11111111-2222-3333-4444-555555555555"
HOME = "/Users/ann@example.com/agent-deploy"
PAYLOAD = "main.default.qa_payload"


class Workspace(pulumi.runtime.Mocks):
    """A mock with the endpoint `agents_qa`, which serves main.default.qa; ``pipeline`` is why none may be made."""

    def __init__(self) -> None:
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[str] = []
        self.pipeline = ""
        self.pipeline_asked: Any = None
        self.asked_of: Any = None

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources[args.typ, args.name] = args.inputs
        outputs = dict(args.inputs)
        if args.typ == GATEWAY:
            outputs |= {"payloadTable": PAYLOAD, "switchedOn": True}
        if args.typ == FILE:
            path = f"{args.inputs.get('folder', HOME)}/{args.inputs['name']}"
            outputs |= {"path": path, "workspacePath": f"/Workspace{path}", "objectId": "7"}
        if args.typ == DERIVED:
            payload = args.inputs["payloadTable"]
            outputs |= {"requestLogs": f"{payload}_request_logs", "assessmentLogs": f"{payload}_assessment_logs"}
            outputs |= {"quarantine": f"{payload}_quarantine"}
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        function = args.token.rsplit(":", 1)[-1]
        self.asked.append(function)
        if function == "getEndpointTable":
            return {"modelName": "main.default.qa", "payloadTable": "", "problem": ""}, []
        if function == "getPayloadTable":
            lost = args.args["payloadTable"] == "old.logs.lost_payload"
            return {"dayColumn": "" if lost else "date", "problem": "there is no table" if lost else ""}, []
        assert function == "verifyDeployments"
        [asked] = args.args["deployments"]
        self.pipeline_asked, self.asked_of = asked.get("pipeline"), asked
        problems = [self.pipeline] if self.pipeline else []
        problems += [f"{each['field']} {each['value']!r}" for each in asked["principals"] if each["value"] == "nobody"]
        found = {"problems": problems, "unverified": [], "openToAll": [], "needs": [], "kept": {}, "numbers": []}
        return {"deployments": [found]}, []


@pytest.fixture
def workspace() -> Workspace:
    return in_use(Workspace())


def declare(**args: Any) -> Mapping[str, Any]:
    """Runs a program with the tables of one endpoint; returns their names."""
    outputs: dict[str, Any] = {}

    @pulumi.runtime.test
    def program() -> pulumi.Output[Any]:
        declared: Any = {"endpoint_name": "agents_qa", **args}
        tables = InferenceTables("logs", declared)
        return pulumi.Output.all(names=tables.table_names, job=tables.job_id).apply(outputs.update)

    program()
    return outputs


def test_an_endpoint_of_others_gets_tables_beside_its_model_derived_hourly(workspace: Workspace) -> None:
    names = declare()["names"]
    assert names["payload"] == PAYLOAD
    assert names["payload_assessment_logs"] == f"{PAYLOAD}_assessment_logs"
    gateway = workspace.resources[GATEWAY, "logs-payload"]
    assert (gateway["catalogName"], gateway["schemaName"], gateway["tableNamePrefixHint"]) == ("main", "default", "qa")
    file = workspace.resources[FILE, "logs-source"]
    # Without a folder the provider takes one in the home of who deploys first.
    assert file == {"name": f"{PAYLOAD}/derivation.py", "content": pipeline_source()}
    pipeline = workspace.resources[PIPELINE, "logs-pipeline"]
    assert (pipeline["serverless"], pipeline["continuous"], pipeline["catalog"]) == (True, False, "main")
    assert pipeline["libraries"] == [{"file": {"path": f"/Workspace{HOME}/{PAYLOAD}/derivation.py"}}]
    settings = pipeline["configuration"]
    assert settings["agent_deploy.payload_table"] == "`main`.`default`.`qa_payload`"
    assert settings["agent_deploy.endpoint_name"] == "agents_qa"
    job = workspace.resources[JOB, "logs-job"]
    assert job["tasks"] == [{"taskKey": "derive", "pipelineTask": {"pipelineId": "logs-pipeline-id"}}]
    assert job["schedule"] == {"quartzCronExpression": "0 0 * * * ?", "timezoneId": "UTC", "pauseStatus": "UNPAUSED"}


def test_a_continuous_pipeline_needs_no_job_and_a_triggered_one_no_clock(workspace: Workspace) -> None:
    assert declare(schedule="continuous")["job"] == ""
    assert workspace.resources[PIPELINE, "logs-pipeline"]["continuous"] is True
    assert JOB not in {kind for kind, _ in workspace.resources}
    declare(schedule="triggered")
    assert "schedule" not in workspace.resources[JOB, "logs-job"]


@pytest.mark.parametrize(
    ("schedule", "tasks", "cron"),
    [("0 30 6 ? * MON", ["derive", "retention"], "0 30 6 ? * MON"), ("continuous", ["retention"], "0 0 3 * * ?")],
)
def test_old_rows_are_deleted_by_the_job_after_they_were_derived(
    workspace: Workspace, schedule: str, tasks: list[str], cron: str
) -> None:
    declare(schedule=schedule, retention_days=30, warehouse_id="w1", schedule_timezone="Europe/Berlin")
    job = workspace.resources[JOB, "logs-job"]
    assert [task["taskKey"] for task in job["tasks"]] == tasks
    assert job["schedule"]["quartzCronExpression"] == cron
    last = job["tasks"][-1]
    assert last.get("dependsOns", []) == [{"taskKey": task} for task in tasks[:-1]]
    path = f"/Workspace{HOME}/{PAYLOAD}/retention.sql"
    assert last["sqlTask"] == {"warehouseId": "w1", "file": {"path": path, "source": "WORKSPACE"}}
    statements = workspace.resources[FILE, "logs-retention"]["content"]
    assert (
        "DELETE FROM `main`.`default`.`qa_payload` WHERE request_date < current_date() - INTERVAL 30 DAYS;"
        in statements
    )
    assert statements.count("DELETE FROM") == 4


def test_readers_are_given_each_table_and_what_it_is_in(workspace: Workspace) -> None:
    declare(readers=["auditors"])
    granted = {
        (grant["securableType"], grant["fullName"]): grant["privileges"]
        for (kind, _), grant in workspace.resources.items()
        if kind == GRANT
    }
    assert granted == {
        ("catalog", "main"): ["USE_CATALOG"],
        ("schema", "main.default"): ["USE_SCHEMA"],
        **{
            ("table", f"{PAYLOAD}{suffix}"): ["SELECT"]
            for suffix in ("", "_request_logs", "_assessment_logs", "_quarantine")
        },
    }
    # What does not exist cannot be granted: the first update is waited for.
    assert workspace.resources[DERIVED, "logs-derived"]["awaitTables"] is True


def test_files_lie_in_a_folder_of_ones_own_if_that_is_said(workspace: Workspace) -> None:
    declare(source_folder="/Workspace/Users/ci/logs", retention_days=7, warehouse_id="w1")
    files = [workspace.resources[FILE, name] for name in ("logs-source", "logs-retention")]
    assert {file["folder"] for file in files} == {"/Workspace/Users/ci/logs"}
    # Looked at in the preview, as the workspace's API calls it.
    assert workspace.asked_of["sourceFolder"] == {"field": "source_folder", "value": "/Users/ci/logs"}


@pytest.mark.parametrize(
    ("runner", "kind", "run_as"),
    [
        (RUNNER, "service_principal", {"servicePrincipalName": RUNNER}),
        ("logs@example.com", "user", {"userName": "logs@example.com"}),
    ],
)
def test_who_derives_is_given_what_that_takes_and_no_more(
    workspace: Workspace, runner: str, kind: str, run_as: dict[str, str]
) -> None:
    declare(run_as=runner, retention_days=7, warehouse_id="w1")
    assert workspace.resources[PIPELINE, "logs-pipeline"]["runAs"] == run_as
    assert workspace.resources[JOB, "logs-job"]["runAs"] == run_as
    granted = {
        grant["fullName"]: (grant["principal"], grant["privileges"])
        for (type_, _), grant in workspace.resources.items()
        if type_ == GRANT
    }
    assert granted == {
        "main": (runner, ["USE_CATALOG"]),
        "main.default": (runner, ["USE_SCHEMA", "CREATE_TABLE"]),
        PAYLOAD: (runner, ["SELECT", "MODIFY"]),
    }
    permits = {
        name.removeprefix("logs-run-as-"): (each["objectType"], each["objectId"], each["level"], each["principalKind"])
        for (type_, name), each in workspace.resources.items()
        if type_ == PERMIT
    }
    assert permits == {
        "source": ("files", "7", "CAN_RUN", kind),
        "retention": ("files", "7", "CAN_RUN", kind),
        "pipeline": ("pipelines", "logs-pipeline-id", "CAN_RUN", kind),
        "warehouse": ("sql/warehouses", "w1", "CAN_USE", kind),
    }
    assert workspace.pipeline_asked["runAs"] == runner
    assert workspace.asked_of["requirements"]["runAs"] == runner


def test_compute_of_ones_own_takes_a_cluster_policy(workspace: Workspace) -> None:
    declare(cluster_policy_id="p1")
    # Told of the argument that names it, should the workspace refuse.
    assert workspace.pipeline_asked["field"] == "cluster_policy_id"
    pipeline = workspace.resources[PIPELINE, "logs-pipeline"]
    assert pipeline["serverless"] is False
    assert pipeline["clusters"] == [{"label": "default", "policyId": "p1"}]


def test_a_payload_table_that_something_else_fills_is_only_derived_from(workspace: Workspace) -> None:
    names = declare(payload_table="old.logs.bot_payload", delete_on_destroy=True)["names"]
    assert names["payload_request_logs"] == "old.logs.bot_payload_request_logs"
    assert GATEWAY not in {kind for kind, _ in workspace.resources}
    assert workspace.resources[DERIVED, "logs-derived"]["deleteOnDestroy"] is True


def test_old_rows_of_a_payload_table_in_the_old_layout_are_deleted_by_its_own_column(workspace: Workspace) -> None:
    declare(payload_table="old.logs.bot_payload", retention_days=30, warehouse_id="w1")
    statements = workspace.resources[FILE, "logs-retention"]["content"]
    assert "DELETE FROM `old`.`logs`.`bot_payload` WHERE date < current_date() - INTERVAL 30 DAYS;" in statements


def test_the_raw_table_alone_needs_no_pipeline(workspace: Workspace) -> None:
    names = declare(derive=False)["names"]
    assert (names["payload"], names["payload_request_logs"]) == (PAYLOAD, "")
    assert {kind for kind, _ in workspace.resources} & {FILE, PIPELINE, JOB, DERIVED} == set()
    assert workspace.pipeline_asked is None


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"prefix": "a.b"}, "prefix 'a.b': expected 1 to 63 letters"),
    ({"prefix": "x" * 64}, "expected 1 to 63 letters"),
    ({"retention_days": 0, "warehouse_id": "w"}, "retention_days 0: expected a whole number of days from 1"),
    ({"retention_days": 7}, "warehouse_id: expected the id of a SQL warehouse"),
    ({"schedule": "*/5 * * * *"}, "schedule '*/5 * * * *': expected hourly, daily"),
    ({"schedule_timezone": "Mars"}, "schedule_timezone 'Mars': expected a time zone's name"),
    ({"serverless": False}, "cluster_policy_id: expected the id of a cluster policy"),
    ({"serverless": True, "cluster_policy_id": "p"}, "cluster_policy_id 'p': expected nothing"),
    ({"derive": False, "schedule": "daily"}, "schedule 'daily': expected nothing, as derive is False"),
    ({"payload_table": "a.b.c", "prefix": "d"}, "prefix 'd': expected nothing, as payload_table names the table"),
    ({"payload_table": "payload"}, "payload_table 'payload': expected the full name of a payload table"),
    ({"payload_table": "old.logs.lost_payload"}, "payload_table: there is no table"),
    ({"readers": ["nobody"]}, "readers[0] 'nobody'"),
    ({"run_as": "nobody"}, "run_as 'nobody': expected the application id of a service principal, or the e-mail"),
    ({"source_folder": "logs"}, "source_folder 'logs': expected an absolute path in the workspace"),
    ({"source_folder": "/Users/../Shared"}, "expected an absolute path in the workspace"),
    ({"derive": False, "run_as": RUNNER}, f"run_as '{RUNNER}': expected nothing, as derive is False"),
    ({"readers": "auditors"}, "readers 'auditors': expected a list, such as"),
    ({"derive": "no"}, "derive 'no': expected True or False"),
    ({"shedule": "daily"}, "shedule: expected a name that InferenceTables knows. Did you mean schedule?"),
]


@pytest.mark.parametrize(("args", "said"), MISTAKES)
def test_a_mistake_is_told_and_nothing_is_registered(workspace: Workspace, args: dict[str, Any], said: str) -> None:
    with pytest.raises(DeploymentError) as raised:
        declare(**args)
    assert said in str(raised.value)
    assert {kind for kind, _ in workspace.resources} <= {"agent-deploy:index:InferenceTables", "pulumi:pulumi:Stack"}


def test_a_workspace_without_serverless_is_told_with_the_way_out(workspace: Workspace) -> None:
    workspace.pipeline = "the workspace refuses a serverless pipeline: no. Name a cluster_policy_id"
    with pytest.raises(DeploymentError, match="Name a cluster_policy_id"):
        declare()
