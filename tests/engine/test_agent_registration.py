"""An agent in the register and its Review App on the real engine: it comes, changes, is mended, and all of it goes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.client.deployments import get_deployments, list_deployments
from agent_deploy.stand_in.selection import select_plugin
from tests.engine.serving import MODEL, PATH, Site
from tests.engine.support import BIN, Stack, clean_environment

DEPLOYMENTS = "/api/2.0/agents/deployments"
REVIEW_APPS = "/api/2.0/managed-evals/review-apps"
ANN, BO = "ann@example.com", "bo@example.com"
PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment
agent = AgentDeployment("qa", json.loads(ARGS))
pulumi.export("review_app_url", agent.review_app_url)
"""
BY_HAND = "main.default.by_hand"


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace with three versions of a model that nobody asks, one of another, and two users."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 3)
    found.register_bare(BY_HAND, 1)
    for user in (ANN, BO):
        found.workspace.post("/api/2.0/preview/scim/v2/Users", {"userName": user})
    return found


@pytest.fixture
def experiment(site: Site, name: str) -> str:
    """An experiment of the test's own, in the deployer's folder: nobody else may see it."""
    me = site.workspace.get("/api/2.0/preview/scim/v2/Me")["userName"]
    made = site.workspace.post("/api/2.0/mlflow/experiments/create", {"name": f"/Users/{me}/{name}"})
    return str(made["experiment_id"])


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An endpoint of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:50].strip("-")


