"""AgentDeployment on the real engine and the local workspace: what is made, in what order, and that all of it goes."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.client.serving import PATH
from agent_deploy.rules.names import endpoint_name
from tests.engine.serving import MODEL, Site
from tests.engine.support import BIN, RUN_SECONDS, Stack, both_plugins, clean_environment

PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment

args = json.loads(ARGS)
for variable in args.pop("secret_variables", []):
    args.setdefault("environment", {})[variable] = pulumi.Config().require_secret(variable)
agent = AgentDeployment("qa", args)
for output in ("query_endpoint", "served_entities", "inference_tables", "identities"):
    pulumi.export(output, getattr(agent, output))
"""
SECRET = "a-value-that-nobody-may-see"


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace with three versions of a model; `champion` is the second."""
    found = Site(local_workspace_factory())
    found.register(MODEL, 3)
    found.workspace.put(f"/api/2.1/unity-catalog/models/{MODEL}/aliases/champion", {"version_num": 2})
    return found


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An endpoint of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:50].strip("-")


@pytest.fixture
def deploy(site: Site, name: str, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``deploy(**args)`` is a stack with one AgentDeployment of MODEL, not yet up."""
    plugins = both_plugins(tmp_path / "plugins")

    def make(**args: Any) -> Stack:
        return open_stack(program(name, **args), environment=site.environment, plugins=plugins)

    return make


def program(name: str, **args: Any) -> str:
    """A program with one AgentDeployment and a raw inference table, named after the test; the rest is tested apart."""
    tables = {"prefix": name.replace("-", "_"), "derive": False}
    declared = {"model_name": MODEL, "endpoint_name": name, "inference_tables": tables, "feedback_model": False, **args}
    return PROGRAM.replace("ARGS", repr(json.dumps(declared)))


def nothing_to_do(stack: Stack) -> None:
    """A further preview is empty."""
    assert stack.preview("--expect-no-changes").operations == {}


def writes(site: Site) -> list[str]:
    """Methods and paths of what was changed since the recording began; a pipeline's dry run changes nothing."""
    asked = [request for request in site.asked("*", "/api/*") if request["method"] != "GET"]
    dry = [isinstance(request["body"], dict) and bool(request["body"].get("dry_run")) for request in asked]
    return [f"{request['method']} {request['path']}" for request, tries in zip(asked, dry, strict=True) if not tries]


def test_from_nothing_to_nothing(site: Site, name: str, deploy: Callable[..., Stack]) -> None:
    permissions = [{"group_name": "users", "level": "CAN_QUERY"}]
    args = {"environment": {"GREETING": "hello"}, "secret_variables": ["API_KEY"], "permissions": permissions}
    stack = deploy(model_version="1", **args)
    stack.set_secret("API_KEY", SECRET)
    site.forget_requests()
    preview = stack.preview()
    assert set(preview.operations.values()) == {"create"}
    assert writes(site) == []
    up = stack.up()
    nothing_to_do(stack)

    kept = stack.resources()
    assert set(kept) == {"qa", "qa-secrets", "qa-secret-API_KEY", "qa-permissions", "qa-registration-v1"}
    parents = {resource["parent"].rsplit("::", 1)[-1] for resource in kept.values() if "parent" in resource}
    assert parents <= {"qa", "project-test"}
    variables = site.endpoint(name)["config"]["served_entities"][0]["environment_vars"]
    assert variables["GREETING"] == "hello"
    assert variables["API_KEY"].startswith(f"{{{{secrets/{name}/API_KEY-")
    assert variables["MLFLOW_EXPERIMENT_ID"].isdigit()
    answer = site.workspace.post(f"/serving-endpoints/{name}/invocations", {"inputs": ["you"]})
    assert answer["predictions"] == ["hello you"]
    told = stack.outputs()
    assert told["query_endpoint"] == f"{site.host}/serving-endpoints/{name}/invocations"
    [served] = told["served_entities"]
    assert (served["model_name"], served["version"], served["traffic_percentage"]) == (MODEL, "1", 100)
    assert (served["deployment"], served["message"]) == ("DEPLOYMENT_READY", "")
    one_alone = served["query_endpoint"].removeprefix(site.host)
    assert site.workspace.post(one_alone, {"inputs": ["you"]})["predictions"] == ["hello you"]
    everything = "\n".join([stack.state_text(), preview.output, up.output, json.dumps(up.events)])
    assert SECRET not in everything

    stack.destroy()
    assert stack.resources() == {}
    assert not site.exists(name)
    scopes = site.workspace.get("/api/2.0/secrets/scopes/list").get("scopes", [])
    assert name not in {scope["name"] for scope in scopes}


