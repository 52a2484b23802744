"""`agent-deploy import` against a workspace, for a stack that is said to be there: what it marks and writes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from agent_deploy.cli.app import CommandError, app
from agent_deploy.client.serving import tags_of
from agent_deploy.engine.commands import Engine
from agent_deploy.importing.children import ENDPOINT
from agent_deploy.importing.claims import claim
from agent_deploy.importing.existing import Existing
from agent_deploy.importing.refusals import refusals
from agent_deploy.importing.stack import Stack
from agent_deploy.importing.take_over import take_over
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.environment import AGENT_ENVIRONMENT
from agent_deploy.rules.problems import InvalidInput
from tests.engine.serving import MODEL, PATH, Site

_numbers = itertools.count()


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing before it is asked."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 1)
    return found


@pytest.fixture(autouse=True)
def folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the stacks dev and prod, whose states are empty."""
    (tmp_path / "Pulumi.yaml").write_text("name: agents\nruntime: python\n")
    (tmp_path / "pulumi").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Engine, "stacks", lambda self: ["dev", "org/prod"])
    monkeypatch.setattr(Engine, "state", lambda self, stack: {"deployment": {}})
    return tmp_path


@pytest.fixture
def endpoint(site: Site) -> Any:
    """Makes endpoints, which are gone after the test."""
    made: list[str] = []

    def make(name: str = "", **variables: str) -> str:
        made.append(name or f"claimed-{next(_numbers)}")
        served = {"name": "main-default-qa_1", "entity_name": MODEL, "entity_version": "1", "workload_size": "Small"}
        config = {"served_entities": [{**served, "environment_vars": {**AGENT_ENVIRONMENT, **variables}}]}
        site.workspace.post(PATH, {"name": made[-1], "config": config})
        site.settled(made[-1])
        return made[-1]

    yield make
    for each in made:
        site.workspace.delete(f"{PATH}/{each}")


def run(*arguments: str) -> Result:
    """The command."""
    return CliRunner().invoke(app, ["import", *arguments])


def refused(*arguments: str) -> str:
    """What the command says that refuses."""
    error = run(*arguments).exception
    assert isinstance(error, CommandError)
    return str(error)


def owner(site: Site, name: str) -> str:
    """Whose the endpoint is by its tag."""
    return tags_of(site.endpoint(name)).get(OWNER_TAG, "")


def agents(folder: Path) -> dict[str, str]:
    """The entries of the stack's file, with their endpoints."""
    entries = yaml.safe_load((folder / "Pulumi.dev.yaml").read_text())["config"]["agents:agents"]
    return {name: each["endpoint_name"] for name, each in entries.items()}


def test_a_stack_that_is_not_there_marks_nothing(site: Site, folder: Path, endpoint: Any) -> None:
    name = endpoint()
    said = refused(name, "--stack", "dve")
    assert "(dev, org/prod)" in said
    assert "pulumi stack init dve" in said
    assert owner(site, name) == ""
    assert sorted(each.name for each in folder.iterdir()) == ["Pulumi.yaml", "pulumi"]
    assert run(name, "--stack", "acme/agents/prod").exit_code == 0


def test_an_import_that_was_begun_goes_on_and_can_be_undone(
    site: Site, folder: Path, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = endpoint()
    assert run(name, "--stack", "dev").exit_code == 0
    assert "'qa', by which agents:agents has the endpoint" in refused(name, "--stack", "dev", "--name", "better")
    (folder / "Pulumi.dev.yaml").unlink()
    assert run(name, "--stack", "dev", "--name", "better").exit_code == 0
    assert owner(site, name) == "agents/dev/better"
    listed = json.loads((folder / "import.json").read_text())["resources"]
    assert [each["name"] for each in listed] == ["better", "better-endpoint"]
    said = refused(name, "--stack", "prod")
    assert f"agent-deploy import {name} --stack prod --from-stack STACK" in said
    assert f"agent-deploy import {name} --stack dev --undo" in said

    assert "agents/dev/better has" in refused(name, "--stack", "prod", "--undo")
    urn = f"urn:pulumi:dev::agents::{ENDPOINT}::better"
    has = {"deployment": {"resources": [{"type": ENDPOINT, "id": name, "urn": urn}]}}
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "state", lambda self, stack: has)
        assert urn in refused(name, "--stack", "dev", "--undo")
        assert urn in refused(name, "--stack", "dev")
    assert "no longer marked as agents/dev/better" in run(name, "--stack", "dev", "--undo").output
    assert owner(site, name) == ""


