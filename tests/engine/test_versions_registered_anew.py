"""A version that was deleted and registered anew under its number is another one: shown as drift, and deployed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.engine.serving import MODEL, Site
from tests.engine.support import Stack

NAME = "anew"
ARGS = {
    "model_name": MODEL,
    "endpoint_name": NAME,
    "model_version": "1",
    "inference_tables": {"enabled": False},
    "review_app": {"enabled": False},
    "feedback_model": False,
}
PROGRAM = f"from agent_deploy import AgentDeployment\nAgentDeployment('qa', {ARGS!r})\n"
VERSION = f"/api/2.1/unity-catalog/models/{MODEL}/versions/1"
RECORDED = "servedVersionIds"
ANEW = f"version 1 of {MODEL} was deleted and registered anew since it was deployed"


def test_it_is_drift_in_each_preview_and_deployed_by_up(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Stack]
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare(MODEL, 1)
    stack = open_stack(PROGRAM, environment=site.environment)
    stack.up()
    (entity,) = recorded(stack)
    before, deployed = recorded(stack)[entity], site.endpoint(NAME)["config"]["config_version"]
    site.workspace.request("DELETE", "/api/2.0/mlflow/unity-catalog/registered-models/delete", body={"name": MODEL})
    site.register_bare(MODEL, 1)
    now = site.workspace.get(VERSION)["id"]
    assert now != before
    site.forget_requests()
    for flags in ([], ["--refresh"]):
        seen = stack.preview(*flags)
        assert (seen.operations, seen.changed_paths["qa"]) == ({"qa": "update"}, {f'{RECORDED}["{entity}"]': "update"})
        assert ANEW in seen.messages
        assert f"(id {before})" in seen.messages
        assert f"(id {now})" in seen.messages
    # The verification of each preview has asked for it, and the refresh; nobody else.
    assert len(site.asked("GET", VERSION)) == 3
    stack.refresh()
    assert stack.resources()["qa"]["outputs"]["servedEntityStates"][entity]["message"].startswith(ANEW)
    assert recorded(stack) == {entity: before}
    stack.up()
    assert recorded(stack) == {entity: now}
    assert site.endpoint(NAME)["config"]["config_version"] == deployed + 1
    # A state of before this was noted shows nothing, whatever there is.
    state = json.loads(stack.run("stack", "export").output)
    for resource in state["deployment"]["resources"]:
        resource.get("outputs", {}).pop(RECORDED, None)
    stack.run("stack", "import", stdin=json.dumps(state))
    stack.preview("--refresh", "--expect-no-changes")


def recorded(stack: Stack) -> dict[str, str]:
    """What the state says of the versions."""
    found: dict[str, str] = stack.resources()["qa"]["outputs"][RECORDED]
    return found