def test_a_variable_that_another_resource_will_tell_leaves_the_preview_whole(
    site: Site, name: str, deploy: Callable[..., Stack]
) -> None:
    stack = deploy(model_version="1", environment={"GREETING": "hello"}, secret_variables=["API_KEY"])
    stack.set_secret("API_KEY", SECRET)
    stack.up()
    told_later = """
from agent_deploy.resources.databricks import SecretScope

args["environment"]["GREETING"] = SecretScope("greeting", name="greeting-of-others").id
agent ="""
    text = program(name, model_version="1", environment={}, secret_variables=["API_KEY"])
    stack.write(text.replace("agent =", told_later))
    # What is not registered in a preview is shown as deleted.
    preview = stack.preview()
    assert preview.operations == {"greeting": "create", "qa": "update"}
    up = stack.up()
    assert up.operations == preview.operations
    variables = site.endpoint(name)["config"]["served_entities"][0]["environment_vars"]
    assert variables["GREETING"] == "greeting-of-others"
    assert SECRET not in "\n".join([stack.state_text(), preview.output, json.dumps(preview.events), up.output])
    nothing_to_do(stack)
    stack.destroy()


def test_a_canary_is_promoted_kept_for_a_rollback_and_gone(site: Site, name: str, deploy: Callable[..., Stack]) -> None:
    stack = deploy(model_version="1")
    stack.up()
    canary = {"versions": [{"version": "1", "traffic_percentage": 90}, {"version": "3", "traffic_percentage": 10}]}
    stack.write(program(name, **canary))
    shown = stack.preview().output
    assert re.search(r"main-default-qa_1: 100 => 90", shown)
    assert re.search(r"\+ main-default-qa_3: 10", shown)
    stack.up()
    nothing_to_do(stack)
    stack.write(program(name, model_version="3", keep_previous=1))
    stack.up()
    assert traffic(site, name) == {"main-default-qa_1": 0, "main-default-qa_3": 100}
    nothing_to_do(stack)
    stack.write(program(name, model_version="1", keep_previous=1))
    stack.up()
    assert traffic(site, name) == {"main-default-qa_1": 100, "main-default-qa_3": 0}
    stack.write(program(name, model_version="1"))
    stack.up()
    assert traffic(site, name) == {"main-default-qa_1": 100}
    nothing_to_do(stack)
    stack.destroy()


def test_an_alias_that_moves_is_a_deployment(site: Site, name: str, deploy: Callable[..., Stack]) -> None:
    stack = deploy(versions=[{"alias": "champion"}])
    stack.up()
    assert traffic(site, name) == {"main-default-qa_2": 100}
    aliases = f"/api/2.1/unity-catalog/models/{MODEL}/aliases/champion"
    site.workspace.put(aliases, {"version_num": 3})
    try:
        stack.up()
        assert traffic(site, name) == {"main-default-qa_3": 100}
    finally:
        site.workspace.put(aliases, {"version_num": 2})
    stack.destroy()


