"""What an import reads besides an endpoint: states that let it go, bundles; and the programs that it prints."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agent_deploy.cli.app import CommandError, app
from agent_deploy.importing.bundle import declared_endpoints
from agent_deploy.importing.children import COMPONENT, ENDPOINT, FEEDBACK, MODEL, SCOPE, SECRET
from agent_deploy.importing.claims import _component
from agent_deploy.importing.entry import joined
from agent_deploy.importing.letting_go import letting_go
from agent_deploy.importing.program import python_program, yaml_program
from agent_deploy.importing.stack import Stack
from agent_deploy.rules.problems import InvalidInput

URN = "urn:pulumi:prod::site::databricks:index/modelServing:ModelServing::theirs"
ARGS = {
    "model_name": "main.default.qa",
    "versions": [{"version": "1", "environment": {"a_b": "$${x}"}}],
    "tags": {"cost_center": "1"},
    "secrets": {"API_KEY": "qa-API_KEY"},
}


def state(*resources: dict[str, Any]) -> dict[str, Any]:
    stack = {"urn": "urn:pulumi:prod::site::pulumi:pulumi:Stack::site-prod", "type": "pulumi:pulumi:Stack"}
    return {"version": 3, "deployment": {"resources": [stack, *resources]}}


def resource(type: str, name: str, id: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:prod::site::{type}::{name}", "type": type, "id": id, **more}


def test_what_belongs_to_an_endpoint_leaves_a_state_dependents_first() -> None:
    permissions = "databricks:index/permissions:Permissions"
    found = letting_go(
        state(
            resource(ENDPOINT, "theirs", "theirs"),
            resource(ENDPOINT, "another", "another"),
            resource(permissions, "theirs", "/serving-endpoints/1", protect=True),
            resource(permissions, "another", "/serving-endpoints/2"),
        ),
        "theirs",
        "1",
    )
    assert found.owner == "site/prod"
    assert found.steps == [
        f"pulumi state delete --stack prod --yes --force urn:pulumi:prod::site::{permissions}::theirs",
        f"pulumi state delete --stack prod --yes urn:pulumi:prod::site::{ENDPOINT}::theirs",
    ]
    assert len(found.notes) == 2
    assert "in the folder of the project site" in found.notes[0]


def test_all_of_an_agent_deployment_leaves_with_its_endpoint() -> None:
    prefix = "urn:pulumi:prod::site::"
    component = resource(COMPONENT, "qa", "")
    feedback = resource(FEEDBACK, "qa-feedback", "", parent=component["urn"])
    scope = resource(SCOPE, "qa-secrets", "agents_qa", parent=component["urn"], custom=True)
    secret = resource(SECRET, "qa-secret-KEY", "agents_qa/KEY", parent=component["urn"], custom=True)
    endpoint = resource(ENDPOINT, "qa", "theirs", parent=component["urn"], custom=True)
    model = resource(MODEL, "model", "a.b.feedback", parent=feedback["urn"], custom=True)
    another = resource(COMPONENT, "other", "")
    found = letting_go(
        state(component, feedback, scope, secret, another, endpoint, model), "theirs", "1", "o/site/prod"
    )
    assert [shlex.split(step)[-1].removeprefix(prefix).split("::")[1] for step in found.steps] == [
        "model", "qa", "qa-secret-KEY", "qa-secrets", "qa-feedback", "qa",
    ]  # fmt: skip
    assert [note for note in found.notes if "no stack owns it" in note] == [
        "SecretScope agents_qa stays as it is, and no stack owns it from then on",
        "Secret agents_qa/KEY stays as it is, and no stack owns it from then on",
    ]


def test_what_depends_on_an_endpoint_besides_is_told() -> None:
    type = URN.split("::")[2]
    job = resource("databricks:index/job:Job", "asks", "7", dependencies=[URN])
    found = letting_go(state(resource(type, "theirs", "theirs"), job), "theirs", "1", "org/site/prod")
    assert found.steps == [f"pulumi state delete --stack org/site/prod --yes {URN}"]
    assert "retain_on_delete" not in found.notes[-1]
    assert "the plain name in its place" in found.notes[-1]
    assert job["urn"] in found.notes[-1]
    assert letting_go(state(), "theirs", "1").steps == []


def test_terraforms_state_is_read_as_well() -> None:
    resources = [
        {
            "module": "module.agents",
            "type": "databricks_model_serving",
            "name": "this",
            "instances": [
                {"index_key": "docs", "attributes": {"name": "theirs"}},
                {"index_key": "qa", "attributes": {"name": "another"}},
            ],
        },
        {"type": "databricks_permissions", "name": "p", "instances": [{"attributes": {"id": "/serving-endpoints/1"}}]},
        {"type": "databricks_permissions", "name": "q", "instances": [{"attributes": {"id": "/serving-endpoints/2"}}]},
    ]
    found = letting_go({"version": 4, "terraform_version": "1.11", "resources": resources}, "theirs", "1")
    assert found.steps == [
        "terraform state rm databricks_permissions.p",
        "terraform state rm 'module.agents.databricks_model_serving.this[\"docs\"]'",
    ]
    assert "removed { from = databricks_permissions.p lifecycle { destroy = false } }" in found.notes[0]


def test_another_file_is_no_state() -> None:
    with pytest.raises(InvalidInput, match="pulumi stack export"):
        letting_go({"resources": []}, "theirs", "1")


def test_a_python_program_reads_its_secrets_from_the_configuration() -> None:
    text = python_program("qa", ARGS, {"API_KEY": "qa-API_KEY"})
    compile(text, "program", "exec")
    assert "'API_KEY': config.require_secret('qa-API_KEY')" in text
    assert "secrets" not in text.replace("require_secret", "")
    assert "config" not in python_program("qa", {"model_name": "a.b.c"}, {})


def test_a_yaml_program_has_the_names_of_the_schema_and_the_users_own_keys() -> None:
    document = yaml.safe_load(yaml_program("p", "qa", ARGS, {"API_KEY": "qa-API_KEY"}))
    assert document["config"] == {"qa-API_KEY": {"type": "string", "secret": True}}
    assert document["resources"]["qa"]["properties"] == {
        "modelName": "main.default.qa",
        "versions": [{"version": "1", "environment": {"a_b": "$$${x}"}}],
        "tags": {"cost_center": "1"},
        "environment": {"API_KEY": "${qa-API_KEY}"},
    }


def test_defaults_are_joined_as_the_program_in_stacks_does() -> None:
    defaults = {"tags": {"a": "1", "b": "2"}, "workload_size": "Medium"}
    assert joined({"tags": {"b": "3"}, "model_name": "x"}, defaults) == {
        "model_name": "x",
        "workload_size": "Medium",
        "tags": {"a": "1", "b": "3"},
        "environment": {},
        "secrets": {},
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "one of ENDPOINT, --all and --bundle"),
        (["x", "--all"], "one of ENDPOINT, --all and --bundle"),
        (["x", "--target", "prod"], "--target 'prod'"),
        (["--all", "--name", "qa"], "--name 'qa'"),
        (["x", "--program", "python", "--run"], "--run"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], expected: str) -> None:
    result = CliRunner().invoke(app, ["import", *options, "--stack", "dev"])
    assert isinstance(result.exception, CommandError)
    assert expected in str(result.exception)


def bundle(folder: Path, text: str) -> Path:
    file = folder / "databricks.yml"
    file.write_text(text)
    return file


def test_variables_that_refer_to_each_other_and_what_is_not_known_are_told(tmp_path: Path) -> None:
    text = """
