"""One value that a preview does not know yet is unknown alone: what the preview says is what `up` does.

Every argument in turn comes from a resource that the same program makes, in a program of the real engine: the preview's
operations are those of `up`, under `protect`, and with the plan that the preview saved.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, Site
from tests.engine.support import Stack, both_plugins

MODEL_ELSEWHERE = "main.other.qa"

PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment
from agent_deploy.resources.databricks import ServicePrincipal


def later(name, value):
    made = ServicePrincipal(name, display_name=name)
    return made.application_id.apply(lambda id: id if value == "ID" else value)


def read(value):
    if isinstance(value, dict) and "LATE" in value:
        found = later(*value["LATE"])
        return pulumi.Output.secret(found) if value.get("SECRET") else found
    if isinstance(value, dict):
        return {key: read(inner) for key, inner in value.items()}
    return [read(inner) for inner in value] if isinstance(value, list) else value


args = read(json.loads(ARGS))
args.setdefault("environment", {})["KEPT"] = pulumi.Output.secret("hush")
AgentDeployment("agent", opts=pulumi.ResourceOptions(protect=PROTECT), **args)
"""
USERS, VIEWERS = {"group_name": "users"}, {"group_name": "users", "level": "CAN_VIEW"}
BASE: dict[str, Any] = {
    "model_name": MODEL,
    "versions": [{"version": "1", "traffic_percentage": 100, "environment": {"OWN": "1"}}],
    "environment": {"URL": "https://a"},
    "tags": {"team": "search"},
    "permissions": [VIEWERS],
    "review_app": {"reviewers": [USERS]},
    "inference_tables": {"schedule": "triggered"},
}


@dataclass(frozen=True)
class Step:
    """An argument that comes from another resource: its path, its value in the end, and what comes with it."""

    path: str
    value: object
    secret: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments with it."""
        changed: dict[str, Any] = json.loads(json.dumps({**args, **self.beside}))
        place: Any = changed
        *around, last = self.path.split("/")
        for part in around:
            place = place[int(part)] if part.isdecimal() else place.setdefault(part, {})
        value = {"LATE": [self.path.replace("/", "-"), self.value], "SECRET": self.secret}
        place[last] = value
        return changed


# What changes in place; the values differ from those of BASE.
IN_PLACE = (
    Step("versions/0/traffic_percentage", 100),
    Step("versions/0/workload_size", "Medium"),
    Step("versions/0/workload_type", "GPU_SMALL"),
    Step("versions/0/scale_to_zero", True),
    Step("versions/0/environment/OWN", "2"),
    Step("versions/0/environment/NEW", "2"),
    Step("environment/URL", "https://b"),
    Step("environment/SECRET", "hush", secret=True),
    Step("experiment_id", "EXPERIMENT"),
    Step("instance_profile_arn", "arn:aws:iam::123456789012:instance-profile/agents"),
    Step("description", "Answers."),
    Step("budget_policy_id", "policy-1"),
    Step("workload_size", "Large"),
    Step("workload_type", "GPU_MEDIUM"),
    Step("scale_to_zero", True),
)
MORE_IN_PLACE = (
    Step("tags/team", "ask"),
    Step("tags", {"team": "answer"}),
    Step("permissions/0/level", "CAN_QUERY"),
    Step("permissions/0/group_name", "other"),
    Step("permissions/1/service_principal_name", "ID", beside={"permissions": [VIEWERS, {"level": "CAN_QUERY"}]}),
    Step("review_app/reviewers/0/group_name", "other"),
    Step("review_app/reviewers/1/service_principal_name", "ID", beside={"review_app": {"reviewers": [USERS, {}]}}),
    Step("review_app/instructions", "Be kind."),
    Step("inference_tables/delete_on_destroy", True),
    Step("traffic/2", 10, beside={"versions": [{"version": "1"}, {"version": "2"}], "traffic": {"1": 90}}),
)
# Each of an agent of its own: what it had is another one's afterwards.
ALONE = (
    Step("versions/0/version", "2", beside={"versions": [{"workload_size": "Small"}]}),
    Step("endpoint_name", "renamed"),
    Step("model_name", MODEL_ELSEWHERE),
)
# Another object under another name: as Pulumi has it, a name that is not known is another one.
REPLACING = (
    Step("inference_tables/prefix", "elsewhere"),
    Step("inference_tables/catalog", "logs"),
    Step("inference_tables/schema", "other"),
)


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing, with models in two schemas, tables, an experiment and a group."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    unity = "/api/2.1/unity-catalog"
    found.workspace.post(f"{unity}/schemas", {"name": "other", "catalog_name": "main"})
    found.workspace.post(f"{unity}/catalogs", {"name": "logs"})
    found.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": "other"})
    found.workspace.post(f"{unity}/schemas", {"name": "other", "catalog_name": "logs"})
    for model in (MODEL, MODEL_ELSEWHERE):
        found.register_bare(model, 2)
    return found


@pytest.fixture
def open_(site: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``open_(args, protect)`` is a stack with that agent, which is up."""

    def make(args: dict[str, Any], protect: bool) -> Stack:
        declared, plugins = program(args, protect), both_plugins(tmp_path / "plugins")
        stack = open_stack(declared, environment=site.environment, plugins=plugins)
        stack.up()
        return stack

    return make


def program(args: dict[str, Any], protect: bool) -> str:
    return PROGRAM.replace("ARGS", repr(json.dumps(args))).replace("PROTECT", str(protect))