@pytest.fixture
def deploy(site: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``deploy(**args)`` is a stack with one AgentDeployment, not yet up."""
    folder = select_plugin(tmp_path / "plugins").folder
    plugins = {"agent-deploy": BIN, **({"databricks": folder} if folder else {})}
    return lambda **args: open_stack(program(**args), environment=site.environment, plugins=plugins)


def program(**args: Any) -> str:
    """A program with one AgentDeployment of MODEL."""
    return PROGRAM.replace("ARGS", repr(json.dumps({"model_name": MODEL, **args})))


def change(stack: Stack, **args: Any) -> None:
    """Another program, brought about; then there is nothing more to do."""
    stack.write(program(**args))
    stack.up()
    stack.preview("--expect-no-changes")


def registered(site: Site, model: str = MODEL) -> list[str]:
    """Versions in the register, the latest last."""
    found = site.workspace.get(f"{DEPLOYMENTS}/{model}", {"model_name": model})["chain_deployments"]
    return [record["model_version"] for record in found]


def agents(site: Site, experiment: str) -> list[str]:
    """Agents of the experiment's Review App."""
    found = site.workspace.get(REVIEW_APPS, {"filter": f"experiment_id={experiment}"})["review_apps"]
    return [agent["agent_name"] for app in found for agent in app["agents"]]


def instructions(site: Site) -> str:
    """What reviewers are told."""
    return str(site.workspace.get(f"{DEPLOYMENTS}/{MODEL}/instructions").get("instructions", ""))


def levels(site: Site, kind: str, id: str) -> dict[str, str]:
    """Principal → direct level, but for the administrators and the deployer."""
    acl = site.workspace.get(f"/api/2.0/permissions/{kind}/{id}")["access_control_list"]
    return {
        principal: permission["permission_level"]
        for entry in acl
        if (principal := entry.get("user_name") or entry.get("group_name")) in (ANN, BO, "users")
        for permission in entry["all_permissions"]
        if not permission.get("inherited")
    }


def writes(site: Site) -> list[str]:
    """Methods and paths of what was changed since the recording began."""
    asked = [request for request in site.asked("*", "/api/*") if request["method"] != "GET"]
    return [f"{request['method']} {request['path']}" for request in sorted(asked, key=lambda each: each["time_ms"])]


def test_an_agent_is_known_while_it_is_declared(
    site: Site, name: str, experiment: str, deploy: Callable[..., Stack]
) -> None:
    review_app: dict[str, Any] = {"reviewers": [{"user_name": ANN}], "instructions": "Be kind."}
    base = {"endpoint_name": name, "experiment_id": experiment, "inference_tables": {"enabled": False}}
    both = {"versions": [{"version": "2"}, {"version": "1"}], "traffic": {"1": 90, "2": 10}}
    stack = deploy(**base, **both, review_app=review_app)
    site.forget_requests()
    stack.preview()
    assert writes(site) == []
    stack.up()
    stack.preview("--expect-no-changes")
    assert registered(site) == ["1", "2"]
    assert agents(site, experiment) == [MODEL]
    assert instructions(site) == "Be kind."
    url = stack.outputs()["review_app_url"]
    assert url == f"{site.host}/ml/review-v2/chat?endpoint={name}"
    id = site.endpoint(name)["id"]
    assert levels(site, "serving-endpoints", id) == {ANN: "CAN_QUERY"}
    assert levels(site, "experiments", experiment) == {ANN: "CAN_EDIT"}

    # Others' entries stay when reviewers change, and the endpoint itself is not touched.
    users = [{"group_name": "users", "permission_level": "CAN_VIEW"}]
    site.workspace.patch(f"/api/2.0/permissions/serving-endpoints/{id}", {"access_control_list": users})
    site.forget_requests()
    review_app = {"reviewers": [{"user_name": BO}], "instructions": "Be brief."}
    change(stack, **base, **both, review_app=review_app)
    assert levels(site, "serving-endpoints", id) == {BO: "CAN_QUERY", "users": "CAN_VIEW"}
    assert levels(site, "experiments", experiment) == {BO: "CAN_EDIT"}
    assert instructions(site) == "Be brief."
    assert not [call for call in writes(site) if PATH in call or call == f"POST {DEPLOYMENTS}"]

    # Permissions write the whole list: reviewers are part of it, and stay out of it when they leave.
    permissions = [{"user_name": ANN, "level": "CAN_QUERY"}]
    reviewers = [{"user_name": ANN}, {"user_name": BO}]
    change(stack, **base, **both, review_app={**review_app, "reviewers": reviewers}, permissions=permissions)
    assert levels(site, "serving-endpoints", id) == {ANN: "CAN_QUERY", BO: "CAN_QUERY"}
    change(stack, **base, **both, review_app={"instructions": "Be brief."}, permissions=permissions)
    assert levels(site, "serving-endpoints", id) == {ANN: "CAN_QUERY"}
    assert levels(site, "experiments", experiment) == {}

    # What was taken out by hand is drift, and comes back.
    site.workspace.request("DELETE", f"{DEPLOYMENTS}/{MODEL}/versions/1", body={"model_name": MODEL})
    (app,) = site.workspace.get(REVIEW_APPS, {"filter": f"experiment_id={experiment}"})["review_apps"]
    path = f"{REVIEW_APPS}/{app['review_app_id']}?update_mask=agents"
    site.workspace.patch(path, {**app, "agents": [{"agent_name": "main.default.other"}]})
    shown = stack.preview("--refresh")
    assert shown.operations["qa-registration-v1"] in ("delete", "create")
    assert "experimentId" in json.dumps(shown.changed_paths["qa-registration-v2"])
    stack.up("--refresh")
    stack.preview("--refresh", "--expect-no-changes")
    assert registered(site) == ["2", "1"]
    assert agents(site, experiment) == ["main.default.other", MODEL]

    # A version that leaves is registered until the endpoint does without it; one that is kept stays.
    site.forget_requests()
    change(stack, **base, model_version="3", keep_previous=1, permissions=permissions)
    order = writes(site)
    assert registered(site) == ["1", "3"]
    assert instructions(site) == ""
    leaving = order.index(f"DELETE {DEPLOYMENTS}/{MODEL}/versions/2")
    assert order.index(f"PUT {PATH}/{name}/config") < order.index(f"POST {DEPLOYMENTS}") < leaving
    assert agents(site, experiment) == ["main.default.other", MODEL]

    stack.destroy()
    assert registered(site) == []
    assert agents(site, experiment) == ["main.default.other"]
    assert not site.exists(name)


def test_a_workspace_without_agents_service_deploys_all_the_same(
    site: Site, name: str, experiment: str, deploy: Callable[..., Stack]
) -> None:
    stack = deploy(endpoint_name=name, model_version="1", experiment_id=experiment)
    with (
        site.fault(path="/api/2.0/agents/*", status=501),
        site.fault(path="/api/2.0/managed-evals/*", status=404, error_code="ENDPOINT_NOT_FOUND"),
    ):
        up = stack.up()
        assert "This workspace has no agents service" in up.messages
        stack.preview("--refresh", "--expect-no-changes")
        url = stack.outputs()["review_app_url"]
        assert url == f"{site.host}/ml/review-v2/chat?endpoint={name}"
        (found,) = get_deployments(MODEL, workspace=site.workspace)
        assert (found.endpoint_name, found.registered, found.traffic_percentage) == (name, False, 100)
    # Once there is one, the next refresh finds the record missing, and it is made.
    stack.up("--refresh")
    assert registered(site) == ["1"]
    stack.destroy()
    assert registered(site) == []


def test_ours_and_those_deployed_by_hand_are_listed(site: Site, name: str, deploy: Callable[..., Stack]) -> None:
    stack = deploy(endpoint_name=name, model_version="2", scale_to_zero=True, review_app={})
    stack.up()
    by_hand(site, f"{name}-hand")
    ours, theirs = list_deployments(site.workspace)
    assert (ours.model_name, ours.model_version, ours.endpoint_name) == (MODEL, "2", name)
    assert ours.declared_by == "project/test/qa"
    assert (ours.traffic_percentage, ours.state, ours.scale_to_zero) == (100, "DEPLOYMENT_READY", True)
    assert ours.query_endpoint == f"{site.host}/serving-endpoints/{name}/served-models/main-default-qa_2/invocations"
    assert (theirs.model_name, theirs.declared_by, theirs.problem) == (BY_HAND, "", "")
    assert theirs.creator
    assert get_deployments(MODEL, 2, site.workspace) == [ours]
    assert get_deployments(MODEL, "9", site.workspace) == []
    (listed,) = command(site, BY_HAND, "--json")
    assert listed["created_at"] == theirs.created_at.isoformat() if theirs.created_at else False

    site.workspace.delete(f"{PATH}/{name}-hand")
    gone = list_deployments(site.workspace)[1]
    assert gone.problem == f"the endpoint {name}-hand is gone; the register still has the record"
    assert command(site, BY_HAND, "--json")[0]["problem"] == gone.problem
    stack.destroy()
    assert [each.model_name for each in list_deployments(site.workspace)] == [BY_HAND]


def by_hand(site: Site, endpoint: str) -> None:
    """The requests with which databricks.agents.deploy() 1.13 was observed to deploy a version."""
    entity = {
        "entity_name": BY_HAND,
        "entity_version": 1,
        "name": "main-default-by_hand_1",
        "scale_to_zero_enabled": False,
        "workload_size": "Small",
        "environment_vars": {"ENABLE_MLFLOW_TRACING": "true", "RETURN_REQUEST_ID_IN_RESPONSE": "true"},
    }
    routes = [{"served_model_name": entity["name"], "traffic_percentage": 100}]
    config = {"name": endpoint, "served_entities": [entity], "traffic_config": {"routes": routes}}
    tags = [{"key": "team", "value": "x"}, {"key": "MONITOR_EXPERIMENT_ID", "value": "777"}]
    site.workspace.post(PATH, {"name": endpoint, "description": "", "config": config, "tags": tags})
    query = f"{site.host}/serving-endpoints/{endpoint}/served-models/{entity['name']}/invocations"
    record = {"model_name": BY_HAND, "model_version": 1, "endpoint_name": endpoint, "query_endpoint": query}
    body = {**record, "served_entity_name": entity["name"], "workspace_url": site.host}
    chain = site.workspace.post(DEPLOYMENTS, body)["deployed_chain"]
    assert chain["model_version"] == "1"
    assert "/review-v2/" in chain["review_app_url"]
    site.settled(endpoint)


def command(site: Site, *arguments: str) -> list[dict[str, Any]]:
    """`agent-deploy deployments … --json`."""
    environment = {**clean_environment(), **site.environment}
    line = [str(BIN / "agent-deploy"), "deployments", *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
