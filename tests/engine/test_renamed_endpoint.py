"""Another `endpoint_name`: what the old endpoint reads goes after it, whatever the databricks plugin prefers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, PATH, Site
from tests.engine.support import Stack, both_plugins

PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment

args = json.loads(ARGS)
args["environment"] = {"GREETING": pulumi.Output.secret("hello")}
AgentDeployment("qa", args)
"""
SCOPES = "/api/2.0/secrets/scopes"
ENTITY = f"{MODEL.replace('.', '-')}_1"


def program(endpoint_name: str) -> str:
    """An agent with a secret of its own and one of its service principal: a scope for each."""
    bare = {"inference_tables": {"enabled": False}, "feedback_model": False, "review_app": {"enabled": False}}
    args = {"model_name": MODEL, "model_version": "1", "auth": "SERVICE_PRINCIPAL", "endpoint_name": endpoint_name}
    return PROGRAM.replace("ARGS", repr(json.dumps({**bare, **args})))


@pytest.fixture
def stack(site: Site, open_stack: Callable[..., Stack], tmp_path: Path, name: str) -> Stack:
    """The agent under its first name, which is up."""
    plugins = both_plugins(tmp_path / "plugins")
    opened = open_stack(program(f"{name}-a"), environment=site.environment, plugins=plugins)
    opened.up()
    return opened


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A short name of the test's own, for endpoints."""
    return request.node.name.removeprefix("test_").replace("_", "-")[:30]


def scopes(site: Site, name: str) -> set[str]:
    """Names of the secret scopes of endpoints whose names begin so."""
    listed = site.workspace.get(f"{SCOPES}/list").get("scopes", [])
    return {scope["name"] for scope in listed if scope["name"].startswith(name)}


def answer(site: Site, endpoint: str) -> Any:
    return site.workspace.post(f"/serving-endpoints/{endpoint}/invocations", {"inputs": ["you"]})["predictions"]


def test_old_scopes_serve_on_while_the_new_build_fails(site: Site, stack: Stack, name: str) -> None:
    old = {f"{name}-a", f"{name}-a_1"}
    assert scopes(site, name) == old
    stack.write(program(f"{name}-b"))
    with site.fault(match="build", entity=ENTITY, fail="no space left on device"):
        failed = stack.up(check=False)
    assert failed.code != 0
    assert "no space left on device" in failed.output
    assert old <= scopes(site, name)
    # What reads its secrets when it starts can still start.
    keys = {
        key["key"] for scope in old for key in site.workspace.get("/api/2.0/secrets/list", {"scope": scope})["secrets"]
    }
    read = site.endpoint(f"{name}-a")["config"]["served_entities"][0]["environment_vars"].values()
    references = {value.strip("{}").rpartition("/")[2] for value in read if value.startswith("{{secrets/")}
    assert len(references) == 2
    assert references <= keys
    assert answer(site, f"{name}-a") == ["hello you"]

    stack.up()
    assert scopes(site, name) == {f"{name}-b", f"{name}-b_1"}
    assert not site.exists(f"{name}-a")
    assert answer(site, f"{name}-b") == ["hello you"]
    stack.destroy()
    assert scopes(site, name) == set()


def test_new_before_old_and_reader_before_read(site: Site, stack: Stack, name: str) -> None:
    site.forget_requests()
    stack.write(program(f"{name}-b"))
    stack.up()
    asked = site.asked("*", "/api/2.0/*")
    written = {_told(request): index for index, request in enumerate(asked) if request["method"] != "GET"}
    for scope in ("", "_1"):
        created, deleted = (
            f"POST scopes/{step} {name}-{which}{scope}" for step, which in (("create", "b"), ("delete", "a"))
        )
        order = [created, f"POST {name}-b", f"DELETE {name}-a", deleted]
        assert sorted(order, key=written.__getitem__) == order, "\n".join(written)
    stack.destroy()


def _told(request: dict[str, Any]) -> str:
    """``POST scopes/create <scope>``, ``POST <endpoint>``, ``DELETE <endpoint>``; of others, the path."""
    method, path, body = request["method"], str(request["path"]), request["body"]
    if path == PATH:
        return f"{method} {body['name']}"
    if path.startswith(f"{SCOPES}/"):
        return f"{method} scopes/{path.rpartition('/')[2]} {body['scope']}"
    return f"{method} {path.removeprefix(f'{PATH}/')}"
