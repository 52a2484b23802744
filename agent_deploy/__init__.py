"""AI agents on Databricks, declared in Pulumi: endpoint, identity, grants, inference tables, feedback, teardown."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_deploy.components.agent_deployment import AgentDeployment
    from agent_deploy.components.arguments import (
        AgentDeploymentArgs,
        AgentInferenceTablesArgs,
        AgentPermissionArgs,
        AgentTimeoutsArgs,
        AgentVersionArgs,
    )
    from agent_deploy.resources.secret import Secret
    from agent_deploy.resources.serving_endpoint import ServingEndpoint

__all__ = [
    "AgentDeployment",
    "AgentDeploymentArgs",
    "AgentInferenceTablesArgs",
    "AgentPermissionArgs",
    "AgentTimeoutsArgs",
    "AgentVersionArgs",
    "Secret",
    "ServingEndpoint",
]

_HOMES = {
    "agent_deploy.components.agent_deployment": ("AgentDeployment",),
    "agent_deploy.components.arguments": tuple(name for name in __all__ if name.endswith("Args")),
    "agent_deploy.resources.secret": ("Secret",),
    "agent_deploy.resources.serving_endpoint": ("ServingEndpoint",),
}


def __getattr__(name: str) -> object:
    # Lazy, so that the command line and the plugin do not import Pulumi's runtime for a constant.
    for module, exported in _HOMES.items():
        if name in exported:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'agent_deploy' has no attribute {name!r}")
