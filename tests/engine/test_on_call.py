"""What whoever is on call meets: an interrupted run, two runs at once, what was undone by hand around an endpoint."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, PATH, Site, entity, program, spec
from tests.engine.support import Stack, both_plugins, eventually

DEPLOYMENT = """
import json
import pulumi
from agent_deploy import AgentDeployment

args = json.loads(ARGS)
args["feedback_model"] = False
args["environment"] = {"API_KEY": pulumi.Config().require_secret("key")}
AgentDeployment("qa", args)
"""


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register(MODEL, 2)
    return found


def test_ctrl_c_leaves_a_state_from_which_the_next_run_goes_on_waiting(
    site: Site, open_stack: Callable[..., Stack]
) -> None:
    stack = open_stack(program(spec("interrupted")), environment=site.environment)
    stack.up()
    changed = spec("interrupted", served_entities={"qa_1": entity(environment_vars={"GREETING": "changed"})})
    stack.write(program(changed))
    site.forget_requests()
    with site.stepped():
        running = stack.start("up", "--yes", "--skip-preview")
        eventually(lambda: site.waits_for_step("interrupted"))
        os.killpg(running.pid, signal.SIGINT)  # as a terminal sends it: to the engine, the program and the plugin
        assert running.wait(timeout=120) != 0
        kept = stack.resources()["qa"]
        assert kept["initErrors"], stack.started_output
        again = stack.start("up", "--yes", "--skip-preview")
        site.step()
        assert again.wait(timeout=120) == 0, stack.started_output
    assert len(site.asked("PUT", f"{PATH}/interrupted/config")) == 1
    stack.preview("--expect-no-changes")
    stack.destroy()


def test_a_run_that_meets_another_waits_for_its_end(site: Site, open_stack: Callable[..., Stack]) -> None:
    stack = open_stack(program(spec("shared")), environment=site.environment)
    stack.up()
    other = [entity(2, name="qa_1")]
    wanted = spec("shared", served_entities={"qa_1": entity(environment_vars={"GREETING": "ours"})})
    stack.write(program(wanted))
    with site.stepped():
        # Another run, from elsewhere, is in the middle of its own update.
        site.workspace.put(f"{PATH}/shared/config", {"served_entities": other})
        eventually(lambda: site.waits_for_step("shared"))
        site.forget_requests()
        running = stack.start("up", "--yes", "--skip-preview")
        eventually(lambda: site.asked("PUT", f"{PATH}/shared/config"))  # refused with 409
        site.step()
        eventually(lambda: len(site.asked("PUT", f"{PATH}/shared/config")) > 1)
        eventually(lambda: site.waits_for_step("shared"))
        site.step()
        assert running.wait(timeout=120) == 0, stack.started_output
    [served] = site.endpoint("shared")["config"]["served_entities"]
    assert (served["entity_version"], served["environment_vars"]) == ("1", {"GREETING": "ours"})
    stack.preview("--expect-no-changes")
    stack.destroy()


def test_what_is_undone_by_hand_around_the_endpoint_is_seen_and_mended(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    plugins = both_plugins(tmp_path / "plugins")
    site.workspace.request("POST", "/api/2.0/preview/scim/v2/Groups", body={"displayName": "reviewers", "members": []})
    args = {
        "model_name": MODEL,
        "model_version": "1",
        "endpoint_name": "undone",
        "auth": "SERVICE_PRINCIPAL",
        "inference_tables": {"enabled": False},
        "permissions": [{"group_name": "reviewers", "level": "CAN_QUERY"}],
    }
    text = DEPLOYMENT.replace("ARGS", repr(json.dumps(args)))
    stack = open_stack(text, environment=site.environment, plugins=plugins, config={"key": "to-be-replaced"})
    stack.set_secret("key", "hush")
    stack.up()
    resources = stack.resources()
    secret, scope = resources["qa-secret-API_KEY"]["outputs"], resources["qa-secrets"]["id"]
    [principal] = [r for r in stack.export()["resources"] if r["type"].endswith(":ServicePrincipal")]
    endpoint_id = site.endpoint("undone")["id"]

    def levels(id: str) -> dict[str, str]:
        """Group → level on the endpoint of that id."""
        listed = site.workspace.get(f"/api/2.0/permissions/serving-endpoints/{id}")["access_control_list"]
        return {e["group_name"]: e["all_permissions"][0]["permission_level"] for e in listed if "group_name" in e}

    # By hand: the ACL emptied, the secret's key and the version's principal deleted, the endpoint changed.
    site.workspace.put(f"/api/2.0/permissions/serving-endpoints/{endpoint_id}", {"access_control_list": []})
    site.workspace.post("/api/2.0/secrets/delete", {"scope": scope, "key": secret["key"]})
    site.workspace.patch(f"{PATH}/undone/tags", {"add_tags": [{"key": "by", "value": "hand"}]})
    site.workspace.delete(f"/api/2.0/preview/scim/v2/ServicePrincipals/{principal['id']}")

    shown = stack.preview("--refresh").operations
    assert {"qa-secret-API_KEY", "qa-permissions", "qa", "qa-v1"} <= set(shown)
    stack.refresh()
    stack.up()
    assert levels(endpoint_id)["reviewers"] == "CAN_QUERY"
    keys = {key["key"] for key in site.workspace.get("/api/2.0/secrets/list", {"scope": scope})["secrets"]}
    variables = site.endpoint("undone")["config"]["served_entities"][0]["environment_vars"]
    assert variables["API_KEY"] == f"{{{{secrets/{scope}/{next(iter(keys))}}}}}"
    found = site.workspace.get("/api/2.0/preview/scim/v2/ServicePrincipals")["Resources"]
    assert variables["DATABRICKS_CLIENT_ID"] in {each["applicationId"] for each in found}
    assert variables["DATABRICKS_CLIENT_ID"] != principal["outputs"]["applicationId"]
    assert "by" not in {tag["key"] for tag in site.endpoint("undone")["tags"]}
    stack.preview("--expect-no-changes")

    # The whole endpoint deleted by hand: made again, and who may ask it with it; another level is a change in place.
    site.workspace.delete(f"{PATH}/undone")
    assert {"qa", "qa-permissions"} <= set(stack.preview("--refresh").operations)
    stack.refresh()
    stack.up()
    made = site.endpoint("undone")["id"]
    assert made != endpoint_id
    assert levels(made)["reviewers"] == "CAN_QUERY"
    stack.write(text.replace("CAN_QUERY", "CAN_MANAGE"))
    assert stack.up().operations == {"qa-permissions": "update"}
    assert levels(made)["reviewers"] == "CAN_MANAGE"
    stack.destroy()
    assert not site.exists("undone")


def test_destroy_in_the_middle_of_an_update_and_once_more(site: Site, open_stack: Callable[..., Stack]) -> None:
    stack = open_stack(program(spec("leaving")), environment=site.environment)
    stack.up()
    with site.stepped():
        site.workspace.put(f"{PATH}/leaving/config", {"served_entities": [entity(2, name="qa_1")]})
        eventually(lambda: site.waits_for_step("leaving"))
        stack.destroy()
        assert not site.exists("leaving")
    stack.destroy()
    assert stack.resources() == {}
