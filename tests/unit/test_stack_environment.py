"""The agents of a stack's configuration: the three that are here, secrets, and what has not the shape of an agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime.config import set_all_config

from agent_deploy.components.arguments import AgentDeploymentArgs
from agent_deploy.components.declared_agents import declared_agents
from agent_deploy.components.parsing import parse
from agent_deploy.rules.argument_checks import check_arguments

STACKS = Path(__file__).parents[2] / "stacks"


@pytest.fixture(autouse=True)
def _no_configuration_is_left() -> Iterator[None]:
    yield
    set_all_config({})


def declared(**configured: Any) -> dict[str, Any]:
    set_all_config({f"agents:{key}": json.dumps(value) for key, value in configured.items()})
    return dict(declared_agents(pulumi.Config("agents")))


def test_variables_and_tags_of_all_agents_stand_beside_an_agents_own() -> None:
    defaults = {"workload_size": "Small", "tags": {"environment": "dev"}, "environment": {"A": "1", "B": "1"}}
    agents = {"docs": {"workload_size": "Large", "environment": {"B": "2"}}, "sql": None}
    assert declared(defaults=defaults, agents=agents) == {
        "docs": {"workload_size": "Large", "tags": {"environment": "dev"}, "environment": {"A": "1", "B": "2"}},
        "sql": defaults,
    }
    assert declared(agents={}) == {}


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_agents_of_the_stacks_that_are_here_are_well_declared(stack: str) -> None:
    configured = yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())["config"]
    agents = declared(**{key.removeprefix("agents:"): value for key, value in configured.items()})
    assert list(agents) == ["docs"]
    parsed = parse("AgentDeployment", AgentDeploymentArgs, agents["docs"])
    args = parsed.without_outputs()
    assert [str(problem) for problem in (*parsed.problems, *check_arguments(args))] == []
    assert args["tags"] == {"environment": stack}
    assert args["permissions"]


def test_a_variable_whose_key_is_told_is_a_secret_beside_the_others() -> None:
    async def environment() -> tuple[dict[str, Any], bool]:
        agent = {"environment": {"STYLE": "short"}, "secrets": {"API_KEY": "docsApiKey"}}
        set_all_config({"agents:agents": json.dumps({"docs": agent}), "agents:docsApiKey": "hush"})
        docs: Any = declared_agents(pulumi.Config("agents"))["docs"]
        assert "secrets" not in docs
        secret = docs["environment"]["API_KEY"]
        return {**docs["environment"], "API_KEY": await secret.future()}, await secret.is_secret()

    assert asyncio.run(environment()) == ({"STYLE": "short", "API_KEY": "hush"}, True)


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"agents": ["hush"]}, "agents:agents: expected agents by their names"),
        ({"agents": {"docs": "hush"}}, "agents:agents.docs: expected arguments by their names"),
        ({"agents": {"docs": ["hush"]}}, "agents:agents.docs: expected arguments by their names"),
        ({"agents": {"docs": {"environment": ["hush"]}}}, "agents:agents.docs.environment: expected variables"),
        ({"agents": {"docs": {"secrets": "hush"}}}, "agents:agents.docs.secrets: expected the keys of secrets"),
        ({"agents": {}, "defaults": ["hush"]}, "agents:defaults: expected arguments by their names"),
        ({"agents": {}, "defaults": {"tags": ["hush"]}}, "agents:defaults.tags: expected tags"),
    ],
)
def test_what_is_misshapen_is_told_by_its_key_without_its_value(configured: dict[str, Any], said: str) -> None:
    with pytest.raises(pulumi.RunError) as raised:
        declared(**configured)
    assert str(raised.value).startswith(said)
    assert ", and not a " in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_misspelt_or_missing_key_is_told_with_where_it_belongs() -> None:
    with pytest.raises(
        pulumi.RunError, match=r"agents:agents is missing: expected agents .* below `config` in Pulumi\..*yaml"
    ):
        declared(agent={"docs": {}})
