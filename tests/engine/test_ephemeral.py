"""Ephemeral stacks on the real engine: up, pushed, too many, swept without state and without record, closed."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.client import agents_service
from agent_deploy.provider.workspace.workspace_tree import file_text, write_file
from agent_deploy.rules.workspace_files import home_folder
from tests.engine import vault
from tests.engine.serving import PATH, Site, endpoints_of
from tests.engine.support import Stack, both_plugins
from tests.engine.test_pull_request import run, step
from tests.pull_requests.forges import State, github, served

PROGRAM = """
import pulumi
from agent_deploy import AgentDeployment

versions = [{{"version": "{version}", "scale_to_zero": False}}]
agent = AgentDeployment("docs", model_name="main.default.docs", versions=versions,
                        auth="SERVICE_PRINCIPAL", environment={{"KEY": pulumi.Config().require_secret("key")}},
                        permissions=[{{"group_name": "users", "level": "CAN_QUERY"}}],
                        opts=pulumi.ResourceOptions(protect=True))
pulumi.export("docs_query_endpoint", agent.query_endpoint)
"""
SECRET = "a-value-nobody-may-see"


class Repository:
    """A checkout of a project with the stack `test`, a workspace, and pull request o/r#12."""

    def __init__(self, site: Site, stack: Stack, forge: State) -> None:
        self.site, self.stack, self.forge = site, stack, forge
        self.elsewhere = stack.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.before = self.held()

    def step(self, job: str, commit: str = "c1") -> str:
        """What the ready workflow does in one job."""
        return self.shell(step("agents-ephemeral.yml", job, job.capitalize()), commit)

    def run(self, *arguments: str, commit: str = "c1", code: int = 0) -> str:
        """`agent-deploy ephemeral …` in a job of the pull request; its output."""
        return self.shell(shlex.join(["agent-deploy", "ephemeral", *arguments]), commit, code)

    def shell(self, command: str, commit: str, code: int = 0) -> str:
        """What it says; it has to end with this code."""
        ended, said = run(self.stack, self.forge, command, commit, BASE="test")
        assert ended == code, said
        assert SECRET not in said
        return said

    def record(self, stack: str) -> str:
        """Where the workspace keeps the record of a stack."""
        return f"{home_folder(self.site.workspace.user_name())}/ephemeral/project/{stack}.json"

    def held(self) -> dict[str, list[str]]:
        """All that the workspace holds of stacks, by kind."""
        get = self.site.workspace.get
        tables = get("/api/2.1/unity-catalog/tables", {"catalog_name": "main", "schema_name": "default"})
        return {
            "endpoints": endpoints_of(get(PATH)),
            "scopes": sorted(each["name"] for each in get("/api/2.0/secrets/scopes/list").get("scopes") or []),
            "principals": sorted(
                each["displayName"] for each in get("/api/2.0/preview/scim/v2/ServicePrincipals").get("Resources") or []
            ),
            "tables": sorted(each["name"] for each in tables.get("tables") or []),
            "pipelines": sorted(each["name"] for each in get("/api/2.0/pipelines").get("statuses") or []),
            "jobs": sorted(each["settings"]["name"] for each in get("/api/2.2/jobs/list").get("jobs") or []),
        }

    def lose_state(self, stack: str) -> None:
        """Of the backend and of the checkout."""
        lost = [*self.stack.folder.rglob(f"{stack}.json*"), *self.stack.folder.glob(f"Pulumi.{stack}.yaml")]
        assert lost
        for file in lost:
            file.unlink()


@pytest.fixture(params=[""])
def repository(
    local_workspace_factory: Callable[..., Any],
    open_stack: Callable[..., Stack],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Repository]:
    """The parameter is a passphrase, by which the stacks' secrets are kept; without one, another service keeps them."""
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare("main.default.docs", 2)
    site.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": "agent-reviewers"})
    state = State(commits=["c1", "c2"])
    with served(github(state), state):
        plugins = both_plugins(tmp_path / "plugins")
        stack = open_stack(
            PROGRAM.format(version="1"), environment=site.environment, plugins=plugins, passphrase=request.param
        )
        stack.set_secret("key", SECRET)
        yield Repository(site, stack, state)


