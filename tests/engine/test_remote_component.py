"""An AgentDeployment that a program in another language declares: the engine has our plugin construct it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, Site
from tests.engine.support import Stack, both_plugins

PROGRAM = """
import json
import pulumi
from agent_deploy.resources.databricks import ServicePrincipal


class Remote(pulumi.ComponentResource):
    def __init__(self, name, props, opts):
        outputs = dict.fromkeys(("queryEndpoint", "servedEntities"))
        super().__init__("agent-deploy:index:AgentDeployment", name, {**outputs, **props}, opts, remote=True)


def later(name, value):
    made = ServicePrincipal(name, display_name=name)
    return made.application_id.apply(lambda id: id if value == "ID" else value)


props = json.loads(PROPS)
props["environment"] = {"KEY": pulumi.Output.secret("hush"), **props.get("environment", {})}
LATE
Remote("agent", props, pulumi.ResourceOptions(OPTS))
"""
BASE: dict[str, Any] = {
    "modelName": MODEL,
    "modelVersion": "1",
    "tags": {"team": "search"},
    "permissions": [{"groupName": "users", "level": "CAN_QUERY"}],
    "inferenceTables": {"derive": False},
}
# What comes from a resource that the same program makes.
LATE = {
    "a tag": 'props["tags"]["owner"] = later("tag", "me")',
    "a permission": 'props["permissions"].append({"level": "CAN_QUERY", "servicePrincipalName": later("who", "ID")})',
    "a variable": 'props["environment"]["URL"] = later("url", "https://b")',
    "a secret": 'props["environment"]["KEY"] = pulumi.Output.secret(later("key", "other"))',
    "a description": 'props["description"] = later("text", "Answers.")',
}


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing, with two versions of a model."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 2)
    return found


def program(name: str, late: str = "", opts: str = "protect=True", **more: Any) -> str:
    props = repr(json.dumps({**BASE, "endpointName": name, **more}))
    return PROGRAM.replace("PROPS", props).replace("LATE", late).replace("OPTS", opts)


@pytest.fixture
def open_(site: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[[str], Stack]:
    """``open_(program)`` is a stack of it, not yet up."""

    def make(declared: str) -> Stack:
        return open_stack(declared, environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))

    return make


def test_what_is_not_known_yet_is_unknown_alone(site: Site, open_: Callable[[str], Stack], name: str) -> None:
    stack = open_(program(name))
    stack.up()
    wrong: dict[str, Any] = {}
    late = ""
    for what, line in LATE.items():
        late = f"{late}\n{line}"
        stack.write(program(name, late))
        preview, done = stack.preview(check=False), stack.up(check=False)
        if preview.operations != done.operations or "delete" in preview.operations.values() or done.code:
            wrong[what] = (preview.operations, done.operations, done.output[-1500:] if done.code else "")
    assert wrong == {}
    stack.preview("--expect-no-changes")


def test_options_mean_the_same(site: Site, open_: Callable[[str], Stack], name: str) -> None:
    opts = 'protect=True, ignore_changes=["tags"]'
    stack = open_(program(name, opts=opts))
    stack.up()
    stack.write(program(name, opts=opts, tags={"team": "other"}))
    stack.preview("--expect-no-changes")
    stack.write(program(name, opts=opts, modelVersion="2"))
    assert stack.up().operations["agent-registration-v1"] == "delete"
    assert stack.destroy(check=False).code != 0
    assert site.exists(name)


def test_a_mistake_is_told_by_its_field(site: Site, open_: Callable[[str], Stack], name: str) -> None:
    stack = open_(program(name, modelVersion="9", worklaodSize="Small"))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "main.default.qa has no version 9" in refused.output + refused.messages


def test_a_stack_that_is_ephemeral_is_so_in_every_language(site: Site, open_: Callable[[str], Stack]) -> None:
    stack = open_(program("kept"))
    stack.run("config", "set", "--path", "agents:ephemeral.suffix", "pr-7")
    stack.up()
    assert site.endpoint("kept-pr-7")["config"]["served_entities"][0]["scale_to_zero_enabled"] is True
    stack.destroy()  # protected by the program
    assert stack.resources() == {}


def test_policies_of_the_stack_refuse_in_every_language(site: Site, open_: Callable[[str], Stack]) -> None:
    stack = open_(program("refused"))
    stack.run("config", "set", "agents:policies", '{"all": "mandatory", "AGD006": {"tags": {"owner": ""}}}')
    refused = stack.preview(check=False)
    assert (refused.code != 0, "[AGD006]" in refused.output) == (True, True), refused.output
    refused = stack.up(check=False)
    assert refused.code != 0
    assert "The stack's policies (agents:policies) refuse this" in refused.output
    assert not site.exists("refused")
    stack.run("config", "set", "agents:policies", '{"all": "advisory"}')
    allowed = stack.preview()
    assert "[AGD007]" in allowed.messages
