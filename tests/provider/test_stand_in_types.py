"""What the stand-in databricks plugin does for one type alone, as the vendor's does."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import PartialFailure, UserError, Values
from agent_deploy.stand_in.package import RESOURCES
from agent_deploy.stand_in.service_principal import ENTITLEMENTS
from agent_deploy.stand_in.wire_names import to_wire
from tests.provider.stand_in import (
    APPLICATION,
    CREATED,
    JOB_INPUTS,
    PIPELINE_INPUTS,
    SECRET,
    changed,
    checked,
    context,
    created,
    read,
    token,
)
from tests.provider.transcript import SETTINGS, playing


def test_scope_in_a_key_vault() -> None:
    vault = {"resourceId": "/v", "dnsName": "https://v"}
    inputs = {"name": "kv", "keyvaultMetadata": vault, "initialManagePrincipal": "users"}
    assert created("secret_scope", "SecretScope", inputs, "create in a key vault").properties["backendType"] == (
        "AZURE_KEYVAULT"
    )


def test_what_was_made_is_in_the_state_though_it_cannot_be_read() -> None:
    with pytest.raises(PartialFailure, match="not in the list of scopes") as failure:
        created("secret_scope", "SecretScope", {"name": "agent"}, "create that cannot be read back")
    assert (failure.value.id, failure.value.inputs) == ("agent", checked("SecretScope", {"name": "agent"}))


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


@pytest.mark.parametrize(
    ("field", "value", "id", "section"),
    [
        ("workspaceFileId", "9", "/files/9", "delete on a file"),
        ("jobId", "5", "/jobs/5", "delete on a job"),
        ("jobId", "5", "/jobs/5", "delete on a job that is gone"),
    ],
)
def test_permissions_of_what_the_caller_is_not_added_to(field: str, value: str, id: str, section: str) -> None:
    inputs = {field: value, "accessControls": [{"groupName": "users", "permissionLevel": "CAN_VIEW"}]}
    with playing("permissions", section) as workspace:
        RESOURCES[token("Permissions")].delete(context("Permissions", workspace), id, inputs, inputs)


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


def test_a_principals_state_has_every_switch_lest_the_vendors_plugin_plans_a_change() -> None:
    made = created("service_principal", "ServicePrincipal", {"displayName": "agent-sp"})
    switches = {name: made.properties[name] for name in ("active", *ENTITLEMENTS)}
    assert switches == {"active": True, **dict.fromkeys(ENTITLEMENTS, False)}


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


def test_a_models_new_owner_is_sent_alone() -> None:
    _, kind, inputs, id = next(row for row in CREATED if row[1] == "RegisteredModel")
    made, wanted = created("registered_model", kind, inputs), {**inputs, "owner": "team"}
    with playing("registered_model", "update of the owner") as workspace:
        after = RESOURCES[token(kind)].update(context(kind, workspace), id, inputs, made.properties, wanted)
    assert after["owner"] == "team"


@pytest.mark.parametrize(("declared", "drift"), [({}, set()), ({"comment": "c1"}, {"comment"})])
def test_a_models_comment_by_hand_is_seen_where_one_is_declared(declared: Values, drift: set[str]) -> None:
    inputs = {"catalogName": "acme", "schemaName": "agents", "name": "qa", **declared}
    found = read("registered_model", "RegisteredModel", "acme.agents.qa", inputs, inputs, "read when changed by hand")
    assert {path[0] for path in changed("RegisteredModel", found.inputs, inputs).changes} == drift


def test_file_in_a_folder_that_is_not_there() -> None:
    inputs = {"path": "/Shared/new/x.txt", "contentBase64": base64.b64encode(b"hi").decode()}
    made = created("workspace_file", "WorkspaceFile", inputs, "create in a folder that is not there")
    assert made.properties["objectId"] == 78
    assert made.properties["url"] == "https://ws.example.com/#workspace/Shared/new/x.txt"
    assert made.properties["workspacePath"] == "/Workspace/Shared/new/x.txt"


def test_file_that_may_not_be_written() -> None:
    inputs = {"path": "/Shared/x.txt", "contentBase64": base64.b64encode(b"hi").decode()}
    with pytest.raises(UserError, match=r"^cannot create workspace file: me@x\.com may not write"):
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
    # Not why: the vendor's plugin does not ask for the cause.
    with pytest.raises(UserError, match=r"^cannot create pipeline: pipeline 95c2cb92 has failed$"):
        created("pipeline", "Pipeline", {"name": "p"}, "create that fails")


def test_pipeline_changed_by_hand_is_drift() -> None:
    section = "read when changed by hand"
    found = read("pipeline", "Pipeline", "95c2cb92", PIPELINE_INPUTS, PIPELINE_INPUTS, section)
    drift = changed("Pipeline", found.inputs, PIPELINE_INPUTS).changes
    assert {path[0] for path in drift} == {"schema", "libraries"}


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
    assert {path[0] for path in drift} == {"name", "tasks"}


def test_an_entry_is_the_same_whatever_the_order_of_its_fields() -> None:
    # A message's fields come in an order that differs from process to process.
    ann, bo = ({"userName": f"{name}@example.com", "permissionLevel": "CAN_QUERY"} for name in ("ann", "bo"))
    turned = dict(reversed(bo.items()))
    permissions = RESOURCES[token("Permissions")]
    old, new = ({"servingEndpointId": "1", "accessControls": entries} for entries in ([ann, bo], [ann, turned]))
    assert permissions.diff(context("Permissions"), "id", old, {}, new).changes == {}
    other = {"servingEndpointId": "1", "accessControls": [ann, {**turned, "permissionLevel": "CAN_VIEW"}]}
    assert set(permissions.diff(context("Permissions"), "id", old, {}, other).changes) == {("accessControls",)}


# ---- what a refresh sees, generated: of a pipeline and a job, every input that the API tells, declared or not

BY_HAND: dict[str, tuple[Any, Any]] = {
    "tags": ({"team": "a"}, {"team": "a", "by": "hand"}),
    "configuration": ({"a": "1"}, {"a": "2"}),
    "libraries": ([{"file": {"path": "/a"}}], [{"file": {"path": "/a"}}, {"file": {"path": "/b"}}]),
    "schedule": (
        {"quartzCronExpression": "0 0 * * * ?", "timezoneId": "UTC", "pauseStatus": "UNPAUSED"},
        {"quartzCronExpression": "0 0 * * * ?", "timezoneId": "UTC", "pauseStatus": "PAUSED"},
    ),
    "description": ("a", "b"),
    "tasks": ([{"taskKey": "a"}], [{"taskKey": "a"}, {"taskKey": "z"}]),
    "timeoutSeconds": (60, 120),
    "serverless": (True, False),
}
HELD_UNDER = {"Pipeline": "spec", "Job": "settings"}
SEEN = [(kind, name) for kind in HELD_UNDER for name in BY_HAND if name in RESOURCES[token(kind)].inputs]


@pytest.mark.parametrize(("kind", "name"), SEEN)
def test_a_refresh_sees_what_is_declared_and_changed_and_neither_what_is_not_declared_nor_what_is_empty(
    kind: str, name: str
) -> None:
    before, by_hand = BY_HAND[name]
    base: Values = {"name": "it", **({"tasks": [{"taskKey": "a"}]} if kind == "Job" else {})}
    declared = {**base, name: before}
    assert drift(kind, declared, {**declared, name: by_hand}) == {name}
    if name != "tasks":
        assert drift(kind, base, {**base, name: by_hand}) == set()
    # Numbers and switches that are gone are zero and off; whatever else is gone keeps its value in the state.
    gone = {name} if isinstance(before, (bool, int)) else set()
    assert drift(kind, declared, base if name != "tasks" else {"name": "it"}) == gone
    assert drift(kind, declared, declared) == set()


def drift(kind: str, inputs: Values, actual: Values) -> set[str]:
    """The inputs in which a refresh finds a difference, where the workspace holds ``actual``."""
    full = checked(kind, inputs)
    held = {HELD_UNDER[kind]: to_wire(actual)}
    workspace = Workspace(SETTINGS, httpx.MockTransport(lambda _: httpx.Response(200, json=held)))
    found = RESOURCES[token(kind)].read(context(kind, workspace), "1", full, full)
    assert found is not None
    return {str(path[0]) for path in changed(kind, found.inputs, inputs).changes}
