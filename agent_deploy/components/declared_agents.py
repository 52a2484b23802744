"""From a stack's configuration to the arguments of its agents.

In a project ``agents``, ``agents:agents`` maps an agent's name to the arguments of AgentDeployment, in the same words;
``agents:defaults`` holds what all agents of the environment have in common. An entry of ``secrets`` maps an environment
variable to the configuration key that holds its value (``pulumi config set --secret KEY``), so that no secret stands in
the file.
"""

from __future__ import annotations

from typing import Any, cast

import pulumi

from agent_deploy.components.arguments import AgentDeploymentArgs

# Variables and tags of all agents are kept beside an agent's own; everything else an agent overrides.
_SHARED = {
    "environment": "variables by their names, such as {ANSWER_STYLE: short}",
    "tags": "tags by their names, such as {team: search}",
    "secrets": "the keys of secrets by variables, such as {API_KEY: docsApiKey}",
}


def declared_agents(config: pulumi.Config | None = None, missing_ok: bool = False) -> dict[str, AgentDeploymentArgs]:
    """The agents that the stack's file lists: name → arguments of AgentDeployment.

    ``config`` is the project's own by default. Raises pulumi.RunError when the list has another shape, or is missing
    and that is not ``missing_ok``.
    """
    config = config or pulumi.Config()
    of_all, of_each = f"{config.name}:defaults", f"{config.name}:agents"
    defaults = _mapping(
        of_all, config.get_object("defaults"), "arguments by their names, such as {workload_size: Small}"
    )
    expected, given = "agents by their names, such as {docs: {model_name: …}}", config.get_object("agents")
    if given is None:
        if missing_ok:
            return {}
        raise pulumi.RunError(f"{of_each} is missing: expected {expected}, below `config` in {_file()}")
    agents = _mapping(of_each, given, expected)
    shared = {name: _mapping(f"{of_all}.{name}", defaults.get(name), _SHARED[name]) for name in _SHARED}
    return {
        name: _arguments(f"{of_each}.{name}", agent, {**defaults, **shared}, config) for name, agent in agents.items()
    }


def _arguments(place: str, given: object, defaults: dict[str, Any], config: pulumi.Config) -> AgentDeploymentArgs:
    own = _mapping(place, given, 'arguments by their names, such as {model_name: …, versions: [{version: "1"}]}')
    agent = {**defaults, **own}
    for name, expected in _SHARED.items():
        agent[name] = {**defaults[name], **_mapping(f"{place}.{name}", own.get(name), expected)}
    for variable, key in agent.pop("secrets").items():
        agent["environment"][variable] = config.require_secret(key)
    return cast(AgentDeploymentArgs, agent)


def _mapping(place: str, value: object, expected: str) -> dict[str, Any]:
    """What stands at a place, empty where nothing does. Its value is not told: there may be secrets in it."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise pulumi.RunError(f"{place}: expected {expected}, and not a {kind}. Correct it in {_file()}")
    return value


def _file() -> str:
    return f"Pulumi.{pulumi.get_stack()}.yaml"