def differences(stack: Stack, declared: str) -> dict[str, tuple[str | None, str | None]]:
    """Resource → what the preview says of it and what the run does, which holds to the preview's plan; empty where the
    two agree. A run that finds a value as it was has nothing to do.
    """
    stack.write(declared)
    plan = str(stack.folder / "plan.json")
    foreseen = stack.preview("--save-plan", plan, check=False)
    done = stack.up("--plan", plan, check=False) if foreseen.code == 0 else foreseen
    if done.code:
        return {done.output[-3000:]: (None, None)}
    # A value that turns out to be what it was is no change.
    happened = done.operations
    said = {name: op for name, op in foreseen.operations.items() if op != "update" or name in happened}
    return {
        name: (said.get(name), happened.get(name))
        for name in {*said, *happened}
        if said.get(name) != happened.get(name)
    }


@pytest.mark.parametrize("steps", [IN_PLACE, MORE_IN_PLACE], ids=["served", "around"])
def test_what_a_preview_says_of_an_unknown_value_is_what_happens(
    site: Site, open_: Callable[..., Stack], name: str, steps: tuple[Step, ...]
) -> None:
    args = {"endpoint_name": name, **BASE}
    stack = open_(args, protect=True)
    experiment = str(
        site.workspace.post("/api/2.0/mlflow/experiments/create", {"name": f"/Shared/{name}"})["experiment_id"]
    )
    wrong: dict[str, Any] = {}
    # Two at a time: each takes a preview and a run. One alone, and any number, is what the components' tests have.
    for pair in itertools.zip_longest(steps[::2], steps[1::2]):
        for step in filter(None, pair):
            args = step.applied(args)
        if found := differences(stack, program(args, protect=True).replace("EXPERIMENT", experiment)):
            wrong[", ".join(step.path for step in filter(None, pair))] = found
    assert wrong == {}
    stack.preview("--expect-no-changes")


def test_a_name_that_is_not_known_is_another_one(site: Site, open_: Callable[..., Stack], name: str) -> None:
    args = {"endpoint_name": name, **BASE}
    stack = open_(args, protect=False)
    wrong: dict[str, Any] = {}
    for step in REPLACING:
        args = step.applied(args)
        if found := differences(stack, program(args, protect=False)):
            wrong[step.path] = found
    assert wrong == {}
    stack.preview("--expect-no-changes")


def test_what_is_known_is_verified_and_what_is_not_is_named(site: Site, open_: Callable[..., Stack], name: str) -> None:
    stack = open_({"endpoint_name": name, **BASE}, protect=False)
    args = Step("tags/team", "ask").applied({"endpoint_name": name, **BASE})
    stack.write(program({**args, "model_version": "9", "versions": []}, protect=False))
    refused = stack.preview(check=False)
    assert "model_version: main.default.qa has no version 9" in refused.output
    stack.write(program(args, protect=False))
    assert "verified in `pulumi up` only" in (said := stack.preview().messages)
    assert "tags['team']" in said


@pytest.mark.parametrize(
    ("step", "beside", "told"),
    [
        (
            Step("model_name", MODEL),
            {"auth": "SERVICE_PRINCIPAL"},
            "model_name: expected a value that is known with auth",
        ),
        (
            Step("versions/0/version", "1"),
            {"keep_previous": 1},
            "versions[0]: expected a value that is known with keep_previous",
        ),
        (Step("auth", "MANUAL"), {}, "auth: expected a plain value, and not an Output"),
        (Step("keep_previous", 1), {}, "keep_previous: expected a plain value, and not an Output"),
    ],
    ids=lambda value: value.path if isinstance(value, Step) else "",
)
def test_a_value_that_decides_what_is_declared_is_told_before_anything_else(
    site: Site,
    open_stack: Callable[..., Stack],
    tmp_path: Path,
    name: str,
    step: Step,
    beside: dict[str, Any],
    told: str,
) -> None:
    declared = program(step.applied({"endpoint_name": name, **BASE, **beside}), protect=False)
    stack = open_stack(declared, environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert told in refused.output


def test_a_value_that_is_written_down_instead_keeps_access_and_record(
    site: Site, open_: Callable[..., Stack], name: str
) -> None:
    args = {"endpoint_name": name, **BASE, "permissions": [], "versions": [], "model_version": "1"}
    late = Step("model_version", "1").applied(
        Step("review_app/reviewers/0/group_name", "users").applied({**args, "review_app": {"reviewers": [{}]}})
    )
    written = {**args, "review_app": {"reviewers": [USERS]}}
    stack = open_(late, protect=False)
    id = site.endpoint(name)["id"]
    path = f"/api/2.0/permissions/serving-endpoints/{id}"
    for declared in (written, late, written):
        stack.write(program(declared, protect=False))
        stack.up()
        entries = site.workspace.get(path)["access_control_list"]
        assert [
            each["all_permissions"][0]["permission_level"] for each in entries if each.get("group_name") == "users"
        ] == ["CAN_QUERY"]
        records = site.workspace.get(f"/api/2.0/agents/deployments/{MODEL}")["chain_deployments"]
        assert [each["model_version"] for each in records if each["endpoint_name"] == name] == ["1"]
        stack.preview("--expect-no-changes")


@pytest.mark.parametrize("step", ALONE, ids=lambda step: step.path)
def test_a_version_or_a_name_that_is_not_known_holds_to_its_plan(
    site: Site, open_: Callable[..., Stack], name: str, step: Step
) -> None:
    args = {"endpoint_name": name[-40:], **BASE}
    stack = open_(args, protect=False)
    assert differences(stack, program(step.applied(args), protect=False)) == {}
