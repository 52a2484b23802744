"""`pulumi up --plan` holds to what `preview --save-plan` has said, for every kind of change of an agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, Site
from tests.engine.support import both_plugins
from tests.engine.test_unknown_values import differences

PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment

args = json.loads(ARGS)
for key, value in args.pop("secrets", {}).items():
    args.setdefault("environment", {})[key] = pulumi.Output.secret(value)
AgentDeployment("agent", **args)
"""
USERS, OTHERS = {"group_name": "users"}, {"group_name": "other"}
# What changes → the arguments from then on; None takes one out.
CHANGES: dict[str, dict[str, Any]] = {
    "made": {"model_version": "1", "secrets": {"KEY": "one"}, "inference_tables": {"schedule": "triggered"}},
    "a version": {"model_version": "2"},
    "a version that stays": {"model_version": "3", "keep_previous": 1},
    "a secret's value": {"secrets": {"KEY": "two"}},
    "a further secret": {"secrets": {"KEY": "two", "MORE": "three"}},
    "permissions": {"permissions": [{**USERS, "level": "CAN_QUERY"}]},
    "another principal": {"permissions": [{**OTHERS, "level": "CAN_VIEW"}]},
    "reviewers": {"review_app": {"reviewers": [USERS], "instructions": "Be kind."}},
    "no reviewers": {"review_app": None, "permissions": None},
    "compute, tags and texts": {"workload_size": "Large", "tags": {"team": "search"}, "description": "Answers."},
    "a schedule": {"inference_tables": {"schedule": "daily"}},
    "no derivation": {"inference_tables": {"derive": False}},
    "an identity": {"auth": "SERVICE_PRINCIPAL", "keep_previous": None},
    "a version with an identity": {"model_version": "1"},
    "no feedback": {"feedback_model": False},
    "no secrets": {"secrets": None},
    "another endpoint": {"endpoint_name": "plans-renamed"},
}


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing, with three versions of a model and a group."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": "other"})
    found.register_bare(MODEL, 3)
    return found


def test_what_happens_is_what_was_planned(site: Site, open_stack: Callable[..., Any], tmp_path: Path) -> None:
    args: dict[str, Any] = {"model_name": MODEL, "endpoint_name": "plans"}
    stack = open_stack("", environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))
    wrong: dict[str, Any] = {}
    for what, change in CHANGES.items():
        args = {name: value for name, value in {**args, **change}.items() if value is not None}
        if found := differences(stack, PROGRAM.replace("ARGS", repr(json.dumps(args)))):
            wrong[what] = found
    assert wrong == {}
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert not site.exists("plans-renamed")
