"""The stand-in databricks plugin sends what the vendor's does, request by request, and replaces when that does."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.local.databricks_plugin.package import RESOURCES, package
from agent_deploy.provider.resource import UNKNOWN, Context, PartialFailure, UserError, Values
from tests.provider.transcript import FOLDER, playing

APPLICATION = "e72d9cbe-bf6d-4502-9505-9f237568bceb"
SEARCH_ENDPOINT = "f60d54b0-b158-420f-9533-536f88b69a4a"
SECRET = "e853b746-2392-4c7d-936a-a20b306da2b0"
PIPELINE_INPUTS = {
    "name": "p",
    "catalog": "main",
    "schema": "default",
    "serverless": True,
    "continuous": False,
    "configuration": {"agent.prefixName": "qa"},
    "libraries": [{"file": {"path": "/Shared/derive.py"}}],
}
JOB_INPUTS = {"name": "j", "tasks": [{"taskKey": "a", "notebookTask": {"notebookPath": "/x"}}]}
ENDPOINT_INPUTS = {
    "name": "qa",
    "config": {
        "servedEntities": [
            {
                "name": "qa_1",
                "entityName": "main.default.qa",
                "entityVersion": "1",
                "environmentVars": {"A_b": "{{secrets/s/k}}"},
            }
        ],
        "trafficConfig": {"routes": [{"servedModelName": "qa_1", "trafficPercentage": 100}]},
    },
    "tags": [{"key": "team", "value": "x"}],
}

# What each of these makes is what the recordings made: golden file, type, inputs, id.
CREATED: list[tuple[str, str, Values, str]] = [
    ("secret_scope", "SecretScope", {"name": "agent"}, "agent"),
    (
        "secret_acl",
        "SecretAcl",
        {"scope": "agent", "principal": APPLICATION, "permission": "READ"},
        f"agent|||{APPLICATION}",
    ),
    (
        "permissions",
        "Permissions",
        {
            "vectorSearchEndpointId": SEARCH_ENDPOINT,
            "accessControls": [{"groupName": "users", "permissionLevel": "CAN_USE"}],
        },
        f"/vector-search-endpoints/{SEARCH_ENDPOINT}",
    ),
    ("service_principal", "ServicePrincipal", {"displayName": "agent-sp"}, "1003"),
    ("service_principal_secret", "ServicePrincipalSecret", {"servicePrincipalId": "1003"}, SECRET),
    (
        "grant",
        "Grant",
        {"model": "acme.agents.qa", "principal": "users", "privileges": ["EXECUTE"]},
        "model/acme.agents.qa/users",
    ),
    (
        "registered_model",
        "RegisteredModel",
        {"catalogName": "acme", "schemaName": "agents", "name": "qa", "comment": "c1"},
        "acme.agents.qa",
    ),
    (
        "workspace_file",
        "WorkspaceFile",
        {"path": "/Shared/x.txt", "contentBase64": base64.b64encode(b"hi").decode()},
        "/Shared/x.txt",
    ),
    ("pipeline", "Pipeline", PIPELINE_INPUTS, "95c2cb92"),
    ("job", "Job", JOB_INPUTS, "1005"),
    ("secret", "Secret", {"scope": "agent", "key": "openai", "stringValue": "c1"}, "agent|||openai"),
    ("model_serving", "ModelServing", ENDPOINT_INPUTS, "qa"),
]
EACH = pytest.mark.parametrize(("golden", "kind", "inputs", "id"), CREATED, ids=[row[0] for row in CREATED])


class Impatient(Context):
    """A Context that does not wait."""

    def pause(self, seconds: float) -> None:
        pass


def token(kind: str) -> str:
    return f"databricks:index/{kind[0].lower()}{kind[1:]}:{kind}"


def context(kind: str, workspace: Workspace | None = None) -> Context:
    return Impatient(name="it", type=token(kind), configuration=workspace)


def checked(kind: str, inputs: Values, old_inputs: Values | None = None) -> Values:
    good, failures = RESOURCES[token(kind)].check(context(kind), old_inputs or {}, inputs)
    assert failures == []
    return good


def created(golden: str, kind: str, inputs: Values, section: str = "create") -> Any:
    with playing(golden, section) as workspace:
        return RESOURCES[token(kind)].create(context(kind, workspace), checked(kind, inputs))


def read(golden: str, kind: str, id: str, inputs: Values, old: Values, section: str = "read") -> Any:
    with playing(golden, section) as workspace:
        return RESOURCES[token(kind)].read(context(kind, workspace), id, inputs, old)


def changed(kind: str, old_inputs: Values, inputs: Values) -> Any:
    return RESOURCES[token(kind)].diff(
        context(kind), "id", checked(kind, old_inputs), {}, checked(kind, inputs, checked(kind, old_inputs))
    )


@EACH
def test_create_sends_what_the_vendors_plugin_sends(golden: str, kind: str, inputs: Values, id: str) -> None:
    made = created(golden, kind, inputs)
    assert made.id == id
    assert inputs.items() <= made.properties.items()
    assert set(made.properties) <= {*RESOURCES[token(kind)].inputs, *RESOURCES[token(kind)].outputs}


@EACH
def test_refresh_of_what_was_created_is_no_change(golden: str, kind: str, inputs: Values, id: str) -> None:
    made = created(golden, kind, inputs)
    found = read(golden, kind, id, inputs, made.properties)
    assert found.id == id
    assert found.inputs == inputs
    assert found.properties == made.properties
    assert changed(kind, found.inputs, inputs).changes == {}


@EACH
def test_what_was_deleted_by_hand_is_gone(golden: str, kind: str, inputs: Values, id: str) -> None:
    assert read(golden, kind, id, inputs, inputs, "read when gone") is None


@EACH
def test_delete_sends_what_the_vendors_plugin_sends(golden: str, kind: str, inputs: Values, id: str) -> None:
    with playing(golden, "delete") as workspace:
        RESOURCES[token(kind)].delete(context(kind, workspace), id, inputs, inputs)


@EACH
def test_deleting_what_is_gone_is_no_error(golden: str, kind: str, inputs: Values, id: str) -> None:
    with playing(golden, "delete when gone") as workspace:
        RESOURCES[token(kind)].delete(context(kind, workspace), id, inputs, inputs)


@EACH
def test_preview_knows_the_inputs_and_no_more(golden: str, kind: str, inputs: Values, id: str) -> None:
    resource = RESOURCES[token(kind)]
    foreseen = resource.foresee(context(kind), None, inputs)
    assert inputs.items() <= foreseen.items()
    assert {name for name, value in foreseen.items() if value is UNKNOWN} == set(resource.outputs) - set(inputs)


UPDATED: list[tuple[str, str, Values]] = [
    (
        "permissions",
        "Permissions",
        {
            "accessControls": [
                {"groupName": "users", "permissionLevel": "CAN_USE"},
                {"userName": "You@x.com", "permissionLevel": "CAN_MANAGE"},
            ]
        },
    ),
    ("service_principal", "ServicePrincipal", {"displayName": "agent-sp-2", "databricksSqlAccess": True}),
    ("grant", "Grant", {"privileges": ["apply tag"]}),
    ("registered_model", "RegisteredModel", {"comment": "c2"}),
    ("workspace_file", "WorkspaceFile", {"contentBase64": base64.b64encode(b"ho").decode()}),
    ("pipeline", "Pipeline", {"libraries": [{"file": {"path": "/Shared/derive2.py"}}]}),
    ("job", "Job", {"name": "j2"}),
    (
        "model_serving",
        "ModelServing",
        {
            "config": {"servedEntities": [{"name": "qa_2", "entityName": "main.default.qa", "entityVersion": "2"}]},
            "tags": [{"key": "team", "value": "y"}],
        },
    ),
]


@pytest.mark.parametrize(("golden", "kind", "change"), UPDATED, ids=[row[0] for row in UPDATED])
def test_update_in_place_sends_what_the_vendors_plugin_sends(golden: str, kind: str, change: Values) -> None:
    _, _, inputs, id = next(row for row in CREATED if row[1] == kind)
    made, wanted = created(golden, kind, inputs), {**inputs, **change}
    plan = changed(kind, inputs, wanted)
    assert {path[0] for path in plan.changes} == set(change)
    assert not plan.replaces
    with playing(golden, "update") as workspace:
        after = RESOURCES[token(kind)].update(context(kind, workspace), id, inputs, made.properties, wanted)
    assert set(made.properties) | set(change) == set(after)
    assert wanted.items() <= after.items()


# Type, what changes, whether the old one goes first. Everything else is changed in place, or is not there at all.
REPLACED: list[tuple[str, Values, bool]] = [
    ("SecretScope", {"name": "agent2"}, False),
    ("SecretScope", {"initialManagePrincipal": "users"}, True),
    ("SecretAcl", {"permission": "WRITE"}, False),
    ("SecretAcl", {"principal": "users"}, False),
    ("Permissions", {"vectorSearchEndpointId": "other"}, False),
    ("ServicePrincipal", {"applicationId": "other"}, False),
    ("ServicePrincipalSecret", {"lifetime": "3600s"}, False),
    ("ServicePrincipalSecret", {"timeRotating": "2026-01-01"}, False),
    ("Grant", {"model": "acme.agents.other"}, False),
    ("Grant", {"principal": "others"}, False),
    ("RegisteredModel", {"name": "other"}, False),
    ("RegisteredModel", {"schemaName": "other"}, True),
    ("RegisteredModel", {"storageLocation": "s3://other"}, True),
    ("WorkspaceFile", {"path": "/Shared/y.txt"}, False),
    ("Pipeline", {"storage": "dbfs:/x"}, True),
]


@pytest.mark.parametrize(
    ("kind", "change", "old_first"), REPLACED, ids=[f"{k}-{next(iter(c))}" for k, c, _ in REPLACED]
)
def test_replaces_when_the_vendors_plugin_does(kind: str, change: Values, old_first: bool) -> None:
    _, _, inputs, _ = next(row for row in CREATED if row[1] == kind)
    plan = changed(kind, inputs, {**inputs, **change})
    assert {path[0] for path, change in plan.changes.items() if change.replaces} == set(change)
    assert plan.delete_before_replace is old_first


def test_another_catalog_is_an_edit_and_having_one_is_not() -> None:
    without = {name: value for name, value in PIPELINE_INPUTS.items() if name != "catalog"}
    assert not changed("Pipeline", PIPELINE_INPUTS, {**PIPELINE_INPUTS, "catalog": "other"}).replaces
    assert changed("Pipeline", without, PIPELINE_INPUTS).replaces


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("Grant", {"privileges": ["USE_SCHEMA", "SELECT"]}, {"privileges": ["select", "use schema"]}),
        ("RegisteredModel", {"name": "qa"}, {"name": "QA"}),
        (
            "Permissions",
            {"accessControls": [{"userName": "A@x.com", "permissionLevel": "CAN_USE"}]},
            {"accessControls": [{"userName": "a@x.com", "permissionLevel": "CAN_USE"}]},
        ),
    ],
)
def test_what_means_the_same_is_no_change(kind: str, one: Values, other: Values) -> None:
    _, _, inputs, _ = next(row for row in CREATED if row[1] == kind)
    assert changed(kind, {**inputs, **one}, {**inputs, **other}).changes == {}


def test_a_value_that_is_not_known_yet_is_a_change() -> None:
    _, _, inputs, _ = next(row for row in CREATED if row[1] == "Grant")
    plan = changed("Grant", inputs, {**inputs, "privileges": [UNKNOWN]})
    assert list(plan.changes) == [("privileges",)]
    assert changed("Grant", inputs, {**inputs, "principal": UNKNOWN}).replaces


@pytest.mark.parametrize("kind", ["SecretScope", "RegisteredModel", "Pipeline", "Job"])
def test_a_name_is_chosen_once_and_kept(kind: str) -> None:
    _, _, inputs, _ = next(row for row in CREATED if row[1] == kind)
    nameless = {name: value for name, value in inputs.items() if name != "name"}
    first = checked(kind, nameless)
    assert first["name"].startswith("it-")
    assert len(first["name"]) == len("it-") + 7
    assert checked(kind, nameless, first) == first
    assert checked(kind, nameless)["name"] != first["name"]
    assert checked(kind, nameless, {**nameless, "name": "given"})["name"] != "given"


# ---- what only one type does


def test_scope_in_a_key_vault() -> None:
    vault = {"resourceId": "/v", "dnsName": "https://v"}
    inputs = {"name": "kv", "keyvaultMetadata": vault, "initialManagePrincipal": "users"}
    assert created("secret_scope", "SecretScope", inputs, "create in a key vault").properties["backendType"] == (
        "AZURE_KEYVAULT"
    )


def test_what_was_made_is_in_the_state_though_it_cannot_be_read() -> None:
    with pytest.raises(PartialFailure, match="not in the list of scopes") as failure:
        created("secret_scope", "SecretScope", {"name": "agent"}, "create that cannot be read back")
    assert (failure.value.id, failure.value.inputs) == ("agent", {"name": "agent"})


def test_acl_is_put_until_it_shows() -> None:
    inputs = {"scope": "agent", "principal": APPLICATION, "permission": "READ"}
    created("secret_acl", "SecretAcl", inputs, "create that shows late")


@pytest.mark.parametrize(("principal", "section"), [("me@x.com", "one's own"), ("you@x.com", "another's")])
def test_acl_nobody_takes_his_own_management(principal: str, section: str) -> None:
    with playing("secret_acl", f"delete of {section} management") as workspace:
        old = {"scope": "agent", "principal": principal, "permission": "MANAGE"}
        RESOURCES[token("SecretAcl")].delete(context("SecretAcl", workspace), f"agent|||{principal}", old, old)


def test_permissions_on_a_warehouse_name_its_owner() -> None:
    entry = {"servicePrincipalName": APPLICATION, "permissionLevel": "CAN_USE"}
    inputs = {"sqlEndpointId": "d94175de210242d9", "accessControls": [entry]}
    made = created("permissions", "Permissions", inputs, "create on a warehouse")
    assert made.properties["objectType"] == "warehouses"
    with playing("permissions", "delete on a warehouse") as workspace:
        RESOURCES[token("Permissions")].delete(context("Permissions", workspace), made.id, inputs, made.properties)


def test_permissions_by_path_look_the_object_up() -> None:
    inputs = {
        "workspaceFilePath": "/Shared/x.txt",
        "accessControls": [{"groupName": "users", "permissionLevel": "CAN_READ"}],
    }
    assert created("permissions", "Permissions", inputs, "create on a file by its path").id == "/files/77"


def test_permissions_without_an_owner_when_the_workspace_wants_none() -> None:
    inputs = {"jobId": "5", "accessControls": [{"groupName": "users", "permissionLevel": "CAN_VIEW"}]}
    created("permissions", "Permissions", inputs, "create on an object whose owner may not be named")


def test_permissions_that_would_lose_the_object_are_refused() -> None:
    inputs = {"servingEndpointId": "h", "accessControls": [{"userName": "me@x.com", "permissionLevel": "CAN_QUERY"}]}
    with pytest.raises(UserError, match=r"cannot remove management permissions .* allowed levels: CAN_MANAGE"):
        created("permissions", "Permissions", inputs, "create by a caller who would lose the object")


def test_permissions_of_the_caller_alone_are_none() -> None:
    _, _, inputs, id = next(row for row in CREATED if row[1] == "Permissions")
    assert read("permissions", "Permissions", id, inputs, inputs, "read when only the caller is left") is None


def test_a_pipelines_permissions_are_left_at_deletion() -> None:
    inputs = {"pipelineId": "p", "accessControls": [{"groupName": "users", "permissionLevel": "CAN_VIEW"}]}
    RESOURCES[token("Permissions")].delete(context("Permissions"), "/pipelines/p", inputs, inputs)


def test_service_principal_outputs_and_drift() -> None:
    inputs = {"displayName": "agent-sp"}
    made = created("service_principal", "ServicePrincipal", inputs)
    assert made.properties["applicationId"] == APPLICATION
    assert made.properties["aclPrincipalId"] == f"servicePrincipals/{APPLICATION}"
    assert made.properties["home"] == f"/Users/{APPLICATION}"
    found = read("service_principal", "ServicePrincipal", "1003", inputs, made.properties, "read when changed by hand")
    assert found.inputs == {"displayName": "renamed", "active": False, "workspaceAccess": True}


def test_a_principals_secret_is_secret_and_not_read_again() -> None:
    made = created("service_principal_secret", "ServicePrincipalSecret", {"servicePrincipalId": "1003"})
    assert made.properties["secret"] == "dose-of-salt"
    assert RESOURCES[token("ServicePrincipalSecret")].secrets == {"secret"}
    given = {"servicePrincipalId": "1003"}
    found = read(
        "service_principal_secret", "ServicePrincipalSecret", SECRET, given, made.properties, "read on the second page"
    )
    assert found.properties["secret"] == "dose-of-salt"
    assert read("service_principal_secret", "ServicePrincipalSecret", SECRET, given, given, "read when expired") is None


def test_a_principals_secret_with_a_lifetime() -> None:
    inputs = {"servicePrincipalId": "1003", "lifetime": "3600s", "timeRotating": "t"}
    created("service_principal_secret", "ServicePrincipalSecret", inputs, "create with a lifetime")


def test_grant_on_a_schema_whose_answer_is_in_another_order() -> None:
    inputs = {"schema": "acme.agents", "principal": "users", "privileges": ["USE_SCHEMA", "SELECT"]}
    made = created("grant", "Grant", inputs, "create on a schema")
    assert made.id == "schema/acme.agents/users"
    assert made.properties["privileges"] == ["USE_SCHEMA", "SELECT"]


def test_grant_is_sent_once_and_read_until_it_shows() -> None:
    inputs = {"table": "main.a.b", "principal": "users", "privileges": ["SELECT"]}
    created("grant", "Grant", inputs, "create that shows late")


def test_grant_on_a_metastore_of_another_workspace() -> None:
    inputs = {"metastore": "m-1", "principal": "users", "privileges": ["CREATE_CATALOG"]}
    with pytest.raises(UserError, match="m-1 is not the one of this workspace, which is m-2"):
        created("grant", "Grant", inputs, "create on a metastore of another workspace")


def test_model_with_an_owner_is_patched_after_it_is_made() -> None:
    inputs = {"catalogName": "acme", "schemaName": "agents", "name": "qa", "owner": "team"}
    assert created("registered_model", "RegisteredModel", inputs, "create with an owner").properties["owner"] == "team"


def test_file_in_a_folder_that_is_not_there() -> None:
    inputs = {"path": "/Shared/new/x.txt", "contentBase64": base64.b64encode(b"hi").decode()}
    made = created("workspace_file", "WorkspaceFile", inputs, "create in a folder that is not there")
    assert made.properties["objectId"] == 78
    assert made.properties["url"] == "https://ws.example.com/#workspace/Shared/new/x.txt"
    assert made.properties["workspacePath"] == "/Workspace/Shared/new/x.txt"


def test_file_that_may_not_be_written() -> None:
    inputs = {"path": "/Shared/x.txt", "contentBase64": base64.b64encode(b"hi").decode()}
    with pytest.raises(ApiError, match="may not write"):
        created("workspace_file", "WorkspaceFile", inputs, "create that is refused")


def test_file_from_a_local_file_changes_with_it(tmp_path: Path) -> None:
    source = tmp_path / "x.txt"
    source.write_text("hi")
    inputs = {"path": "/Shared/x.txt", "source": str(source)}
    before = checked("WorkspaceFile", inputs)
    created("workspace_file", "WorkspaceFile", inputs)
    source.write_text("ho")
    plan = RESOURCES[token("WorkspaceFile")].diff(
        context("WorkspaceFile"), "id", before, before, checked("WorkspaceFile", inputs, before)
    )
    assert list(plan.changes) == [("md5",)]
    assert not plan.replaces


def test_pipeline_that_runs_always_is_awaited() -> None:
    created("pipeline", "Pipeline", {"name": "p", "continuous": True}, "create of a continuous one")


def test_pipeline_that_fails_is_removed() -> None:
    with pytest.raises(UserError, match="no such file"):
        created("pipeline", "Pipeline", {"name": "p"}, "create that fails")


def test_pipeline_changed_by_hand_is_drift() -> None:
    section = "read when changed by hand"
    found = read("pipeline", "Pipeline", "95c2cb92", PIPELINE_INPUTS, PIPELINE_INPUTS, section)
    drift = changed("Pipeline", found.inputs, PIPELINE_INPUTS).changes
    assert {path[0] for path in drift} == {"schema", "libraries", "tags"}


def test_job_of_several_tasks() -> None:
    inputs = {
        "name": "j",
        "maxConcurrentRuns": 2,
        "queue": {"enabled": True},
        "schedule": {"quartzCronExpression": "0 0 * * * ?", "timezoneId": "UTC"},
        "emailNotifications": {"onFailures": ["a@x.com"]},
        "tasks": [
            {"taskKey": "a", "pipelineTask": {"pipelineId": "p", "fullRefresh": False}},
            {
                "taskKey": "b",
                "dependsOns": [{"taskKey": "a"}],
                "notebookTask": {"notebookPath": "/x", "baseParameters": {"someKey": "v"}},
            },
        ],
    }
    assert created("job", "Job", inputs, "create of several tasks").id == "1006"


def test_job_changed_by_hand_is_drift() -> None:
    found = read("job", "Job", "1005", JOB_INPUTS, JOB_INPUTS, "read when changed by hand")
    drift = changed("Job", found.inputs, JOB_INPUTS).changes
    assert {path[0] for path in drift} == {"name", "schedule", "tasks"}


# ---- imports: nothing is known but the id


# The API does not tell all of what made them, or fills in more.
NOT_IMPORTED_WHOLE = ("ServicePrincipalSecret", "WorkspaceFile", "Pipeline", "Job", "Secret", "ModelServing")


@pytest.mark.parametrize(
    ("golden", "kind", "inputs", "id"),
    [row for row in CREATED if row[1] not in NOT_IMPORTED_WHOLE],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_import_finds_the_inputs(golden: str, kind: str, inputs: Values, id: str) -> None:
    assert read(golden, kind, id, {}, {}).inputs == inputs


def test_import_of_a_principals_secret_says_why_not() -> None:
    with pytest.raises(UserError, match="cannot be imported"):
        RESOURCES[token("ServicePrincipalSecret")].read(context("ServicePrincipalSecret"), "s", {}, {})


@pytest.mark.parametrize(("kind", "id"), [("Grant", "qa"), ("SecretAcl", "agent"), ("Permissions", "/nothing/1")])
def test_import_of_what_is_no_id(kind: str, id: str) -> None:
    with pytest.raises(UserError, match="is not the id of"):
        RESOURCES[token(kind)].read(context(kind), id, {}, {})


# ---- bad input


@pytest.mark.parametrize(
    ("kind", "inputs", "reason"),
    [
        ("SecretAcl", {"scope": "s"}, "is required"),
        ("RegisteredModel", {"name": "qa"}, "is required"),
        ("Job", {"name": "j"}, "is required"),
        ("Job", {"tasks": [], "alwaysRunning": True}, "stand-in databricks plugin"),
        ("Grant", {"principal": "p", "privileges": ["X"]}, "exactly one of"),
        ("Grant", {"principal": "p", "privileges": [], "table": "t"}, "at least one privilege"),
        ("Permissions", {"accessControls": []}, "exactly one of"),
        ("Permissions", {"accessControls": [], "jobId": "1"}, "at least one access control"),
        (
            "Permissions",
            {"jobId": "1", "accessControls": [{"userName": "u", "permissionLevel": "CAN_QUERY"}]},
            "CAN_VIEW, CAN_MANAGE_RUN",
        ),
        (
            "Permissions",
            {"jobId": "1", "accessControls": [{"groupName": "admins", "permissionLevel": "CAN_VIEW"}]},
            "admins",
        ),
        (
            "Permissions",
            {"jobId": "1", "accessControls": [{"groupName": "g", "userName": "u", "permissionLevel": "CAN_VIEW"}]},
            "exactly one of userName",
        ),
        ("WorkspaceFile", {"path": "/x"}, "exactly one of contentBase64, source"),
        ("WorkspaceFile", {"path": "x", "contentBase64": ""}, "absolute path"),
        ("WorkspaceFile", {"path": "/x", "contentBase64": "?"}, "cannot be read"),
        ("WorkspaceFile", {"path": "/x", "source": "/nowhere/at/all"}, "cannot be read"),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(kind: str, inputs: Values, reason: str) -> None:
    _, failures = RESOURCES[token(kind)].check(context(kind), {}, inputs)
    assert failures
    assert reason in failures[0].reason


@EACH
def test_inputs_that_are_not_known_yet_pass(golden: str, kind: str, inputs: Values, id: str) -> None:
    unknown = dict.fromkeys(inputs, UNKNOWN)
    assert checked(kind, unknown).items() >= unknown.items()


# ---- against the vendor's SDK


@pytest.mark.parametrize("kind", [row[1] for row in CREATED])
def test_properties_are_those_of_the_vendors_sdk(kind: str) -> None:
    import pulumi_databricks

    vendor = getattr(pulumi_databricks, kind)
    members = [member for member in vars(vendor).values() if isinstance(member, property)]
    names = {member.fget._pulumi_name for member in members if hasattr(member.fget, "_pulumi_name")}
    resource = RESOURCES[token(kind)]
    assert {*resource.inputs, *resource.outputs} <= names


def test_every_type_has_its_golden_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {row[0] for row in CREATED}
    assert set(RESOURCES) == {token(row[1]) for row in CREATED}


def test_schema_marks_what_is_secret() -> None:
    schema = package().schema()
    secret = schema["resources"][token("ServicePrincipalSecret")]["properties"]["secret"]
    assert secret["secret"] is True
    assert schema["provider"]["inputProperties"]["token"]["secret"] is True