@pytest.mark.parametrize("repository", ["", "a passphrase"], indirect=True)
def test_opened_pushed_and_closed(repository: Repository) -> None:
    site, stack = repository.site, repository.stack
    repository.step("up")
    (name,) = repository.held()["endpoints"]
    assert name == "agents_main-default-docs-pr-12"
    endpoint = site.endpoint(name)
    (entity,) = endpoint["config"]["served_entities"]
    assert (entity["entity_version"], entity["scale_to_zero_enabled"]) == ("1", True)
    assert endpoint["ai_gateway"]["inference_table_config"]["table_name_prefix"] == "docs-pr-12"
    allowed = site.workspace.get(f"/api/2.0/permissions/serving-endpoints/{endpoint['id']}")["access_control_list"]
    assert {each["group_name"] for each in allowed if "group_name" in each} == {"agent-reviewers", "admins"}
    (comment,) = repository.forge.own()
    assert f"{name}/invocations" in html.unescape(comment)
    assert "agent-reviewers" in html.unescape(comment)

    # The next job begins with a checkout that has no file of this stack.
    (stack.folder / "Pulumi.test-pr-12.yaml").unlink()
    stack.write(PROGRAM.format(version="2"))
    repository.step("up", "c2")
    (entity,) = site.endpoint(name)["config"]["served_entities"]
    assert entity["entity_version"] == "2"
    (comment,) = repository.forge.own()
    assert "<code>c2</code>" in comment
    (listed,) = json.loads(repository.run("list", "--json"))
    assert (listed["stack"], listed["pull_request"], listed["state"]) == ("test-pr-12", "o/r#12", "there")

    (stack.folder / "Pulumi.test-pr-12.yaml").unlink()
    repository.forge.open = False
    repository.step("down")
    assert repository.held() == repository.before
    (left,) = json.loads(stack.run("stack", "ls", "--json").output)
    assert (left["name"], left["current"]) == ("test", True)
    assert "nothing to do" in repository.run("down", "--base", "test")
    assert json.loads(repository.run("list", "--json")) == []
    assert SECRET not in stack.state_text()


def test_the_one_that_is_idle_for_longest_makes_room_and_is_told(repository: Repository) -> None:
    repository.run("up", "--base", "test")
    said = repository.run("up", "--base", "test", "--suffix", "mine", "--at-most", "1")
    assert "test-pr-12 goes: 1 may live at once" in said
    assert repository.held()["endpoints"] == ["agents_main-default-docs-mine"]
    assert "was taken down" in repository.forge.own()[0]
    assert "would go: idle for" in repository.run("sweep", "--idle-days", "0", "--plan")
    repository.step("sweep")
    assert repository.held()["endpoints"] == ["agents_main-default-docs-mine"]
    repository.run("sweep", "--idle-days", "0")
    assert repository.held() == repository.before


@pytest.mark.parametrize("repository", ["", "a passphrase"], indirect=True)
def test_a_sweep_without_state_leaves_nothing(repository: Repository) -> None:
    repository.run("up", "--base", "test")
    assert repository.held() != repository.before
    repository.lose_state("test-pr-12")
    assert "its state was lost" in repository.run("sweep")
    assert repository.held() == repository.before


