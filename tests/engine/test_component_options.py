"""Resource options on an AgentDeployment, on the real engine: what keeps the agent, and what goes on changing."""

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
from pulumi import CustomTimeouts, ResourceOptions
from agent_deploy import AgentDeployment
from agent_deploy.resources.databricks import ServicePrincipal

given = json.loads(GIVEN)
environment = {"KEY": pulumi.Output.secret(given.pop("secret", "hush"))}
before = ServicePrincipal("before", display_name="before")
agent = AgentDeployment("agent", environment=environment, opts=ResourceOptions(OPTS), **given)
after = ServicePrincipal("after", display_name="after", opts=ResourceOptions(depends_on=[agent]))
"""


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing, with three versions of a model."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 3)
    return found


def program(name: str, opts: str, **more: Any) -> str:
    given = {"model_name": MODEL, "model_version": "1", "endpoint_name": name, "feedback_model": False, **more}
    given.setdefault("inference_tables", {"derive": False, "prefix": name})
    given["permissions"] = [{"group_name": "users", "level": "CAN_QUERY"}]
    return PROGRAM.replace("GIVEN", repr(json.dumps(given))).replace("OPTS", opts)


@pytest.fixture
def open_(site: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[[str], Stack]:
    """``open_(program)`` is a stack of it, not yet up."""

    def make(declared: str) -> Stack:
        return open_stack(declared, environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))

    return make


def test_a_protected_agent_changes_as_always_and_cannot_go(
    site: Site, open_: Callable[[str], Stack], name: str
) -> None:
    stack = open_(program(name, "protect=True"))
    stack.up()
    stack.write(program(name, "protect=True", model_version="2", secret="other", review_app={"instructions": "x"}))
    changed = stack.up().operations
    assert changed["agent"] == "update"
    assert changed["agent-registration-v1"] == "delete"
    assert changed["agent-registration-v2"] == "create"
    # The old key goes when the endpoint reads the new one.
    assert changed["agent-secret-KEY"] in ("create-replacement", "replace", "delete-replaced")
    assert len(site.workspace.get("/api/2.0/secrets/list", {"scope": name})["secrets"]) == 1
    refused = stack.destroy(check=False)
    assert refused.code != 0
    assert "protected" in refused.output + refused.messages
    assert site.exists(name)
    # Taken out, it holds nothing back.
    stack.write(program(name, "", model_version="3", secret="third"))
    stack.up()
    stack.destroy()
    assert not site.exists(name)


def test_a_retained_agent_stays_without_its_old_keys_and_records(
    site: Site, open_: Callable[[str], Stack], name: str
) -> None:
    stack = open_(program(name, "retain_on_delete=True"))
    stack.up()
    stack.write(program(name, "retain_on_delete=True", model_version="2", secret="other"))
    stack.up()
    assert len(site.workspace.get("/api/2.0/secrets/list", {"scope": name})["secrets"]) == 1
    records = site.workspace.get(f"/api/2.0/agents/deployments/{MODEL}")["chain_deployments"]
    assert [each["model_version"] for each in records if each["endpoint_name"] == name] == ["2"]
    stack.destroy()
    assert stack.resources() == {}
    assert site.exists(name)


def test_what_is_ignored_stays_and_what_takes_too_long_is_told(
    site: Site, open_: Callable[[str], Stack], name: str
) -> None:
    ignored = """ignore_changes=["tags", 'environment["A"]'], custom_timeouts=CustomTimeouts(update="1s")"""
    stack = open_(program(name, ignored, tags={"team": "one"}, description="one"))
    stack.up()
    stack.write(program(name, ignored, tags={"team": "two"}, description="one"))
    stack.preview("--expect-no-changes")
    stack.write(program(name, ignored, tags={"team": "two"}, description="two"))
    changed = stack.preview()
    assert set(changed.changed_paths.get("agent", ())) == {"description"}, (changed.output, changed.events)
    stack.write(program(name, ignored, model_version="2"))
    with site.stepped():
        late = stack.up(check=False)
        assert late.code != 0
        assert "not ready within the time allowed" in late.output
    site.settled(name)
    assert {"key": "team", "value": "one"} in site.endpoint(name)["tags"]
    stack.up()
    stack.destroy()


def test_what_it_depends_on_comes_first_and_goes_last(site: Site, open_: Callable[[str], Stack], name: str) -> None:
    stack = open_(program(name, "depends_on=[before]"))
    site.forget_requests()
    stack.up()
    made = [
        request["body"].get("displayName") or request["body"].get("name")
        for request in site.asked("POST", "/api/2.0/*")
        if request["path"].endswith(("/ServicePrincipals", "/serving-endpoints"))
    ]
    assert made == ["before", name, "after"]
    site.forget_requests()
    stack.destroy()
    gone = [request["path"].rsplit("/", 2)[1] for request in site.asked("DELETE", "/api/2.0/*")]
    assert [each for each in gone if each in ("ServicePrincipals", "serving-endpoints")] == [
        "ServicePrincipals",
        "serving-endpoints",
        "ServicePrincipals",
    ]
