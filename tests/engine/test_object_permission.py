"""ObjectPermission and the functions of verification under the real engine, against the local workspace."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.serving import Site
from tests.engine.support import Stack

SCIM = "/api/2.0/preview/scim/v2"
PROGRAM = """
import json
from agent_deploy import ObjectPermission
import pulumi
ObjectPermission("entry", **json.loads(SPEC), opts=pulumi.ResourceOptions(import_=IMPORTED))
"""
ASKING = """
import asyncio, json, pulumi
from agent_deploy.resources import functions
from agent_deploy.rules.requirements import Requirements
from agent_deploy.rules.resource_kinds import Resource
from agent_deploy.rules.verifiable import WantedDeployment
async def ask():
    required = Requirements(endpoint_name="agents_x", inference_schema="main.default", grant=True)
    resources = (Resource("sql_warehouse", "WAREHOUSE"), Resource("table", "main.default.none"))
    wanted = WantedDeployment(auth="MANUAL", resources=resources, requirements=required)
    return list((await functions.verify_deployment(wanted, pulumi.InvokeOptions())).problems)
pulumi.export("found", pulumi.Output.from_input(ask()))
"""


@pytest.fixture(scope="module")
def site(local_workspace: Any) -> Site:
    return Site(local_workspace)


@pytest.fixture
def warehouse(site: Site) -> str:
    return str(site.workspace.post("/api/2.0/sql/warehouses", {"name": f"w{uuid.uuid4().hex[:8]}"})["id"])


@pytest.fixture
def principal(site: Site) -> str:
    return str(site.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "agent"})["applicationId"])


def levels(site: Site, warehouse: str) -> dict[str, str]:
    entries = site.workspace.get(f"/api/2.0/permissions/sql/warehouses/{warehouse}")["access_control_list"]
    return {
        entry["service_principal_name"]: entry["all_permissions"][0]["permission_level"]
        for entry in entries
        if "service_principal_name" in entry
    }


def program(warehouse: str, principal: str, level: str, imported: str | None = None) -> str:
    place = {"object_type": "sql/warehouses", "object_id": warehouse}
    arguments = {**place, "principal_kind": "service_principal", "principal": principal, "level": level}
    return PROGRAM.replace("SPEC", repr(json.dumps(arguments))).replace("IMPORTED", repr(imported))


def set_level(site: Site, warehouse: str, principal: str, level: str) -> None:
    entry = {"service_principal_name": principal, "permission_level": level}
    site.workspace.patch(f"/api/2.0/permissions/sql/warehouses/{warehouse}", {"access_control_list": [entry]})


def test_its_whole_life(site: Site, open_stack: Callable[..., Stack], warehouse: str, principal: str) -> None:
    other = str(site.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "other"})["applicationId"])
    set_level(site, warehouse, other, "CAN_MONITOR")
    stack = open_stack(program(warehouse, principal, "CAN_USE"), environment=site.environment)
    stack.preview()
    assert levels(site, warehouse) == {other: "CAN_MONITOR"}
    stack.up()
    assert levels(site, warehouse) == {other: "CAN_MONITOR", principal: "CAN_USE"}
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    stack.write(program(warehouse, principal, "CAN_MANAGE"))
    assert stack.up().operations == {"entry": "update"}
    assert levels(site, warehouse) == {other: "CAN_MONITOR", principal: "CAN_MANAGE"}

    set_level(site, warehouse, principal, "CAN_VIEW")
    assert stack.preview("--refresh").changed_paths["entry"] == {"level": "update"}
    stack.up("--refresh")
    assert levels(site, warehouse) == {other: "CAN_MONITOR", principal: "CAN_MANAGE"}

    stack.destroy()
    assert levels(site, warehouse) == {other: "CAN_MONITOR"}


def test_it_is_imported(site: Site, open_stack: Callable[..., Stack], warehouse: str, principal: str) -> None:
    set_level(site, warehouse, principal, "CAN_USE")
    id = f"sql/warehouses/{warehouse}/service_principal/{principal}"
    stack = open_stack(program(warehouse, principal, "CAN_USE", id), environment=site.environment)
    assert stack.up().operations == {"entry": "import"}
    stack.write(program(warehouse, principal, "CAN_USE"))
    stack.preview("--expect-no-changes")


def test_another_principal_takes_the_place_and_mistakes_are_told_in_the_preview(
    site: Site, open_stack: Callable[..., Stack], warehouse: str, principal: str
) -> None:
    other = str(site.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "other"})["applicationId"])
    stack = open_stack(program(warehouse, principal, "CAN_USE"), environment=site.environment)
    stack.up()
    stack.write(program(warehouse, other, "CAN_USE"))
    assert stack.up().operations == {"entry": "update"}
    assert levels(site, warehouse) == {other: "CAN_USE"}
    stack.write(program(warehouse, other, "CAN_QUERY"))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "level 'CAN_QUERY': expected one of CAN_VIEW, CAN_USE" in refused.output
    # Whose principal has gone meanwhile is no obstacle to leaving.
    found = site.workspace.get(f"{SCIM}/ServicePrincipals", {"filter": f'applicationId eq "{other}"'})["Resources"]
    site.workspace.delete(f"{SCIM}/ServicePrincipals/{found[0]['id']}")
    stack.destroy()
    assert levels(site, warehouse) == {}


def test_programs_ask_what_they_may_do(site: Site, open_stack: Callable[..., Stack], warehouse: str) -> None:
    stack = open_stack(ASKING.replace("WAREHOUSE", warehouse), environment=site.environment)
    stack.up()
    found = json.loads(stack.run("stack", "output", "found", "--json").output)
    [problem] = found
    assert problem.startswith("Table main.default.none: it does not exist")
