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


WHOSE = """
import os
from agent_deploy import AgentDeployment, AgentServicePrincipal
from agent_deploy.resources.databricks import SecretScope

made = {made}
given = {{"model_name": "main.default.echo", "versions": [{{"version": "1"}}], "feedback_model": False,
         "inference_tables": {{"enabled": False}}, "environment": {{"KEY": "value"}}}}
AgentDeployment("one", {{**given, "endpoint_name": "one", {argument}}})
"""
NOBODY = 'SecretScope("made", name="nobody").id'
SOMEBODY = 'AgentServicePrincipal("clerk", display_name="clerk").application_id'
PERMITTED = '"permissions": [{{"{field}": made, "level": "CAN_QUERY"}}]'


def test_a_principal_that_only_up_knows_is_verified_before_anything_is_made(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Any], tmp_path: Path
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare("main.default.echo", 1)
    stack = open_stack("", environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))
    arguments = [PERMITTED.format(field=field) for field in ("group_name", "user_name", "service_principal_name")]
    for argument in (*arguments, '"review_app": {"reviewers": [{"group_name": made}]}'):
        stack.write(WHOSE.format(made=NOBODY, argument=argument))
        assert "verified in `pulumi up` only" in stack.preview().messages
        refused = stack.up(check=False)
        assert refused.code != 0
        assert "[AGV024]" in refused.output
        assert not site.exists("one")
    stack.write(WHOSE.format(made=SOMEBODY, argument=PERMITTED.format(field="service_principal_name")))
    stack.up()
    assert site.exists("one")
    assert stack.preview().operations == {}
    stack.destroy()
