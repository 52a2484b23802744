"""One intention, one workspace: whatever names it, both plugins and every check go there, and nowhere else."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, PATH, Site, endpoints_of
from tests.engine.support import Result, Stack, both_plugins

HEAD = f"""
import os
import pulumi
from pulumi import Output, ProviderResource, ResourceOptions
from agent_deploy import AgentDeployment, ServingEndpoint

def provider(package, name, site, **opts):
    token = Output.secret(os.environ[site + "_TOKEN"])
    return ProviderResource(package, name, {{"host": os.environ[site + "_HOST"], "token": token}})

def arguments(name):
    return {{
        "model_name": {MODEL!r}, "model_version": "1", "endpoint_name": name,
        "environment": {{"KEY": Output.secret("hush-hush")}},
        "permissions": [{{"group_name": "users", "level": "CAN_QUERY"}}],
        "inference_tables": {{"enabled": False}},
    }}
"""
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def home(local_workspace_factory: Callable[..., Any]) -> Site:
    """The workspace that the environment names."""
    return workspace(local_workspace_factory)


@pytest.fixture(scope="module")
def away(local_workspace_factory: Callable[..., Any]) -> Site:
    """Another one, which only a program names."""
    return workspace(local_workspace_factory)


def workspace(factory: Callable[..., Any]) -> Site:
    made = Site(factory(serving_start="on_request"))
    made.register_bare(MODEL, 1)
    return made


@pytest.fixture
def opened(home: Site, away: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``opened(program)`` is a stack whose environment names the workspace at home; nobody was asked anything yet."""

    def make(program: str, **options: Any) -> Stack:
        both = {
            f"{name}_{part}": site.environment[f"DATABRICKS_{part}"]
            for name, site in (("HOME", home), ("AWAY", away))
            for part in ("HOST", "TOKEN")
        }
        environment = {**home.environment, **both}
        stack = open_stack(HEAD + program, environment=environment, plugins=both_plugins(tmp_path / "v"), **options)
        home.forget_requests()
        away.forget_requests()
        return stack

    return make


def calls(site: Site) -> list[str]:
    """What the workspace was asked by either plugin."""
    return [f"{each['method']} {each['path']}" for each in site.asked("*", "/api/*")]


def endpoints(site: Site) -> set[str]:
    return set(endpoints_of(site.workspace.get(PATH)))


def refused(result: Result, *hosts: str) -> None:
    """A preview that names both workspaces and has declared nothing of the deployment."""
    assert result.code != 0
    assert "One component, two workspaces" in result.output
    assert [host for host in hosts if host not in result.output] == []
    declared = [name for name in result.operations if name not in ("ws", "own")]
    assert declared == []


WAYS = """
ws = provider("databricks", "ws", "AWAY")
AgentDeployment("one", arguments("one"), ResourceOptions(provider=ws))
AgentDeployment("list", arguments("list"), ResourceOptions(providers=[ws]))
AgentDeployment("map", arguments("map"), ResourceOptions(providers={"databricks": ws}))
parent = pulumi.ComponentResource("team:index:Agents", "team", {}, ResourceOptions(providers=[ws]))
AgentDeployment("inherits", arguments("inherits"), ResourceOptions(parent=parent))
ServingEndpoint("alone", name="alone", owner_mark="m", opts=ResourceOptions(provider=ws))
remote = arguments("remote")
remote = {
    "modelName": remote["model_name"], "modelVersion": "1", "endpointName": "remote",
    "environment": remote["environment"], "permissions": [{"groupName": "users", "level": "CAN_QUERY"}],
    "inferenceTables": {"enabled": False},
}
token = "agent-deploy:index:AgentDeployment"
pulumi.ComponentResource(token, "remote", remote, ResourceOptions(providers=[ws]), remote=True)
"""