def test_an_endpoint_ahead_of_its_first_version_gets_it_later(
    site: Site, name: str, deploy: Callable[..., Stack]
) -> None:
    stack = deploy(versions=[], permissions=[{"group_name": "users", "level": "CAN_VIEW"}])
    stack.up()
    nothing_to_do(stack)
    id = site.endpoint(name)["id"]
    told = stack.outputs()
    assert told["query_endpoint"] == f"{site.host}/serving-endpoints/{name}/invocations"
    assert told["served_entities"] == []
    acl = site.workspace.get(f"/api/2.0/permissions/serving-endpoints/{id}")["access_control_list"]
    [users] = [entry["all_permissions"] for entry in acl if entry.get("group_name") == "users"]
    assert [permission["permission_level"] for permission in users] == ["CAN_VIEW"]
    stack.write(program(name, model_version="1", permissions=[{"group_name": "users", "level": "CAN_VIEW"}]))
    stack.up()
    assert site.endpoint(name)["id"] == id
    assert traffic(site, name) == {"main-default-qa_1": 100}
    nothing_to_do(stack)
    stack.destroy()


# Programs with several mistakes each, and what must be told of each program in one preview.
MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {
            "model_name": "qa",
            "model_version": "1",
            "endpoint_name": "no spaces",
            "environment": {
                "lower": "x",
                "NUMBER": 3,
                "HALF": "{{secrets/x}}",
                "LOST": "{{secrets/no/k}}",
                "DATABRICKS_TOKEN": "dapi",
            },
            "workload_size": "Huge",
            "workload_type": "TPU",
            "keep_previous": -1,
            "auth": "NONE",
            "resources": [{"kind": "shelf", "name": "x"}],
            "permissions": [{"level": "CAN_DANCE", "group_name": "users"}],
            "inference_tables": "off",
        },
        [
            "model_name 'qa': expected a Unity Catalog name of three levels",
            "endpoint_name 'no spaces': expected 1 to 63 letters",
            "environment key 'lower': expected upper-case letters",
            "environment['NUMBER'] 3: expected a string",
            "environment['HALF']: expected a secret reference",
            "environment['LOST']: there is no secret scope 'no'",
            "environment['DATABRICKS_TOKEN']: expected a secret, not plain text",
            "workload_size 'Huge': expected one of Small, Medium, Large",
            "workload_type 'TPU': expected one of CPU",
            "keep_previous -1: expected a whole number",
            "auth 'NONE': expected one of PASSTHROUGH",
            "resources[0].kind 'shelf'",
            "permissions[0].level 'CAN_DANCE'",
            "inference_tables 'off': expected",
        ],
    ),
    (
        {
            "versions": [{"version": "9"}, {"alias": "nobody"}, {"version": "1"}],
            "traffic": {"9": 60, "nobody": 30, "1": 0},
            "resources": [{"kind": "table", "name": "main.default.gone"}],
            "inference_tables": {"schema": "gone"},
        },
        [
            "versions[0]: main.default.qa has no version 9 (there: 1, 2, 3)",
            "versions[1]: main.default.qa has no alias 'nobody'",
            "percentages that sum to 100",
            "Table main.default.gone: it does not exist",
            "main.gone",
        ],
    ),
    (
        {"model_name": "main.default.nothing", "model_version": "1"},
        ["there is no registered model main.default.nothing"],
    ),
    ({"versions": [{"version": "1"}], "traffic": {"1": 50, "2": 50}}, ["a version that is served (1)"]),
    ({"versions": [{"version": str(n)} for n in range(1, 17)]}, ["versions 16: expected at most 15"]),
]


def test_every_mistake_is_told_in_the_preview_and_nothing_is_created(
    site: Site, name: str, deploy: Callable[..., Stack]
) -> None:
    stack = deploy(model_version="1")
    site.forget_requests()
    for args, all_said in MISTAKES:
        stack.write(program(name, **args))
        failed = stack.preview(check=False)
        assert failed.code != 0, args
        assert [said for said in all_said if said not in failed.output] == [], failed.output
        assert "Traceback" not in failed.output
    assert writes(site) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DATABRICKS_HOST": "http://127.0.0.1:9"}, "No Databricks workspace answers at http://127.0.0.1:9"),
        (
            {"DATABRICKS_TOKEN": "dapi-nobodys"},
            "refused the credentials from the environment variable DATABRICKS_TOKEN",
        ),
    ],
)
def test_a_workspace_that_does_not_answer_or_refuses_is_told_soon(
    deploy: Callable[..., Stack], settings: dict[str, str], said: str
) -> None:
    stack = deploy(model_version="1")
    began = time.monotonic()
    stack.preview()
    living = time.monotonic() - began
    stack.set_environment(settings)
    failed = stack.preview(check=False)
    assert time.monotonic() - began - living < living + 20
    assert failed.code != 0
    assert said in failed.output
    assert "Traceback" not in failed.output
    assert "dapi-nobodys" not in failed.output


