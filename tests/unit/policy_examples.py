"""For each policy a good and a bad stack, as resources that Pulumi would send."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from agent_deploy.policies import access, endpoints, tables
from agent_deploy.policies.pack.reading import resource
from agent_deploy.policies.policy import Resource

MODEL = "main.default.qa"
AGENT = "agent-deploy:index:AgentDeployment"


class Pair(NamedTuple):
    """What the policy lets pass and what it does not, under the settings of a team."""

    good: list[Resource]
    bad: list[Resource]
    settings: Mapping[str, Any] = MappingProxyType({})


def urn(type_: str, name: str) -> str:
    """In the stack ``prod``."""
    return f"urn:pulumi:prod::project::{type_}::{name}"


def one(type_: str, called: str = "qa", parent: str = "", before: Any = None, **properties: Any) -> Resource:
    """A resource of the stack ``prod``."""
    return resource(type_, called, properties, urn(type_, called), parent, before)


def entity(version: str = "1", **more: Any) -> dict[str, Any]:
    """A served entity as the engine has it."""
    return {"entityName": MODEL, "entityVersion": version, "workloadSize": "Small", "workloadType": "CPU", **more}


def endpoint(before: Any = None, parent: str = "", **more: Any) -> list[Resource]:
    """An endpoint that no policy minds, but for ``more``."""
    given = {
        "name": "qa",
        "servedEntities": {"qa_1": entity()},
        "traffic": {"qa_1": 100},
        "tags": {"owner": "search"},
        "description": "Answers questions.",
        "budgetPolicyId": "policy-1",
        "aiGateway": {"inferenceTableConfig": {"catalogName": "main", "schemaName": "default"}},
    }
    return [one(endpoints.ENDPOINT, "qa", parent, before, **{**given, **more})]


def grant(principal: str, *privileges: str, **on: str) -> list[Resource]:
    """A grant on one securable."""
    return [one(access.GRANT, principal=principal, privileges=list(privileges), **on)]


def permissions(**control: str) -> list[Resource]:
    """Permissions on an endpoint."""
    return [one(access.PERMISSIONS, servingEndpointId="1f", accessControls=[control])]


def agent(*tasks: str) -> list[Resource]:
    """An endpoint with the job that is about its inference tables."""
    around = urn(AGENT, "qa")
    job = one(tables.JOB, "qa-job", around, tasks=[{"taskKey": task} for task in tasks])
    return [one(AGENT), *endpoint(parent=around), job]


def variables(**environment: str) -> list[Resource]:
    """An endpoint with an environment."""
    return endpoint(servedEntities={"qa_1": entity(environmentVars=environment)})


NEW: dict[str, Any] = {"servedEntities": {"qa_1": entity(), "qa_2": entity("2")}}

PAIRS: dict[str, Pair] = {
    "AGD001": Pair(
        endpoint(
            servedEntities={"qa_1": entity(), "feedback": entity(scaleToZeroEnabled=True)},
            traffic={"qa_1": 100, "feedback": 0},
        ),
        endpoint(servedEntities={"qa_1": entity(scaleToZeroEnabled=True)}, traffic={}),
    ),
    "AGD002": Pair(endpoint(), endpoint(aiGateway={"inferenceTableConfig": {"enabled": False}})),
    "AGD003": Pair(variables(API_KEY="{{secrets/search/key}}", STYLE="short"), variables(API_KEY="a-key-of-a-service")),
    "AGD004": Pair(
        grant("agents", "SELECT", table="main.default.docs"), grant("agents", "ALL PRIVILEGES", schema="main.default")
    ),
    "AGD005": Pair(
        grant("account users", "EXECUTE", model="main.default.feedback"),
        grant("account users", "SELECT", table="main.default.docs"),
    ),
    "AGD006": Pair(endpoint(tags={"team": "search"}), endpoint(), {"tags": {"team": ""}}),
    "AGD007": Pair(endpoint(), endpoint(budgetPolicyId="")),
    "AGD008": Pair(
        endpoint(NEW, **NEW, traffic={"qa_1": 0, "qa_2": 100}),
        endpoint({"servedEntities": {"qa_1": entity()}}, **NEW, traffic={"qa_1": 0, "qa_2": 100}),
    ),
    "AGD009": Pair(
        permissions(groupName="agent-users", permissionLevel="CAN_QUERY"),
        permissions(groupName="others", permissionLevel="CAN_MANAGE"),
        {"groups": ["agent-users"]},
    ),
    "AGD010": Pair(endpoint(), endpoint(servedEntities={"qa_1": entity(workloadType="GPU_LARGE")})),
    "AGD011": Pair(
        [one(access.OWN_SECRET, servicePrincipalId="1", timeRotating="2026-11-20/30d")],
        [one(access.OWN_SECRET, servicePrincipalId="1")],
    ),
    "AGD012": Pair(
        permissions(groupName="agent-users", permissionLevel="CAN_QUERY"),
        permissions(groupName="users", permissionLevel="CAN_QUERY"),
    ),
    "AGD013": Pair(endpoint(), endpoint(description="")),
    "AGD014": Pair(agent("derive", "retention"), agent("derive")),
}
