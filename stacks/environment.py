"""From a stack's configuration to the arguments of its agents.

``agents:agents`` maps an agent's name to the arguments of AgentDeployment, in the same words; ``agents:defaults`` holds
what all agents of the environment have in common. An entry of ``secrets`` maps an environment variable to the
configuration key that holds its value (``pulumi config set --secret KEY``), so that no secret stands in the file.
"""

from typing import Any, cast

import pulumi

from agent_deploy import AgentDeploymentArgs


def declared_agents(config: pulumi.Config) -> dict[str, AgentDeploymentArgs]:
    """Name → arguments; raises the engine's own error when ``agents:agents`` is missing."""
    defaults = config.get_object("defaults") or {}
    declared = config.require_object("agents")
    return {name: _arguments({**defaults, **(agent or {})}, defaults, config) for name, agent in declared.items()}


def _arguments(agent: dict[str, Any], defaults: dict[str, Any], config: pulumi.Config) -> AgentDeploymentArgs:
    # Variables and tags of all agents are kept beside an agent's own; everything else an agent overrides.
    for shared in ("environment", "tags", "secrets"):
        agent[shared] = {**(defaults.get(shared) or {}), **(agent.get(shared) or {})}
    for variable, key in agent.pop("secrets").items():
        agent["environment"][variable] = config.require_secret(key)
    return cast(AgentDeploymentArgs, agent)
