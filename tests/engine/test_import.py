"""`agent-deploy import` on the real engine: endpoints of others become a stack's, and the next preview is empty."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_deploy.client import agents_service
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.environment import AGENT_ENVIRONMENT
from agent_deploy.rules.secrets import parse_reference
from tests.engine.endpoints import PLAIN, anything, prepare, sayable
from tests.engine.serving import MODEL, PATH, Site
from tests.engine.support import ROOT, Result, Stack, both_plugins

ENDPOINT = "agents_main-default-qa"
IMPORT = ("import", "--file", "import.json", "--generate-code=false", "--protect=false", "--yes", "--skip-preview")
PROGRAM = (ROOT / "stacks" / "__main__.py").read_text()


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing before it is asked, with three versions of a model."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 3)
    return found


@pytest.fixture(scope="module")
def varied(local_workspace_factory: Callable[..., Any]) -> tuple[Site, str]:
    """A workspace with all that endpoints at random refer to, and an experiment there."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    return found, prepare(found)


@pytest.fixture
def project(site: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Stack:
    """The project in `stacks/`, whose stack has no agents yet."""
    return open_project(site, open_stack, tmp_path / "plugins")


def open_project(site: Site, open_stack: Callable[..., Stack], plugins: Path) -> Stack:
    """The same for a workspace of one's own."""
    return open_stack(PROGRAM, environment=site.environment, plugins=both_plugins(plugins))


def agent_deploy(stack: Stack, *arguments: str, code: int = 0) -> str:
    """The command in the project's folder; what it says."""
    done = subprocess.run(
        ["agent-deploy", *arguments], cwd=stack.folder, env=stack.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def deployed(site: Site, experiment: str, versions: int = 2) -> str:
    """What `databricks.agents.deploy()` 1.13 sends for one version after the other; returns the endpoint's id."""
    variables = {
        "ENABLE_LANGCHAIN_STREAMING": "true",
        "ENABLE_MLFLOW_TRACING": "true",
        "RETURN_REQUEST_ID_IN_RESPONSE": "true",
        "MLFLOW_EXPERIMENT_ID": experiment,
        "SEARCH_KEY": "{{secrets/search/api-key}}",
    }
    served: list[dict[str, Any]] = []
    for version in range(1, versions + 1):
        entity = {
            "entity_name": MODEL,
            "entity_version": version,
            "environment_vars": variables,
            "name": f"main-default-qa_{version}",
            "scale_to_zero_enabled": False,
            "workload_size": "Small",
        }
        served = [entity, *served]
        routes = [
            {"served_model_name": each["name"], "traffic_percentage": 100 if each is entity else 0} for each in served
        ]
        config = {"served_entities": served, "traffic_config": {"routes": routes}}
        if version == 1:
            table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "qa"}
            tags = [{"key": "team", "value": "search"}, {"key": "MONITOR_EXPERIMENT_ID", "value": experiment}]
            made = {"name": ENDPOINT, "description": "", "tags": tags, "config": config}
            site.workspace.post(PATH, {**made, "ai_gateway": {"inference_table_config": table}})
        else:
            site.workspace.put(f"{PATH}/{ENDPOINT}/config", config)
        site.settled(ENDPOINT)
        record = {
            "model_name": MODEL,
            "model_version": version,
            "query_endpoint": f"{site.host}/serving-endpoints/{ENDPOINT}/served-models/{entity['name']}/invocations",
            "endpoint_name": ENDPOINT,
            "served_entity_name": entity["name"],
            "workspace_url": site.host,
        }
        site.workspace.post("/api/2.0/agents/deployments", record)
    agents_service.create_review_app(site.workspace, experiment, [agents_service.agent(MODEL, ENDPOINT)])
    return str(site.endpoint(ENDPOINT)["id"])


@pytest.fixture
def experiment(site: Site, request: pytest.FixtureRequest) -> str:
    """An experiment of the test's own."""
    made = site.workspace.post("/api/2.0/mlflow/experiments/create", {"name": f"/Shared/{request.node.name}"})
    return str(made["experiment_id"])


@pytest.fixture
def theirs(site: Site, experiment: str) -> str:
    """The id of an endpoint that deploy() has made; a secret that it reads is there."""
    site.workspace.post("/api/2.0/secrets/scopes/create", {"scope": "search"})
    site.workspace.post("/api/2.0/secrets/put", {"scope": "search", "key": "api-key", "string_value": "x"})
    return deployed(site, experiment)


def test_what_deploy_has_made_is_imported_previewed_empty_changed_and_destroyed(
    site: Site, theirs: str, project: Stack, experiment: str
) -> None:
    plan = agent_deploy(project, "import", ENDPOINT, "--stack", "test", "--plan")
    assert "Written" not in plan
    assert not (project.folder / "import.json").exists()
    assert OWNER_TAG not in {tag["key"] for tag in site.endpoint(ENDPOINT)["tags"]}

    before = site.endpoint(ENDPOINT)
    said = agent_deploy(project, "import", ENDPOINT, "--stack", "test")
    assert "The next preview is empty." in said
    for line in documented():
        assert line in said
    project.run(*IMPORT)
    types = {name: each["type"].rpartition(":")[2] for name, each in project.resources().items()}
    assert types["qa-registration-v1"] == "AgentRegistration"
    assert project.preview("--expect-no-changes").operations == {}
    assert project.up("--expect-no-changes").operations == {}
    after = site.endpoint(ENDPOINT)
    assert after["id"] == theirs
    assert (after["config"], after["ai_gateway"]) == (before["config"], before["ai_gateway"])

    file = project.folder / "Pulumi.test.yaml"
    file.write_text(file.read_text().replace("team: search", "team: answers"))
    assert project.up().operations == {"qa": "update"}
    assert {"key": "team", "value": "answers"} in site.endpoint(ENDPOINT)["tags"]
    assert project.refresh("--expect-no-changes").operations == {}
    project.destroy()
    assert not site.exists(ENDPOINT)
    assert agents_service.records(site.workspace, MODEL) == []
    assert json.loads((project.folder / "import.json").read_text())["resources"]


def test_what_cannot_be_as_it_is_is_said_line_by_line(site: Site, project: Stack) -> None:
    """Made by hand: another name for the served entity, no variables, plain text for a credential, permissions."""
    name = "by-hand"
    entity = {
        "name": "qa-1",
        "entity_name": MODEL,
        "entity_version": "1",
        "environment_vars": {"OPENAI_API_KEY": PLAIN, "STYLE": "short", "lower": "x"},
        "workload_size": "Medium",
        "scale_to_zero_enabled": True,
    }
    routes = [{"served_model_name": "qa-1", "traffic_percentage": 100}]
    body = {"name": name, "config": {"served_entities": [entity], "traffic_config": {"routes": routes}}}
    site.workspace.post(PATH, {**body, "email_notifications": {"on_update_failure": ["ann@example.com"]}})
    id = site.settled(name)["id"]
    site.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": "readers"})
    entries = [{"group_name": "readers", "permission_level": "CAN_QUERY"}]
    site.workspace.patch(f"/api/2.0/permissions/serving-endpoints/{id}", {"access_control_list": entries})

    said = json.loads(agent_deploy(project, "import", name, "--stack", "test", "--name", "hand", "--json"))["imports"][
        0
    ]
    assert [note["field"] for note in said["notes"]] == [
        "served entity qa-1, environment_vars['lower']",
        "environment_vars['OPENAI_API_KEY']",
        "permissions",
    ]
    assert said["notes"][-1]["text"].startswith("your own CAN_MANAGE stays as long as you deploy")
    project.set_secret(said["secrets"]["OPENAI_API_KEY"], PLAIN)
    imported = project.run(*IMPORT)
    assert "warning" not in imported.output
    preview = project.preview()
    assert changes_of(preview) == told(said)
    assert ("hand", 'servedEntities["qa-1"]') in told(said)
    project.up()
    assert project.preview("--expect-no-changes").operations == {}
    assert site.endpoint(name)["id"] == id
    (allowed,) = [each for each in granted(site, id) if each.get("group_name") == "readers"]
    assert allowed["all_permissions"][0]["permission_level"] == "CAN_QUERY"
    project.destroy()
    assert not site.exists(name)
    assert PLAIN not in json.dumps(said) + imported.output + preview.output + project.state_text()
    assert PLAIN not in (project.folder / "Pulumi.test.yaml").read_text() + (project.folder / "import.json").read_text()


@pytest.mark.long
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_endpoints_at_random_become_the_stacks(
    varied: tuple[Site, str], open_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    """Imported, previewed as the command says it, brought up, changed, destroyed."""
    site, experiment = varied
    made = data.draw(anything(experiment) if data.draw(st.booleans()) else sayable(experiment))
    project = open_project(site, open_stack, tmp_path_factory.mktemp("plugins"))
    name = f"of-others-{project.folder.name}"
    made.make(site, name)
    id = site.endpoint(name)["id"]
    (said,) = json.loads(agent_deploy(project, "import", name, "--stack", "test", "--json"))["imports"]
    assert said["problems"] == []
    for key in said["secrets"].values():
        project.set_secret(key, PLAIN)
    project.run(*IMPORT)
    assert changes_of(project.preview()) == told(said)
    assert project.up(*([] if told(said) else ["--expect-no-changes"])).code == 0
    assert project.preview("--expect-no-changes").operations == {}
    assert site.endpoint(name)["id"] == id
    file = project.folder / "Pulumi.test.yaml"
    written = yaml.safe_load(file.read_text())
    written["config"]["project:agents"]["qa"]["tags"] = {"team": "changed"}
    file.write_text(yaml.safe_dump(written))
    assert project.up().operations == {"qa": "update"}
    project.destroy()
    assert not site.exists(name)
    assert PLAIN not in json.dumps(said) + project.state_text()


def test_a_credential_in_plain_text_goes_into_a_secret_scope(site: Site, project: Stack) -> None:
    served = {"name": "main-default-qa_1", "entity_name": MODEL, "entity_version": "1", "workload_size": "Small"}
    variables = {**AGENT_ENVIRONMENT, "OPENAI_API_KEY": PLAIN}
    site.workspace.post(
        PATH, {"name": "keyed", "config": {"served_entities": [{**served, "environment_vars": variables}]}}
    )
    site.settled("keyed")
    said = agent_deploy(project, "import", "keyed", "--stack", "test", "--run")
    project.up()
    (entity,) = site.endpoint("keyed")["config"]["served_entities"]
    reference = parse_reference(entity["environment_vars"]["OPENAI_API_KEY"])
    assert reference is not None
    stored = site.workspace.get("/api/2.0/secrets/get", {"scope": reference.scope, "key": reference.key})
    assert base64.b64decode(stored["value"]).decode() == PLAIN
    assert PLAIN not in said + project.state_text() + (project.folder / "Pulumi.test.yaml").read_text()
    project.destroy()


def documented() -> list[str]:
    """What docs/coming-from.md shows of the command, with the names that are used here."""
    page = (ROOT / "docs" / "coming-from.md").read_text()
    shown = page[page.index("$ agent-deploy import") :]
    lines = shown[: shown.index("```")].replace("docs_agent", "qa").replace("--stack dev", "--stack test").splitlines()
    return [line for line in lines[1:] if not line.startswith("Written")]


def told(said: dict[str, Any]) -> set[tuple[str, str]]:
    """What the command says will change: resource and field; the whole where it also says what changes below that."""
    found = {(each["resource"], each["field"]) for each in said["differences"]}
    return {each for each in found if not any(each[0] == of and each[1].startswith(f"{field}.") for of, field in found)}


def changes_of(preview: Result) -> set[tuple[str, str]]:
    """What a preview changes: resource and field, or the whole resource."""
    fields = {(name, path) for name, paths in preview.changed_paths.items() for path in paths}
    return fields | {(name, "resource") for name, op in preview.operations.items() if op == "create"}


def granted(site: Site, id: str) -> list[dict[str, Any]]:
    """The endpoint's permissions."""
    answer = site.workspace.get(f"/api/2.0/permissions/serving-endpoints/{id}")
    return list(answer["access_control_list"])


VENDORS = """
import pulumi
import pulumi_databricks as databricks

entity = {"name": "main-default-qa_3", "entity_name": "main.default.qa", "entity_version": "3",
          "workload_size": "Small", "scale_to_zero_enabled": True, "environment_vars": VARIABLES}
endpoint = databricks.ModelServing("theirs", name="of-the-vendor", config={"served_entities": [entity]})
databricks.Permissions("theirs", serving_endpoint_id=endpoint.serving_endpoint_id,
                       access_controls=[{"group_name": "users", "permission_level": "CAN_QUERY"}],
                       opts=pulumi.ResourceOptions(protect=True))
"""
OURS = """
from agent_deploy import ServingEndpoint

entity = {"entity_name": "main.default.qa", "entity_version": "3", "environment_vars": VARIABLES}
ServingEndpoint("theirs", name="of-ours", owner_mark="o/s/theirs", served_entities={"main-default-qa_3": entity})
"""


def test_a_hand_written_stack_lets_its_endpoint_go(
    site: Site, project: Stack, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    """The steps are run as they are printed."""
    plugins = both_plugins(tmp_path / "vendors")
    text = VENDORS.replace("VARIABLES", repr(AGENT_ENVIRONMENT))
    other = open_stack(text, environment=site.environment, plugins=plugins, name="theirs", project="vendors")
    other.up()
    id = site.endpoint("of-the-vendor")["id"]
    state = tmp_path / "state.json"
    state.write_text(other.run("stack", "export").output)

    answer = json.loads(
        agent_deploy(project, "import", "of-the-vendor", "--stack", "test", "--from-stack", str(state), "--json")
    )
    assert len(answer["before"]) == 2
    for step in answer["before"]:
        assert shlex.split(step)[:3] == ["pulumi", "state", "delete"]
        other.run(*shlex.split(step)[1:])
    assert other.resources() == {}
    (said,) = answer["imports"]
    assert said["differences"] == []
    assert said["entry"]["permissions"] == [{"group_name": "users", "level": "CAN_QUERY"}]
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}

    other.write("")
    assert other.up().operations == {}
    assert site.endpoint("of-the-vendor")["id"] == id
    project.destroy()
    assert not site.exists("of-the-vendor")


def test_one_that_another_of_our_stacks_declares_moves_with_what_belongs_to_it(
    site: Site, project: Stack, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    text = OURS.replace("VARIABLES", repr(AGENT_ENVIRONMENT))
    other = open_stack(text, environment=site.environment, name="s", project="o")
    other.up()
    refused = agent_deploy(project, "import", "of-ours", "--stack", "test", code=1)
    assert "one that no other stack owns, and o/s/theirs does" in refused

    state = tmp_path / "state.json"
    state.write_text(other.run("stack", "export").output)
    said = agent_deploy(project, "import", "of-ours", "--stack", "test", "--from-stack", str(state), "--run", code=1)
    assert "has to let go first" in said
    answer = agent_deploy(project, "import", "of-ours", "--stack", "test", "--from-stack", str(state), "--json")
    (step,) = json.loads(answer)["before"]
    other.run(*shlex.split(step)[1:])
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}
    project.destroy()


DEPLOYED = """
import pulumi
from agent_deploy import AgentDeployment

AgentDeployment("qa", {"model_name": "main.default.qa", "endpoint_name": "of-a-deployment", "model_version": "3",
                       "environment": {"API_KEY": pulumi.Output.secret("x")}, "feedback_model": False,
                       "inference_tables": {"enabled": False},
                       "permissions": [{"group_name": "users", "level": "CAN_QUERY"}]})
"""


def test_an_agent_deployment_moves_and_its_former_stack_destroys_nothing(
    site: Site, project: Stack, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    """The steps are run as they are printed; then the former program declares it no longer."""
    name, plugins = "of-a-deployment", both_plugins(tmp_path / "former")
    other = open_stack(DEPLOYED, environment=site.environment, plugins=plugins, name="s", project="o")
    other.up()
    id = site.endpoint(name)["id"]
    state = tmp_path / "state.json"
    state.write_text(other.run("stack", "export").output)
    command = ("import", name, "--stack", "test", "--from-stack", str(state), "--json")
    answer = json.loads(agent_deploy(project, *command))
    for step in answer["before"]:
        other.run(*shlex.split(step)[1:])
    other.write("")
    assert other.up().operations == {}

    assert site.endpoint(name)["id"] == id
    (entity,) = site.endpoint(name)["config"]["served_entities"]
    reference = parse_reference(entity["environment_vars"]["API_KEY"])
    assert reference is not None
    assert site.workspace.get("/api/2.0/secrets/get", {"scope": reference.scope, "key": reference.key})["value"]
    assert [each for each in granted(site, id) if each.get("group_name") == "users"]
    assert [each["endpoint_name"] for each in agents_service.records(site.workspace, MODEL, "3")] == [name]
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}
    project.destroy()


def test_all_of_a_workspace_at_once(varied: tuple[Site, str], open_stack: Callable[..., Stack], tmp_path: Path) -> None:
    """Two of one model, one of another stack, one that is no agent: with `--run`, to the empty preview."""
    site, _ = varied
    site.register_bare("main.default.other", 1)
    agent = {"workload_size": "Small", "environment_vars": AGENT_ENVIRONMENT}
    for name, model, entity, tags in (
        ("one", MODEL, "main-default-qa_1", []),
        ("two", MODEL, "main-default-qa_1", []),
        ("theirs", MODEL, "main-default-qa_1", [{"key": OWNER_TAG, "value": "other/prod/qa"}]),
    ):
        served = {**agent, "name": entity, "entity_name": model, "entity_version": "1"}
        site.workspace.post(PATH, {"name": name, "config": {"served_entities": [served]}, "tags": tags})
        site.settled(name)
    both = [
        {**agent, "name": "main-default-qa_1", "entity_name": MODEL, "entity_version": "1"},
        {**agent, "name": "main-default-other_1", "entity_name": "main.default.other", "entity_version": "1"},
    ]
    routes = [{"served_model_name": each["name"], "traffic_percentage": 50} for each in both]
    config = {"served_entities": both, "traffic_config": {"routes": routes}}
    site.workspace.post(PATH, {"name": "two-models", "config": config})
    site.settled("two-models")

    project = open_project(site, open_stack, tmp_path / "plugins")
    said = agent_deploy(project, "import", "--all", "--stack", "test", "--run")
    assert "left alone theirs: other/prod/qa owns it" in said
    assert "left alone two-models: ENDPOINT two-models 'main.default.qa, main.default.other'" in said
    agents = yaml.safe_load((project.folder / "Pulumi.test.yaml").read_text())["config"]["project:agents"]
    assert {name: each["endpoint_name"] for name, each in agents.items()} == {"qa": "one", "two": "two"}
    assert project.preview("--expect-no-changes").operations == {}
    project.destroy()
    assert {each["name"] for each in site.workspace.get(PATH)["endpoints"]} >= {"theirs", "two-models"}
    for name in ("theirs", "two-models"):
        site.workspace.delete(f"{PATH}/{name}")


BUNDLE = """
bundle: {name: agents}
variables:
  size: {default: Small}
  version: {description: of the model}
include: [resources/*.yml]
targets:
  dev:
    default: true
    variables: {version: "2"}
  prod:
    variables: {version: "1", size: Large}
"""
ENDPOINT_OF_BUNDLE = """
resources:
  model_serving_endpoints:
    docs:
      name: of-the-bundle-${bundle.target}
      config:
        served_entities:
          - name: main-default-qa_${var.version}
            entity_name: main.default.qa
            entity_version: ${var.version}
            workload_size: ${var.size}
            scale_to_zero_enabled: true
            environment_vars: {OWNER: "${workspace.current_user.userName}"}
      permissions:
        - {level: CAN_QUERY, group_name: users}
"""


def test_what_a_bundle_declares_becomes_an_agent_whether_it_is_there_or_not(site: Site, project: Stack) -> None:
    (project.folder / "resources").mkdir()
    (project.folder / "databricks.yml").write_text(BUNDLE)
    (project.folder / "resources" / "endpoints.yml").write_text(ENDPOINT_OF_BUNDLE)
    base = ("import", "--bundle", "databricks.yml", "--stack", "test")
    (said,) = json.loads(agent_deploy(project, *base, "--target", "prod", "--plan", "--json"))["imports"]
    assert (said["exists"], said["entry"]["endpoint_name"]) == (False, "of-the-bundle-prod")
    assert said["entry"]["workload_size"] == "Large"
    assert ["workspace.current_user.userName" in note["text"] for note in said["notes"]] == [True]
    assert "expected a target of the bundle: dev, prod" in agent_deploy(project, *base, "--target", "x", code=1)

    entity = {"name": "main-default-qa_2", "entity_name": MODEL, "entity_version": "2", "workload_size": "Small"}
    variables = {**AGENT_ENVIRONMENT, "OWNER": "${workspace.current_user.userName}"}
    served = {**entity, "environment_vars": variables, "scale_to_zero_enabled": True}
    site.workspace.post(PATH, {"name": "of-the-bundle-dev", "config": {"served_entities": [served]}})
    id = site.settled("of-the-bundle-dev")["id"]
    entries = [{"group_name": "users", "permission_level": "CAN_QUERY"}]
    site.workspace.patch(f"/api/2.0/permissions/serving-endpoints/{id}", {"access_control_list": entries})
    said = agent_deploy(project, *base)
    assert "databricks bundle deployment unbind docs" in said
    assert "The next preview is empty." in said, said
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}
    project.destroy()


def by_hand(site: Site, name: str) -> None:
    """An endpoint that an AgentDeployment can say as it is."""
    served = {"name": "main-default-qa_2", "entity_name": MODEL, "entity_version": "2", "workload_size": "Small"}
    config = {"served_entities": [{**served, "environment_vars": {**AGENT_ENVIRONMENT, "PRICE": "${x}"}}]}
    site.workspace.post(PATH, {"name": name, "config": config})
    site.settled(name)


def test_a_program_of_ones_own_takes_it_over_as_well(site: Site, project: Stack) -> None:
    by_hand(site, "own")
    said = agent_deploy(project, "import", "own", "--stack", "test", "--program", "python", "--name", "mine")
    project.write(said[said.index("from agent_deploy import") : said.index("Written:")])
    # The engine's own list of what the program would make says the same, without the ids.
    project.run("preview", "--import-file", "placeholders.json")
    ours, theirs = (
        {(each["type"], each.get("logicalName") or each["name"]) for each in json.loads(text)["resources"]}
        for text in ((project.folder / file).read_text() for file in ("import.json", "placeholders.json"))
    )
    assert ours == theirs
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}
    assert "mine" in project.resources()
    project.destroy()