def test_a_databricks_provider_decides_for_both_plugins_however_it_is_given(
    home: Site, away: Site, opened: Callable[..., Stack]
) -> None:
    stack = opened(WAYS)
    stack.preview()
    stack.up()
    names = {"one", "list", "map", "inherits", "alone", "remote"}
    assert endpoints(away) == names
    scopes = away.workspace.get("/api/2.0/secrets/scopes/list")["scopes"]
    assert {scope["name"] for scope in scopes} == names - {"alone"}
    assert calls(home) == []
    assert away.environment["DATABRICKS_TOKEN"] not in stack.state_text()
    stack.preview("--expect-no-changes")
    stack.refresh()
    stack.destroy()
    assert endpoints(away) == set()
    assert calls(home) == []


def test_a_databricks_provider_decides_against_the_stacks_configuration(
    home: Site, away: Site, opened: Callable[..., Stack]
) -> None:
    program = 'ws = provider("databricks", "ws", "AWAY")\n'
    program += 'AgentDeployment("one", arguments("one"), ResourceOptions(provider=ws))\n'
    program += 'AgentDeployment("configured", arguments("configured"))\n'
    stack = opened(program, config={"databricks:host": home.host})
    stack.set_secret("databricks:token", home.environment["DATABRICKS_TOKEN"])
    stack.up()
    assert (endpoints(home), endpoints(away)) == ({"configured"}, {"one"})
    stack.destroy()
    assert endpoints(home) | endpoints(away) == set()


BOTH = """
for site in ("HOME", "AWAY"):
    name = site.lower()
    ws, own = provider("databricks", name, site), provider("agent-deploy", name + "-own", site)
    AgentDeployment(name, arguments("same-name"), ResourceOptions(providers=[ws]))
    AgentDeployment(name + "-both", arguments("both"), ResourceOptions(providers=[ws, own]))
"""


def test_two_workspaces_side_by_side_with_one_provider_each_or_with_both_kinds(
    home: Site, away: Site, opened: Callable[..., Stack]
) -> None:
    stack = opened(BOTH)
    stack.up()
    for site, other in ((home, away), (away, home)):
        assert endpoints(site) == {"same-name", "both"}
        assert other.host not in str(site.endpoint("both"))
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert endpoints(home) | endpoints(away) == set()


REFUSED = {
    "both given": 'ws, own = provider("databricks", "ws", "HOME"), provider("agent-deploy", "own", "AWAY")\n'
    'AgentDeployment("one", arguments("one"), ResourceOptions(providers=[ws, own]))\n',
    "only ours given": 'own = provider("agent-deploy", "own", "AWAY")\n'
    'AgentDeployment("one", arguments("one"), ResourceOptions(provider=own))\n',
    "in another language": 'ws, own = provider("databricks", "ws", "HOME"), provider("agent-deploy", "own", "AWAY")\n'
    'token, given = "agent-deploy:index:AgentDeployment", {"modelName": "main.default.qa", "modelVersion": "1"}\n'
    'pulumi.ComponentResource(token, "one", given, ResourceOptions(providers=[ws, own]), remote=True)\n',
}


@pytest.mark.parametrize("way", list(REFUSED))
def test_providers_at_different_workspaces_are_refused_before_anything_is_declared(
    home: Site, away: Site, opened: Callable[..., Stack], way: str
) -> None:
    stack = opened(REFUSED[way])
    preview = stack.preview(check=False)
    refused(preview, home.host, away.host)
    # In a program that is not Python, its own SDK tells that the engine has ended.
    assert way == "in another language" or "Traceback" not in preview.output
    refused(stack.up(check=False), home.host, away.host)
    assert calls(home) + calls(away) == []


def test_configuration_that_sends_the_packages_to_different_workspaces_is_refused(
    home: Site, away: Site, opened: Callable[..., Stack]
) -> None:
    stack = opened('AgentDeployment("one", arguments("one"))\n', config={"agent-deploy:host": away.host})
    refused(stack.preview(check=False), home.host, away.host)
    assert calls(home) + calls(away) == []


