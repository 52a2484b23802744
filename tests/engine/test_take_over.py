"""An endpoint that deploy() or somebody's hand has made becomes an AgentDeployment's, as docs/coming-from.md says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, PATH, Site, entity
from tests.engine.support import Result, Stack, both_plugins, eventually

ENDPOINT = "agents_main-default-qa"
PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment


def take_over(args):
    if args.type_ == "agent-deploy:index:ServingEndpoint":
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(import_=ENDPOINT))
        return pulumi.ResourceTransformResult(args.props, opts)


AgentDeployment("qa", json.loads(ARGS), opts=pulumi.ResourceOptions(transforms=TRANSFORMS))
"""


def program(transforms: str, **args: Any) -> str:
    """A program that declares the agent under deploy()'s name, with or without the transform."""
    declared = {"model_name": MODEL, "inference_tables": {"derive": False}, **args}
    written = PROGRAM.replace("ENDPOINT", repr(ENDPOINT)).replace("ARGS", repr(json.dumps(declared)))
    return written.replace("TRANSFORMS", transforms)


@pytest.fixture
def theirs(site: Site) -> Iterator[str]:
    """The id of an endpoint such as deploy() makes, which has answered: an older version, its table, a tag, a
    record in the register."""
    name = "main-default-qa_1"
    served = {**entity(1), "name": name, "environment_vars": {"RETURN_REQUEST_ID_IN_RESPONSE": "true"}}
    routes = [{"served_model_name": name, "traffic_percentage": 100}]
    table = {"catalog_name": "main", "schema_name": "default", "table_name_prefix": "qa_1", "enabled": True}
    body = {
        "name": ENDPOINT,
        "config": {"served_entities": [served], "traffic_config": {"routes": routes}},
        "ai_gateway": {"inference_table_config": table},
        "tags": [{"key": "team", "value": "search"}],
    }
    site.workspace.post(PATH, body)
    id = str(site.settled(ENDPOINT)["id"])
    record = {"model_name": MODEL, "model_version": 1, "endpoint_name": ENDPOINT, "served_entity_name": name}
    site.workspace.post("/api/2.0/agents/deployments", record)
    site.workspace.post(f"/serving-endpoints/{ENDPOINT}/invocations", {"inputs": ["you"]})
    logged = "/api/2.1/unity-catalog/tables/main.default.qa_1_payload"
    eventually(lambda: site.workspace.get(f"{logged}/exists")["table_exists"])
    yield id
    if site.exists(ENDPOINT):
        site.workspace.delete(f"{PATH}/{ENDPOINT}")
    site.workspace.delete(logged)


def test_what_deploy_has_made_is_taken_over_in_place(
    site: Site, theirs: str, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    args = {"model_version": "1", "tags": {"team": "search"}}
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(program("[]", **args), environment=site.environment, plugins=plugins)
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "docs/coming-from.md" in refused.output

    stack.write(program("[take_over]", **args))
    stack.preview()
    assert steps(stack.up()) == ["import", "update"]
    assert site.endpoint(ENDPOINT)["id"] == theirs
    # Its payload table goes on, and its version, where the deployment's own choice would have been another prefix.
    table = site.endpoint(ENDPOINT)["ai_gateway"]["inference_table_config"]
    assert (table["table_name_prefix"], table["enabled"]) == ("qa_1", True)
    assert served(site) == {"main-default-qa_1": 100, "feedback": 0}
    assert {"key": "team", "value": "search"} in site.endpoint(ENDPOINT)["tags"]
    assert stack.preview("--expect-no-changes").operations == {}

    # The transform may go, or stay; what follows is as with any other deployment.
    stack.write(program("[]", **args))
    assert stack.preview("--expect-no-changes").operations == {}
    stack.destroy()
    assert not site.exists(ENDPOINT)


def test_what_the_program_does_not_say_goes(
    site: Site, theirs: str, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    args = {"model_version": "2", "keep_previous": 1, "feedback_model": False}
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(program("[take_over]", **args), environment=site.environment, plugins=plugins)
    assert "v1 100 % → gone" in stack.preview().output
    assert steps(stack.up()) == ["import", "update"]
    assert site.endpoint(ENDPOINT)["id"] == theirs
    assert served(site) == {"main-default-qa_2": 100}
    assert "team" not in {tag["key"] for tag in site.endpoint(ENDPOINT)["tags"]}
    assert stack.preview("--expect-no-changes").operations == {}
    stack.destroy()


def steps(result: Result) -> list[str]:
    """What was done to the endpoint, in order."""
    metadata = [event["resourcePreEvent"]["metadata"] for event in result.events if "resourcePreEvent" in event]
    return [str(step["op"]) for step in metadata if step["type"] == "agent-deploy:index:ServingEndpoint"]


def served(site: Site) -> dict[str, int]:
    """Served entity → its share of the requests."""
    routes = site.endpoint(ENDPOINT)["config"]["traffic_config"]["routes"]
    return {route["served_model_name"]: route["traffic_percentage"] for route in routes}