def test_a_mark_that_came_after_the_look_is_not_written_over(site: Site, endpoint: Any) -> None:
    name = endpoint()
    found = take_over(Context(configuration=site.workspace), name, Stack("agents", "dev", {}))
    tag = {"key": OWNER_TAG, "value": "other/prod/qa"}
    site.workspace.patch(f"{PATH}/{name}/tags", {"add_tags": [tag]})
    with pytest.raises(InvalidInput, match="other/prod/qa has marked it in the meantime"):
        claim(site.workspace, found)
    assert owner(site, name) == "other/prod/qa"


@pytest.mark.parametrize("status", [403, 500])
def test_all_goes_on_where_a_run_has_failed(site: Site, folder: Path, endpoint: Any, status: int) -> None:
    for name in ("a1", "b1", "za"):
        endpoint(name)
    fault = {"method": "PATCH", "path": f"{PATH}/b1/tags", "status": status, "times": 9}
    with site.fault(**fault):
        first = run("--all", "--stack", "dev")
    assert (first.exit_code == 0) is (status == 403)
    assert run("--all", "--stack", "dev").exit_code == 0
    assert agents(folder) == {"qa": "a1", "b1": "b1", "za": "za"}
    assert [owner(site, name) for name in ("a1", "b1", "za")] == ["agents/dev/qa", "agents/dev/b1", "agents/dev/za"]
    resources = json.loads((folder / "import.json").read_text())["resources"]
    assert sorted(each["id"] for each in resources if each["type"] == ENDPOINT) == ["a1", "b1", "za"]


def test_one_that_serves_the_feedback_model_alone_is_refused() -> None:
    entity = {"name": "feedback", "entity_name": "main.default.feedback", "entity_version": "1"}
    remote = {"name": "theirs", "config": {"served_entities": [entity]}, "state": {}}
    (problem,) = refusals(Existing(remote), "agents/dev/qa")
    assert "the feedback model alone" in str(problem)


def test_what_the_preview_would_refuse_is_not_written(site: Site, folder: Path, endpoint: Any) -> None:
    name = endpoint("gone", SEARCH_KEY="{{secrets/nowhere/key}}")
    result = run(name, "--stack", "dev")
    assert "refused by the preview" in result.output
    assert "Next:" not in result.output
    assert "nothing was written" in str(result.exception)
    assert "left alone gone: " in run("--all", "--stack", "dev").output
    assert owner(site, name) == ""
    assert not (folder / "import.json").exists()


def test_the_import_file_keeps_what_it_has(folder: Path, endpoint: Any) -> None:
    own = {"type": "aws:s3/bucket:Bucket", "name": "own", "id": "b"}
    (folder / "import.json").write_text(json.dumps({"resources": [own]}))
    assert run(endpoint(), "--stack", "dev").exit_code == 0
    assert run(endpoint(), "--stack", "dev", "--name", "second").exit_code == 0
    listed = json.loads((folder / "import.json").read_text())["resources"]
    assert [each["name"] for each in listed] == ["own", "qa", "qa-endpoint", "second", "second-endpoint"]


@pytest.mark.parametrize("file", ["nodir/x.json", ".", "broken.json", "other.json"])
def test_a_file_that_cannot_be_the_import_file_is_refused_first(
    site: Site, folder: Path, endpoint: Any, file: str
) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text('{"resources": {"a": 1}}')
    name = endpoint()
    assert f"--file '{file}'" in refused(name, "--stack", "dev", "--file", file)
    assert owner(site, name) == ""
    assert not (folder / "Pulumi.dev.yaml").exists()