NESTED = """
import json
import pulumi
from agent_deploy import AgentDeployment


class Team(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("ours:index:Team", name)
        AgentDeployment("mine", json.loads(ARGS), opts=pulumi.ResourceOptions(parent=self))


Team("search")
"""


def test_a_deployment_inside_a_component_of_ones_own_is_taken_over(site: Site, project: Stack) -> None:
    """The engine's own list has the parents, the command the ids."""
    by_hand(site, "nested")
    command = ("import", "nested", "--stack", "test", "--program", "python", "--name", "mine", "--json")
    (said,) = json.loads(agent_deploy(project, *command))["imports"]
    project.write(NESTED.replace("ARGS", repr(json.dumps(said["entry"]))))
    project.run("preview", "--import-file", "import.json")
    agent_deploy(project, *command)
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}
    assert "Team$agent-deploy:index:AgentDeployment$" in project.resources()["mine"]["urn"]
    project.destroy()


REMOTE = """
import json
import pulumi


class Remote(pulumi.ComponentResource):
    def __init__(self, name, props):
        outputs = dict.fromkeys(("queryEndpoint", "servedEntities"))
        super().__init__("agent-deploy:index:AgentDeployment", name, {**outputs, **props}, None, remote=True)


Remote("mine", json.loads(PROPS))
"""


def test_what_another_language_declares_is_taken_over_as_well(site: Site, project: Stack) -> None:
    """The printed YAML's properties, as the engine hands them to our plugin."""
    by_hand(site, "remote")
    said = agent_deploy(project, "import", "remote", "--stack", "test", "--program", "yaml", "--name", "mine")
    document = yaml.safe_load(said[said.index("name: project") : said.index("Written:")])
    resource = document["resources"]["mine"]
    assert resource["type"] == "agent-deploy:AgentDeployment"
    props = resource["properties"]
    assert props["environment"] == {"PRICE": "$${x}"}
    props["environment"] = {"PRICE": "${x}"}
    project.write(REMOTE.replace("PROPS", repr(json.dumps(props))))
    project.run(*IMPORT)
    assert project.preview("--expect-no-changes").operations == {}
    project.destroy()
    assert not site.exists("remote")