def test_all_agents_of_a_program_that_are_wrong_are_told(site: Site, name: str, deploy: Callable[..., Stack]) -> None:
    stack = deploy(model_version="1")
    wrong = ({"model_version": "99"}, {"model_version": "1"}, {"model_version": "1", "workload_size": "XL"})
    calls = [
        f'AgentDeployment("qa{index}", { ({"model_name": MODEL, "endpoint_name": f"{name}{index}", **args})!r})'
        for index, args in enumerate(wrong)
    ]
    stack.write("from agent_deploy import AgentDeployment\n" + "\n".join(calls))
    failed = stack.preview(check=False)
    assert failed.code != 0
    assert "AgentDeployment 'qa0' cannot be deployed" in failed.output
    assert "has no version 99" in failed.output
    assert "AgentDeployment 'qa2' cannot be deployed" in failed.output
    assert "workload_size 'XL'" in failed.output
    assert "AgentDeployment 'qa1'" not in failed.output
    assert "Traceback" not in failed.output
    assert "never retrieved" not in failed.output


def test_a_version_leaves_with_its_identity_after_the_endpoint_is_ready_without_it(
    site: Site, name: str, deploy: Callable[..., Stack]
) -> None:
    identity = {"auth": "SERVICE_PRINCIPAL", "rotation_days": 30}
    stack = deploy(versions=[{"version": "1"}, {"version": "2"}], traffic={"1": 90, "2": 10}, **identity)
    stack.up()
    nothing_to_do(stack)
    assert principals(site) == {"main-default-qa_1", "main-default-qa_2"}
    site.forget_requests()
    stack.write(program(name, model_version="2", **identity))
    stack.up()
    order = writes(site)
    update = order.index(f"PUT /api/2.0/serving-endpoints/{name}/config")
    gone = [index for index, call in enumerate(order) if "ServicePrincipals/" in call and call.startswith("DELETE")]
    assert gone
    assert min(gone) > update
    assert principals(site) == {"main-default-qa_2"}
    nothing_to_do(stack)
    stack.destroy()
    assert principals(site) == set()


