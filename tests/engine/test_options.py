"""Pulumi's resource options and targeted runs work on our resources and components as on every Pulumi resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, PATH, Site
from tests.engine.support import Stack, both_plugins

HEAD = "import json\nimport pulumi\nfrom pulumi import ResourceOptions\nfrom agent_deploy import ServingEndpoint\n"


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing, with three versions of a model."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 3)
    return found


def endpoints(declared: dict[str, tuple[dict[str, Any], str]]) -> str:
    """A program of endpoints: Python name → its arguments, and its options as source."""
    lines = [
        f"{name} = ServingEndpoint({name!r}, name={name!r}, owner_mark={name!r}, **json.loads({json.dumps(args)!r}), "
        f"opts=ResourceOptions({options}))"
        for name, (args, options) in declared.items()
    ]
    return HEAD + "\n".join(lines)


def deleted(site: Site) -> set[str]:
    """Names of the endpoints for which a deletion was asked."""
    return {request["path"].rsplit("/", 1)[1] for request in site.asked("DELETE", f"{PATH}/*")}


def test_protected_retained_and_deleted_with_another(site: Site, open_stack: Callable[..., Stack]) -> None:
    declared: dict[str, tuple[dict[str, Any], str]] = {
        "guarded": ({}, "protect=True"),
        "retained": ({}, "retain_on_delete=True"),
        "dependent": ({}, "deleted_with=guarded"),
        "plain": ({}, ""),
    }
    stack = open_stack(endpoints(declared), environment=site.environment)
    stack.up()
    site.forget_requests()
    refused = stack.destroy(check=False)
    assert refused.code != 0
    assert "protected" in refused.output + refused.messages
    assert site.exists("guarded")
    stack.write(endpoints({**declared, "guarded": ({}, "")}))
    stack.up()
    stack.destroy()
    assert deleted(site) == {"guarded", "plain"}
    assert stack.resources() == {}
    assert site.exists("retained")
    # A dependent that is deleted with another is taken to be gone with it: nobody asks the workspace.
    assert site.exists("dependent")


def test_ignored_changes_targets_and_timeouts(site: Site, open_stack: Callable[..., Stack]) -> None:
    entity = {"entity_name": MODEL, "entity_version": "1"}

    def declared(text: str) -> str:
        entities = {"served_entities": {"qa_1": {**entity, "environment_vars": {"A": text}}}}
        ignored = "ignore_changes=['tags', 'servedEntities.qa_1.environmentVars']"
        slow = "custom_timeouts=pulumi.CustomTimeouts(update='1s')"
        return endpoints({
            "one": ({"tags": {"team": text}, "description": text, **entities}, ignored),
            "two": ({"description": text}, ""),
            "three": ({**entities}, slow),
        })  # fmt: skip

    stack = open_stack(declared("first"), environment=site.environment)
    stack.up()
    stack.write(declared("second"))
    changed = stack.preview().changed_paths
    assert set(changed["one"]) == {"description"}
    target = stack.resources()["one"]["urn"]
    assert stack.up("--target", target).operations == {"one": "update"}
    assert site.endpoint("one")["description"] == "second"
    assert {"key": "team", "value": "first"} in site.endpoint("one")["tags"]
    assert site.endpoint("one")["config"]["served_entities"][0]["environment_vars"] == {"A": "first"}
    assert site.endpoint("two")["description"] == "first"
    with site.stepped():
        late = stack.up(check=False)
        assert "not ready within the time allowed" in late.output
    site.settled("three")
    assert stack.up().operations == {"three": "update"}
    stack.preview("--expect-no-changes")
    stack.destroy("--target", target)
    assert not site.exists("one")
    assert site.exists("two")
    stack.destroy()


AGENT = """
import json
import pulumi
from agent_deploy import AgentDeployment

