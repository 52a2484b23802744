"""What a program is about to make is no mistake in its preview, and is there when `up` comes to whoever names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engine.serving import Site
from tests.engine.support import both_plugins

PROGRAM = """
from agent_deploy import AgentDeployment

given = {"model_name": "main.default.echo", "versions": [{"version": "1"}], "feedback_model": False,
         "inference_tables": {"enabled": False}}
one = AgentDeployment("one", {**given, "endpoint_name": "one"})
asked = {"kind": "serving_endpoint", "name": one.endpoint_name}
AgentDeployment("two", {**given, "endpoint_name": "two", "auth": "SERVICE_PRINCIPAL", "resources": [asked]})
"""


def test_an_agent_that_asks_another_of_the_same_program(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Any], tmp_path: Path
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare("main.default.echo", 1)
    stack = open_stack(PROGRAM, environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))
    assert stack.preview().operations == stack.up().operations
    assert site.exists("one")
    assert site.exists("two")
    assert stack.preview().operations == {}
    stack.destroy()
    assert not site.exists("one")
