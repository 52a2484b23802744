"""What a running deployment is asked, by REST alone: questions, feedback, deployments."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_deploy.client.deployments import Deployment, get_deployments, list_deployments
    from agent_deploy.client.give_feedback import FeedbackError, Given, feedback, withdraw

_HOMES = {
    "agent_deploy.client.deployments": ("Deployment", "get_deployments", "list_deployments"),
    "agent_deploy.client.give_feedback": ("FeedbackError", "Given", "feedback", "withdraw"),
}

__all__ = ["Deployment", "FeedbackError", "Given", "feedback", "get_deployments", "list_deployments", "withdraw"]


def __getattr__(name: str) -> object:
    # Lazy, so that whoever wants one module of this package does not import the others.
    for module, exported in _HOMES.items():
        if name in exported:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'agent_deploy.client' has no attribute {name!r}")