LATE = """
made = pulumi.CustomResource("databricks:index/secretScope:SecretScope", "made", {"name": "made-first"})
host = made.id.apply(lambda _: os.environ["AWAY_HOST"])
token = Output.secret(os.environ["AWAY_TOKEN"])
ws = ProviderResource("databricks", "ws", {"host": host, "token": token})
AgentDeployment("late", arguments("late"), ResourceOptions(provider=ws))
"""


def test_a_workspace_that_is_known_in_up_only_does_not_break_the_preview(
    home: Site, away: Site, opened: Callable[..., Stack]
) -> None:
    stack = opened(LATE)
    preview = stack.preview()
    assert "all checks against it wait until then" in preview.output
    assert calls(home) + calls(away) == []
    stack.up()
    assert (endpoints(home), endpoints(away)) == (set(), {"late"})
    stack.preview("--expect-no-changes")
    stack.destroy()


def test_a_rotated_token_is_told_with_the_way_out_and_the_way_out_works(
    home: Site, away: Site, opened: Callable[..., Stack]
) -> None:
    tokens: list[dict[str, Any]] = []

    def rotate() -> None:
        tokens.append(away.workspace.post("/api/2.0/token/create", {"comment": "rotates"}))
        stack.set_secret("databricks:token", tokens[-1]["token_value"])
        for old in tokens[-2:-1]:
            away.workspace.post("/api/2.0/token/delete", {"token_id": old["token_info"]["token_id"]})

    stack = opened('AgentDeployment("one", arguments("rotated"))\n', config={"databricks:host": away.host})
    rotate()
    stack.up()
    rotate()
    for flags in (("refresh",), ("up", "--refresh")):
        told = stack.operate(*flags, "--skip-preview", check=False)
        assert told.code != 0
        assert "refused the credentials from the provider's input token" in told.output
        assert "add `--run-program`, or run `pulumi up` first" in told.output
    stack.refresh("--run-program")
    rotate()
    stack.up()
    stack.refresh()
    rotate()
    told = stack.destroy(check=False)
    assert told.code != 0
    assert "add `--run-program`" in told.output
    stack.destroy("--run-program")
    assert "rotated" not in endpoints(away)
    assert [each["token_value"] for each in tokens if each["token_value"] in stack.state_text()] == []


def test_the_documented_program_deploys_to_two_workspaces(
    home: Site, away: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    model, endpoint = "main.default.docs_agent", "agents_main-default-docs_agent"
    program, both_kinds = re.findall(r"```python\n(.*?)```", (DOCS / "workspaces.md").read_text(), re.DOTALL)
    compile(both_kinds, "workspaces.md", "exec")
    stack = open_stack(program, plugins=both_plugins(tmp_path / "v"))
    for stage, site in (("dev", home), ("prod", away)):
        site.register_bare(model, 1)
        stack.run("config", "set", f"{stage}:host", site.host)
        stack.set_secret(f"{stage}:token", site.environment["DATABRICKS_TOKEN"])
    stack.up()
    urls = stack.outputs()
    for stage, site in (("dev", home), ("prod", away)):
        assert endpoint in endpoints(site)
        assert urls[stage] == f"{site.host}/serving-endpoints/{endpoint}/invocations"
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert endpoint not in endpoints(home) | endpoints(away)


def test_the_documented_import_exits_with_success(home: Site, open_stack: Callable[..., Stack]) -> None:
    line = next(
        each for each in (DOCS / "coming-from.md").read_text().splitlines() if each.startswith("$ pulumi import")
    )
    arguments = shlex.split(line)[2:]
    home.workspace.post(PATH, {"name": arguments[-1]})
    stack = open_stack("", environment=home.environment)
    stack.run(*arguments, "--yes")
    assert list(stack.resources()) == ["docs"]
    home.workspace.delete(f"{PATH}/{arguments[-1]}")
