"""AI agents on Databricks, declared in Pulumi: endpoint, identity, grants, inference tables, feedback, teardown."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_deploy.components.agent_deployment import AgentDeployment
    from agent_deploy.components.agent_service_principal import (
        AgentResourceArgs,
        AgentServicePrincipal,
        AgentServicePrincipalArgs,
        ExistingServicePrincipalArgs,
    )
    from agent_deploy.components.arguments import (
        AgentDeploymentArgs,
        AgentInferenceTablesArgs,
        AgentPermissionArgs,
        AgentReviewAppArgs,
        AgentReviewerArgs,
        AgentTimeoutsArgs,
        AgentVersionArgs,
    )
    from agent_deploy.components.declared_agents import declared_agents
    from agent_deploy.components.feedback_model import FeedbackModel, FeedbackModelArgs
    from agent_deploy.components.inference_tables import InferenceTables, InferenceTablesArgs
    from agent_deploy.resources.agent_registration import AgentRegistration
    from agent_deploy.resources.feedback_model_version import FeedbackModelVersion
    from agent_deploy.resources.object_permission import ObjectPermission
    from agent_deploy.resources.own_provider import Provider
    from agent_deploy.resources.secret import Secret
    from agent_deploy.resources.securable_grant import SecurableGrant
    from agent_deploy.resources.serving_endpoint import ServingEndpoint

_HOMES = {
    "agent_deploy.components.agent_deployment": ("AgentDeployment",),
    "agent_deploy.components.agent_service_principal": (
        "AgentResourceArgs",
        "AgentServicePrincipal",
        "AgentServicePrincipalArgs",
        "ExistingServicePrincipalArgs",
    ),
    "agent_deploy.components.arguments": (
        "AgentDeploymentArgs",
        "AgentInferenceTablesArgs",
        "AgentPermissionArgs",
        "AgentReviewAppArgs",
        "AgentReviewerArgs",
        "AgentTimeoutsArgs",
        "AgentVersionArgs",
    ),
    "agent_deploy.components.declared_agents": ("declared_agents",),
    "agent_deploy.components.feedback_model": ("FeedbackModel", "FeedbackModelArgs"),
    "agent_deploy.resources.feedback_model_version": ("FeedbackModelVersion",),
    "agent_deploy.components.inference_tables": ("InferenceTables", "InferenceTablesArgs"),
    "agent_deploy.resources.agent_registration": ("AgentRegistration",),
    "agent_deploy.resources.securable_grant": ("SecurableGrant",),
    "agent_deploy.resources.object_permission": ("ObjectPermission",),
    "agent_deploy.resources.own_provider": ("Provider",),
    "agent_deploy.resources.secret": ("Secret",),
    "agent_deploy.resources.serving_endpoint": ("ServingEndpoint",),
}

__all__ = [
    "AgentDeployment",
    "AgentDeploymentArgs",
    "AgentInferenceTablesArgs",
    "AgentPermissionArgs",
    "AgentRegistration",
    "AgentResourceArgs",
    "AgentReviewAppArgs",
    "AgentReviewerArgs",
    "AgentServicePrincipal",
    "AgentServicePrincipalArgs",
    "AgentTimeoutsArgs",
    "AgentVersionArgs",
    "ExistingServicePrincipalArgs",
    "FeedbackModel",
    "FeedbackModelArgs",
    "FeedbackModelVersion",
    "InferenceTables",
    "InferenceTablesArgs",
    "ObjectPermission",
    "Provider",
    "Secret",
    "SecurableGrant",
    "ServingEndpoint",
    "declared_agents",
]


def __getattr__(name: str) -> object:
    # Lazy, so that the command line and the plugin do not import Pulumi's runtime for a constant.
    for module, exported in _HOMES.items():
        if name in exported:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'agent_deploy' has no attribute {name!r}")