def test_without_state_and_record_the_workspaces_marks_are_enough(repository: Repository) -> None:
    repository.run("up", "--base", "test")
    repository.lose_state("test-pr-12")
    site = repository.site
    record = repository.record("test-pr-12")
    text = str(file_text(site.workspace, record))
    assert ("ciphertext" in text, SECRET in text) == (True, False)
    site.workspace.post("/api/2.0/workspace/delete", {"path": record})
    # Somebody else may have its state elsewhere: it goes when nobody uses it any more.
    (listed,) = json.loads(repository.run("list", "--json"))
    assert listed["state"] == "elsewhere"
    repository.run("sweep")
    assert repository.held()["endpoints"] == ["agents_main-default-docs-pr-12"]
    said = repository.run("sweep", "--idle-days", "0")
    assert "removed, found by its mark: endpoint agents_main-default-docs-pr-12" in said
    left = repository.held()
    assert (left["endpoints"], left["scopes"], left["tables"]) == ([], [], [])


def test_a_stack_of_others_is_neither_taken_over_nor_removed(repository: Repository) -> None:
    stack = repository.stack
    stack.run("stack", "init", "test-eu", "--no-select", "--secrets-provider", vault.PROVIDER)
    for command in ("up", "down"):
        said = repository.run(command, "--base", "test", "--suffix", "eu", code=1)
        assert "test-eu is a stack that is not ephemeral" in said
    assert "test-eu" in stack.run("stack", "ls", "--json").output
    # Its base is wrong: nobody makes room for it.
    repository.run("up", "--base", "test")
    repository.run("up", "--base", "tset", "--suffix", "typo", "--at-most", "1", code=1)
    assert repository.held()["endpoints"] == ["agents_main-default-docs-pr-12"]
    # Versions stay known by the base's endpoint alone.
    assert agents_service.records(repository.site.workspace, "", "") == []
    # Elsewhere, as far as this backend knows.
    stack.set_environment({"PULUMI_BACKEND_URL": f"file://{repository.elsewhere}?metadata=skip"})
    stack.run("stack", "init", "test", "--secrets-provider", vault.PROVIDER)
    stack.set_secret("key", SECRET)
    for command in ("up", "down"):
        said = repository.run(command, "--base", "test", code=1)
        assert "expected the backend that has test-pr-12, file://" in said
    repository.run("up", "--base", "test", "--suffix", "mine", "--at-most", "1")
    assert len(repository.held()["endpoints"]) == 2
    repository.run("sweep", "--idle-days", "0")
    assert repository.held() == repository.before


def test_a_state_that_is_half_restored_is_restored(repository: Repository) -> None:
    repository.run("up", "--base", "test")
    repository.lose_state("test-pr-12")
    repository.stack.run("stack", "init", "test-pr-12", "--no-select", "--secrets-provider", vault.PROVIDER)
    repository.run("up", "--base", "test")
    assert repository.held()["endpoints"] == ["agents_main-default-docs-pr-12"]
    # A record that cannot be read stops nobody, and is no reason to remove anything.
    workspace = repository.site.workspace
    write_file(
        workspace, repository.record("broken"), '{"project": "project", "stack": "broken", "of a later version": '
    )
    names = {each["stack"] for each in json.loads(repository.run("list", "--json"))}
    assert names == {"test-pr-12", "broken"}
    repository.run("sweep")
    repository.run("down", "--base", "test")
    assert repository.held() == repository.before


WRONG = [
    (["--base", "nowhere"], "--base 'nowhere': expected a stack of project: there are test"),
    (["--base", "test", "--suffix", "Not this"], "--suffix 'Not this': expected 1 to 20 lower-case"),
    (["--base", "test", "--suffix", "x" * 21], "expected 1 to 20"),
    (["--base", ""], "--base '': expected the name of a stack"),
    (["--base", "test", "--reviewers", "nobody"], "nobody"),
]


def test_what_cannot_be_leaves_nothing_behind(repository: Repository) -> None:
    for arguments, told in WRONG:
        assert told in repository.run("up", *arguments, code=1), arguments
        assert repository.held() == repository.before
    assert json.loads(repository.run("list", "--json")) == []
    assert [each["name"] for each in json.loads(repository.stack.run("stack", "ls", "--json").output)] == ["test"]
