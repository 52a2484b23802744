"""A workspace and an engine as Pulumi's mocks, and one deployment declared in them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import pulumi
import pulumi.runtime

from agent_deploy import AgentDeployment

ENDPOINT = "agent-deploy:index:ServingEndpoint"
SECRET = "agent-deploy:index:Secret"
FEEDBACK = "agent-deploy:index:FeedbackModelVersion"
TABLES = "agent-deploy:index:InferenceTables"
DERIVED = "agent-deploy:index:DerivedTables"
FILE = "agent-deploy:index:WorkspaceFile"
PIPELINE = "databricks:index/pipeline:Pipeline"
JOB = "databricks:index/job:Job"
SCOPE = "agent-deploy:index:SecretScope"
REGISTRATION = "agent-deploy:index:AgentRegistration"
RUNNER = "11111111-2222-3333-4444-555555555555"
PERMIT = "agent-deploy:index:ObjectPermission"
PERMISSIONS = "databricks:index/permissions:Permissions"
MODEL = "main.default.qa"
M = TypeVar("M", bound=pulumi.runtime.Mocks)


def in_use(mocks: M, preview: bool = False) -> M:
    """The mocks, which answer to the program of this test, in an event loop of its own."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(mocks, project="agents", stack="dev", preview=preview)
    return mocks


class Workspace(pulumi.runtime.Mocks):
    """A mock: versions 1 to 5 exist, `champion` is 3, the scope `team` has the key `key`."""

    def __init__(self) -> None:
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[Mapping[Any, Any]] = []
        self.calls = 0
        self.open_to_all: list[dict[str, str]] = []
        # Of version 4, which is served already.
        self.before = {"REF": "{{secrets/agents_main-default-qa/REF-0000000}}", "PLAIN": "old"}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources[args.typ, args.name] = args.inputs
        outputs = dict(args.inputs)
        if args.typ == ENDPOINT:
            gateway = args.inputs.get("aiGateway")
            config = gateway.get("inferenceTableConfig", {}) if isinstance(gateway, dict) else {}
            prefix = config.get("tableNamePrefix") or config.get("tableNamePrefixHint")
            table = f"{config['catalogName']}.{config['schemaName']}.{prefix}_payload" if prefix else ""
            outputs |= {
                "endpointId": "e1",
                "workspaceUrl": "https://w",
                "payloadTable": table,
                "servedEntityStates": {},
                "endpointUrl": "https://own.w/1/invocations" if args.inputs.get("routeOptimized") else "",
            }
        if args.typ == FEEDBACK:
            outputs |= {"version": "2", "created": False}
        if args.typ == DERIVED:
            suffixes = {
                "requestLogs": "_request_logs",
                "assessmentLogs": "_assessment_logs",
                "quarantine": "_quarantine",
            }
            outputs |= {name: args.inputs["payloadTable"] + suffix for name, suffix in suffixes.items()}
        if args.typ == REGISTRATION:
            outputs["reviewAppUrl"] = f"https://w/review-v2/{args.inputs['modelVersion']}"
        if args.typ == SECRET:
            outputs |= {"reference": f"{{{{secrets/{args.inputs['scope']}/{args.inputs['name']}-0a1b2c3}}}}"}
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        assert args.token.endswith("verifyDeployments")
        self.calls += 1
        return {"deployments": [self.verified(asked) for asked in args.args["deployments"]]}, []

    def verified(self, asked: Mapping[Any, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        numbers = [{"champion": "3"}.get(v.get("alias", ""), v.get("version", "")) for v in asked["versions"]]
        problems = [
            f"{wanted['field']}: {asked['modelName']} has no version {number}"
            for wanted, number in zip(asked["versions"], numbers, strict=True)
            if number not in {"1", "2", "3", "4", "5"}
        ]
        for named, there in (("references", {"{{secrets/team/key}}"}), ("principals", {"users", "app", RUNNER})):
            problems += [f"{n['field']}: there is no {n['value']}" for n in asked[named] if n["value"] not in there]
        kept = {}
        if asked["keepPrevious"]:
            kept["main-default-qa_4"] = {"entityName": MODEL, "entityVersion": "4", "environmentVars": self.before}
        resources = [{"kind": "table", "name": "main.default.docs", "onBehalfOfUser": False}, *asked["resources"]]
        return {
            "numbers": numbers,
            "experimentId": "77",
            "workspaceUrl": "https://w",
            "kept": kept,
            "needs": [{"version": number, "resources": resources, "userScopes": []} for number in numbers],
            "openToAll": self.open_to_all,
            "unverified": [],
            "problems": problems,
        }


def deploy(args: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> dict[str, Any]:
    """Runs a program with one deployment; returns its outputs."""
    outputs: dict[str, Any] = {}

    @pulumi.runtime.test
    def program() -> pulumi.Output[Any]:
        declared: Any = {"model_name": MODEL, **args}
        agent = AgentDeployment("qa", declared, opts)
        names = ["endpoint_name", "endpoint_id", "query_endpoint", "endpoint_url", "review_app_url"]
        names += ["served_entities", "inference_tables", "identities"]
        return pulumi.Output.all(**{name: getattr(agent, name) for name in names}).apply(outputs.update)

    program()
    return outputs