def tagged(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if args.type_ != "agent-deploy:index:ServingEndpoint":
        return None
    props = {**args.props, "tags": {**(args.props.get("tags") or {}), "cost-center": "42"}}
    return pulumi.ResourceTransformResult(props=props, opts=args.opts)

args = json.loads(ARGS)
args["environment"] = {"KEY": pulumi.Output.secret("a-secret-value")}
agent = AgentDeployment(NAME, args, pulumi.ResourceOptions(transforms=[tagged], aliases=ALIASES))
"""


def test_a_component_that_is_renamed_keeps_its_endpoint_and_transforms_reach_it(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    def program(name: str, aliases: str, **more: Any) -> str:
        args = {"model_name": MODEL, "endpoint_name": "renamed", **more}
        args["permissions"] = [{"group_name": "users", "level": "CAN_QUERY"}]
        text = AGENT.replace("ARGS", repr(json.dumps(args))).replace("NAME", repr(name))
        return text.replace("ALIASES", aliases)

    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(program("qa", "[]", model_version="1"), environment=site.environment, plugins=plugins)
    stack.up()
    stack.write(program("qa", "[]", model_version="2", keep_previous=1))
    stack.up()
    # A version that stays for a rollback keeps what it reads.
    stack.write(program("qa", "[]", model_version="2", keep_previous=1).replace("pulumi.Output.secret(", "str("))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "KEY as a secret in environment, as version 1, which is kept, reads it" in refused.output
    before = site.endpoint("renamed")
    assert {"key": "cost-center", "value": "42"} in before["tags"]
    stack.write(program("agent", "[]", model_version="2"))
    assert 'aliases=[pulumi.Alias(name="qa")]' in stack.preview(check=False).output
    renamed = program("agent", "[pulumi.Alias(name='qa')]", model_version="2", keep_previous=1)
    stack.write(renamed)
    site.forget_requests()
    assert stack.up().operations == {"agent": "update", "agent-feedback": "update"}, "only the owner's marks change"
    after = site.endpoint("renamed")
    assert after["id"] == before["id"]
    assert after["config"] == before["config"]
    written = [request["path"].rsplit("/", 1)[1] for request in site.asked("PATCH", f"{PATH}/*")]
    assert written == ["tags"]
    assert site.asked("PUT", "*") == []
    assert "agent" in stack.resources()
    stack.preview("--expect-no-changes")

    # What the preview says of traffic, and what destroy says of the payloads.
    shares = {"versions": [{"version": "2"}, {"version": "3"}], "traffic": {"2": 90, "3": 10}}
    stack.write(program("agent", "[]", **shares))
    assert "v2 100 % → 90 %, v3 new 10 %" in stack.preview().messages
    assert "traffic:" not in stack.refresh().messages
    gone = stack.destroy()
    assert "Kept: the logged payloads in main.default.qa_payload" in gone.messages
    assert "DROP TABLE `main`.`default`.`qa_payload`" in gone.messages
    assert not site.exists("renamed")


OWN_SECRET = """
import pulumi
from agent_deploy import AgentDeployment

own = {"version": "VERSION", "environment": {"KEY": pulumi.Output.secret("its-own-value")}}
shared = {"KEY": pulumi.Output.secret("a-shared-value")}
args = {"endpoint_name": "own", "keep_previous": 1, "versions": [own], "environment": shared, "feedback_model": False}
AgentDeployment("qa", {"model_name": MODEL, **args})
"""


def test_a_versions_own_secret_is_not_exchanged_for_the_shared_one(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    def program(version: str) -> str:
        return OWN_SECRET.replace("MODEL", repr(MODEL)).replace("VERSION", version)

    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(program("1"), environment=site.environment, plugins=plugins)
    stack.up()
    stack.write(program("2"))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "expected version 1 in versions, as KEY is a secret of its own there" in refused.output
    stack.destroy()


def test_a_replacement_is_called_one_and_says_why(site: Site, open_stack: Callable[..., Stack]) -> None:
    serves = {"served_entities": {"qa_1": {"entity_name": MODEL, "entity_version": "1"}}}
    stack = open_stack(endpoints({"fixed": ({}, ""), "emptied": (serves, "")}), environment=site.environment)
    stack.up()
    stack.write(endpoints({"fixed": ({"route_optimized": True}, ""), "emptied": ({}, "")}))
    said = stack.preview().messages
    assert "The endpoint emptied is replaced: " in said
    assert "the API takes no endpoint back to serving nothing" in said
    assert "The endpoint fixed is replaced: routeOptimized of an endpoint cannot be changed" in said
    assert "It is deleted first, and answers nothing until the new one is ready." in said
    stack.write(endpoints({"fixed": ({}, "")}).replace("name='fixed'", "name='moved'"))
    said = stack.preview().messages
    assert "The new one is made first, as moved, and then fixed is deleted: move its callers." in said
    stack.destroy()