variables:
  a: {default: "${var.b}"}
  b: {default: "${var.a}"}
  name: {default: "qa-${var.suffix}"}
  suffix: {default: x}
resources:
  model_serving_endpoints:
    qa:
      name: ${var.name}
      description: ${var.a} ${resources.jobs.j.id}
      lifecycle: {prevent_destroy: true}
      config:
        served_entities: [{entity_name: a.b.qa, entity_version: 3}]
      permissions: [{level: CAN_QUERY, group_name: users}, {level: CAN_QUERY, everybody: true}]
permissions: [{level: CAN_RUN, user_name: ann@example.com}]
targets:
  dev: {mode: development, default: true}
"""
    (found,) = declared_endpoints(bundle(tmp_path, text))
    remote = found.endpoint.remote
    assert (remote["name"], found.endpoint.access) == (
        "qa-x",
        [{"group_name": "users", "level": "CAN_QUERY"}, {"user_name": "ann@example.com", "level": "CAN_QUERY"}],
    )
    assert remote["config"]["served_entities"] == [{"name": "qa-3", "entity_name": "a.b.qa", "entity_version": "3"}]
    told = " ".join(f"{field}: {text}" for field, text in found.notes)
    for each in ("${var.", "${resources.jobs.j.id}", "prefix", "lifecycle", "permissions[1]"):
        assert each in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a: [", "in YAML"), ("- 1", "a mapping"), ("bundle: {name: x}", "resources.model_serving_endpoints")],
)
def test_what_is_no_bundle_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=expected):
        declared_endpoints(bundle(tmp_path, text))
    with pytest.raises(InvalidInput, match="--bundle"):
        declared_endpoints(tmp_path / "nowhere.yml")


def test_a_name_that_another_deployment_of_the_stack_has_is_refused_and_undoing_says_the_way() -> None:
    urn = f"urn:pulumi:dev::p::{COMPONENT}${ENDPOINT}::clerk"
    stack = Stack("p", "dev", {}, deployed={"of-clerk": urn})
    assert list(stack.refusals("by-hand", "another", released=False)) == []
    (problem,) = stack.refusals("by-hand", "clerk", released=False)
    assert str(problem).startswith("--name 'clerk': expected a name that no deployment of p/dev has")
    assert "--name clerk-2" in str(problem)
    assert _component(urn) == f"urn:pulumi:dev::p::{COMPONENT}::clerk"
    assert _component(f"urn:pulumi:dev::p::{ENDPOINT}::clerk") == f"urn:pulumi:dev::p::{ENDPOINT}::clerk"


def test_undoing_is_not_combined_with_what_it_does_not_heed() -> None:
    for beside in (["--plan"], ["--json"], ["--run"], ["--from-stack", "x"], ["--program", "yaml"]):
        done = CliRunner().invoke(app, ["import", "e", "--stack", "dev", "--undo", *beside])
        assert isinstance(done.exception, CommandError)
        assert f"--undo: expected without {beside[0]}" in str(done.exception)