def test_route_optimization_replaces_the_endpoint_which_is_asked_at_its_own_url(
    site: Site, name: str, deploy: Callable[..., Stack]
) -> None:
    # Without a table: a replacement starts with one of its own, and the prefix of these programs is exact.
    args = {"model_version": "1", "inference_tables": {"enabled": False}}
    stack = deploy(**args)
    stack.up()
    stack.write(program(name, **args, route_optimized=True))
    assert stack.preview().changed_paths["qa"] == {"routeOptimized": "add-replace"}
    site.forget_requests()
    stack.up()
    nothing_to_do(stack)
    order = writes(site)
    assert order.index(f"DELETE {PATH}/{name}") < order.index(f"POST {PATH}")
    assert stack.outputs()["query_endpoint"] == site.endpoint(name)["endpoint_url"]
    answered = subprocess.run(
        [BIN / "agent-deploy", "query", name, "you"],
        env={**clean_environment(), **permitted(site, name)},
        text=True, capture_output=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    # The model is no agent and says so to a conversation; that it was reached is what counts.
    reached = [request["status"] for request in site.asked("POST", "/route-optimized/*")]
    assert reached, answered.stdout + answered.stderr
    assert not {401, 403, 404} & {*reached}
    stack.destroy()


def permitted(site: Site, name: str) -> dict[str, str]:
    """The environment of a service principal that may query the endpoint."""
    made = site.workspace.post("/api/2.0/preview/scim/v2/ServicePrincipals", {"displayName": name})
    secrets = f"/api/2.0/accounts/servicePrincipals/{made['id']}/credentials/secrets"
    entry = {"service_principal_name": made["applicationId"], "permission_level": "CAN_QUERY"}
    permissions = f"/api/2.0/permissions/serving-endpoints/{site.endpoint(name)['id']}"
    site.workspace.patch(permissions, {"access_control_list": [entry]})
    secret = site.workspace.post(secrets, {})["secret"]
    own = {"DATABRICKS_CLIENT_ID": made["applicationId"], "DATABRICKS_CLIENT_SECRET": secret}
    return {"DATABRICKS_HOST": site.host, **own}


def test_two_models_whose_names_are_cut_to_one_endpoints_name_are_told_in_the_preview(
    site: Site, deploy: Callable[..., Stack]
) -> None:
    stack = deploy(model_version="1")
    models = [f"main.default.{'long_' * 12}{end}" for end in ("one", "two")]
    for model in models:
        site.register_bare(model, 1)
    own: dict[str, Any] = {"model_version": "1", "feedback_model": False, "inference_tables": {"enabled": False}}
    calls = [f'AgentDeployment("qa{n}", { ({"model_name": model, **own})!r})' for n, model in enumerate(models)]
    stack.write("from agent_deploy import AgentDeployment\n" + "\n".join(calls))
    site.forget_requests()
    failed = stack.preview(check=False)
    assert failed.code != 0
    assert f"Two endpoints of this program are to be called '{endpoint_name(models[0])}'" in failed.output
    assert "endpoint_name of an AgentDeployment; a name made of model_name is cut at 63 characters" in failed.output
    assert "Traceback" not in failed.output
    assert writes(site) == []


def traffic(site: Site, name: str) -> dict[str, int]:
    """Served entity → percentage."""
    routes = site.endpoint(name)["config"]["traffic_config"]["routes"]
    return {route["served_model_name"]: route["traffic_percentage"] for route in routes}


def principals(site: Site) -> set[str]:
    """Display names of the workspace's service principals."""
    found = site.workspace.get("/api/2.0/preview/scim/v2/ServicePrincipals").get("Resources", [])
    return {principal["displayName"] for principal in found}


def test_the_vendors_plugin_is_started_ahead_and_leaves_no_trace(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(
        program("ahead", model_version="1", permissions=[{"group_name": "users", "level": "CAN_QUERY"}]),
        environment=site.environment,
        plugins=plugins,
    )
    said = stack.preview("--debug")
    assert "asked for databricks:index/nothing:nothing" in said.output + said.messages
    # One provider of each package, as without it, and nobody is told of an error.
    steps = [event["resourcePreEvent"]["metadata"] for event in said.events if "resourcePreEvent" in event]
    providers = [step["type"] for step in steps if step["type"].startswith("pulumi:providers:")]
    assert sorted(providers) == ["pulumi:providers:agent-deploy", "pulumi:providers:databricks"]
    assert [event for event in said.events if event.get("diagnosticEvent", {}).get("severity") == "error"] == []


def test_a_plugin_that_is_not_there_is_told_without_a_stack_trace(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    ours = {"agent-deploy": both_plugins(tmp_path / "plugins")["agent-deploy"]}
    stack = open_stack(
        program("alone", model_version="7", permissions=[{"group_name": "users", "level": "CAN_QUERY"}]),
        environment={
            **site.environment,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(tmp_path / "home"),
        },
        plugins=ours,
    )
    said = stack.preview(check=False)
    shown = [each["diagnosticEvent"] for each in said.events if "diagnosticEvent" in each]
    told = said.output + "".join(each["message"] for each in shown if each["severity"] != "debug")
    assert said.code != 0
    assert "Traceback" not in told
    assert "pulumi-resource-databricks" in told or "has no version 7" in told
