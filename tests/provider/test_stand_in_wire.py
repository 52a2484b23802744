"""The stand-in databricks plugin sends what the vendor's does, request by request, and replaces when that does."""

from __future__ import annotations

import base64
import re
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import UNKNOWN, PartialFailure, UserError, Values
from agent_deploy.stand_in.package import RESOURCES, package
from tests.provider.stand_in import (
    CREATED,
    EACH,
    PIPELINE_INPUTS,
    changed,
    checked,
    context,
    created,
    read,
    token,
)
from tests.provider.transcript import FOLDER, SETTINGS, playing

# A connection over which nothing may be asked.
SILENT = Workspace(SETTINGS, httpx.MockTransport(lambda request: pytest.fail(f"asked {request}")))


@EACH
def test_create_sends_what_the_vendors_plugin_sends(golden: str, kind: str, inputs: Values, id: str) -> None:
    made = created(golden, kind, inputs)
    assert made.id == id
    assert inputs.items() <= made.properties.items()
    assert set(made.properties) <= {*RESOURCES[token(kind)].inputs, *RESOURCES[token(kind)].outputs}


@EACH
def test_refresh_of_what_was_created_is_no_change(golden: str, kind: str, inputs: Values, id: str) -> None:
    made, full = created(golden, kind, inputs), checked(kind, inputs)
    found = read(golden, kind, id, full, made.properties)
    assert found.id == id
    assert found.inputs == full
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
def test_deleting_what_is_gone_is_no_error_but_for_a_job(golden: str, kind: str, inputs: Values, id: str) -> None:
    # A job's 400 says that it is gone where it is read; where it is deleted, it is an error as any other.
    refused = pytest.raises(UserError, match=r"^cannot delete job: Job 1005 does not exist\.")
    with refused if kind == "Job" else nullcontext(), playing(golden, "delete when gone") as workspace:
        RESOURCES[token(kind)].delete(context(kind, workspace), id, inputs, inputs)


@EACH
def test_preview_knows_the_inputs_and_no_more(golden: str, kind: str, inputs: Values, id: str) -> None:
    resource = RESOURCES[token(kind)]
    previewed = resource.preview(context(kind), None, inputs)
    assert inputs.items() <= previewed.items()
    assert {name for name, value in previewed.items() if value is UNKNOWN} == set(resource.outputs) - set(inputs)


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
    made, wanted = created(golden, kind, inputs), checked(kind, {**inputs, **change})
    plan = changed(kind, inputs, wanted)
    assert {path[0] for path in plan.changes} == set(change)
    assert not plan.replaces
    with playing(golden, "update") as workspace:
        after = RESOURCES[token(kind)].update(context(kind, workspace), id, inputs, made.properties, wanted)
    assert set(made.properties) | set(change) == set(after)
    assert _holds(after, {**inputs, **change})


def _holds(whole: Any, part: Any) -> bool:
    """Whether what was wanted is there, whatever the workspace filled in besides."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(_holds(whole.get(name), value) for name, value in part.items())
    return bool(whole == part)


# Type, what changes, whether the old one goes first. Everything else is changed in place, or is not there at all.
REPLACED: list[tuple[str, Values, bool]] = [
    ("SecretScope", {"name": "agent2"}, True),
    ("SecretScope", {"name": UNKNOWN}, True),
    ("SecretScope", {"initialManagePrincipal": "users"}, True),
    ("SecretAcl", {"permission": "WRITE"}, False),
    ("SecretAcl", {"principal": "users"}, False),
    ("Permissions", {"vectorSearchEndpointId": "other"}, False),
    ("ServicePrincipal", {"applicationId": "other"}, False),
    ("ServicePrincipalSecret", {"lifetime": "3600s"}, False),
    ("ServicePrincipalSecret", {"timeRotating": "2026-01-01"}, False),
    ("Grant", {"model": "acme.agents.other"}, False),
    ("Grant", {"principal": "others"}, False),
    ("RegisteredModel", {"name": "other"}, True),
    ("RegisteredModel", {"schemaName": "other"}, True),
    ("RegisteredModel", {"storageLocation": "s3://other"}, True),
    ("WorkspaceFile", {"path": "/Shared/y.txt"}, False),
    ("Pipeline", {"storage": "dbfs:/x"}, True),
    ("ModelServing", {"name": "other"}, True),
    ("ModelServing", {"routeOptimized": True}, True),
    ("Job", {"providerConfig": {"workspaceId": "2"}}, True),
]
AUTONAMED = ("SecretScope", "RegisteredModel", "Pipeline", "Job", "ModelServing")


@pytest.mark.parametrize(
    ("kind", "change", "old_first"), REPLACED, ids=[f"{kind}-{'-'.join(change)}" for kind, change, _ in REPLACED]
)
def test_replaces_when_the_vendors_plugin_does(kind: str, change: Values, old_first: bool) -> None:
    _, _, inputs, _ = next(row for row in CREATED if row[1] == kind)
    plan = changed(kind, inputs, {**inputs, **change})
    assert {path[0] for path, change in plan.changes.items() if change.replaces} == set(change)
    assert plan.delete_before_replace is old_first


@pytest.mark.parametrize("kind", AUTONAMED)
def test_the_new_one_comes_first_where_the_plugin_chose_the_name(kind: str) -> None:
    _, _, inputs, _ = next(row for row in CREATED if row[1] == kind)
    nameless = {name: value for name, value in inputs.items() if name != "name"}
    replacing = next(name for name in RESOURCES[token(kind)].inputs if name not in nameless and _replaces(kind, name))
    plan = changed(kind, nameless, {**nameless, replacing: {"workspaceId": "2"}})
    assert plan.replaces
    assert not plan.delete_before_replace


def _replaces(kind: str, name: str) -> bool:
    return name != "name" and bool({"*", name} & RESOURCES[token(kind)].replaces)


def test_every_type_that_is_named_by_the_plugin_is_known() -> None:
    assert set(AUTONAMED) == {row[1] for row in CREATED if RESOURCES[token(row[1])].autonamed}
    assert set(AUTONAMED) == {row[1] for row in CREATED if "name" in RESOURCES[token(row[1])].inputs}


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
        ("SecretAcl", {"scope": "s"}, 'Missing required argument. The argument "permission" is required, but no'),
        ("Job", {"tasks": [], "alwaysRunning": True}, "stand-in databricks plugin"),
        ("Grant", {"principal": "p", "privileges": ["X"]}, "exactly one of `catalog, credential, external_location,"),
        (
            "Grant",
            {"principal": "p", "privileges": [], "table": "t", "volume": "v"},
            '"table": conflicts with volume.',
        ),
        ("Permissions", {"accessControls": [], "jobId": "1"}, "requires 1 item minimum"),
        ("Permissions", {"accessControls": [], "jobId": "1", "appName": "a"}, '"app_name": conflicts with job_id.'),
        (
            "Permissions",
            {"jobId": "1", "accessControls": [{"userName": "u", "permissionLevel": "CAN_QUERY"}]},
            "not supported with job_id objects; allowed levels: CAN_MANAGE, CAN_MANAGE_RUN, CAN_VIEW, IS_OWNER.",
        ),
        ("WorkspaceFile", {"path": "/x", "contentBase64": "aGk=", "source": "y"}, "conflicts with source."),
        ("WorkspaceFile", {"path": ""}, "Path must not be empty"),
        ("WorkspaceFile", {"path": "/a/../x"}, "Replace value with /x"),
        ("WorkspaceFile", {"path": "/x", "contentBase64": "?"}, "cannot be read"),
        ("WorkspaceFile", {"path": "/x", "source": "/nowhere/at/all"}, "File /nowhere/at/all does not exist."),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(kind: str, inputs: Values, reason: str) -> None:
    _, failures = RESOURCES[token(kind)].check(context(kind), {}, inputs)
    assert failures
    assert reason in failures[0].reason


@pytest.mark.parametrize(
    ("golden", "kind", "inputs", "section", "reason"),
    [
        (
            "registered_model",
            "RegisteredModel",
            {"name": "qa"},
            "create without catalog and schema",
            "cannot create registered model: catalog_name is missing",
        ),
        ("job", "Job", {"name": "j"}, "create without tasks", "cannot create job: no task"),
        (
            "grant",
            "Grant",
            {"table": "t", "principal": "p", "privileges": []},
            "create without privileges",
            "cannot read grant: got empty permissions list",
        ),
        (
            "permissions",
            "Permissions",
            {"jobId": "1", "accessControls": [{"groupName": "admins", "permissionLevel": "CAN_VIEW"}]},
            "create with administrators",
            "cannot create permissions: it is not possible to modify admin permissions for job resources",
        ),
        (
            "permissions",
            "Permissions",
            {
                "workspaceFileId": "9",
                "accessControls": [{"groupName": "users", "userName": "you@x.com", "permissionLevel": "CAN_READ"}],
            },
            "create for two principals in one entry",
            "cannot create permissions: one principal an entry",
        ),
        (
            "permissions",
            "Permissions",
            {"accessControls": [{"groupName": "users", "permissionLevel": "CAN_READ"}]},
            None,
            "cannot create permissions: at least one type of resource identifier must be set; allowed fields: alert",
        ),
        (
            "workspace_file",
            "WorkspaceFile",
            {"path": "x"},
            None,
            "cannot create workspace file: open : no such file or directory",
        ),
    ],
)
def test_what_the_vendors_plugin_lets_pass_is_refused_only_when_it_is_made(
    golden: str, kind: str, inputs: Values, section: str | None, reason: str
) -> None:
    full = checked(kind, inputs)
    RESOURCES[token(kind)].preview(context(kind), None, full)
    with (
        pytest.raises((UserError, PartialFailure), match=re.escape(reason)),
        playing(golden, section) if section else nullcontext(SILENT) as workspace,
    ):
        RESOURCES[token(kind)].create(context(kind, workspace), full)


@EACH
def test_a_state_that_the_vendors_plugin_made_is_no_change(golden: str, kind: str, inputs: Values, id: str) -> None:
    # It notes at every depth what it chose itself, and chooses more than the stand-in does.
    chosen = next(name for name in RESOURCES[token(kind)].inputs if name not in checked(kind, inputs))
    state = {**_noted(inputs), chosen: "its own", "__defaults": [chosen]}
    plan = RESOURCES[token(kind)].diff(context(kind), id, state, {}, checked(kind, inputs, state))
    assert plan.changes == {}
    made = created(golden, kind, inputs)
    found = read(golden, kind, id, state, made.properties)
    plan = RESOURCES[token(kind)].diff(context(kind), id, found.inputs, {}, checked(kind, inputs, state))
    assert plan.changes == {}


def _noted(value: Any) -> Any:
    if isinstance(value, list):
        return [_noted(item) for item in value]
    return {**{n: _noted(v) for n, v in value.items()}, "__defaults": []} if isinstance(value, dict) else value


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
    names = {getattr(member.fget, "_pulumi_name", None) for member in members}
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
