"""The workspace that a context is about, as one operation asks it."""

from __future__ import annotations

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context

# Seconds that a change goes on asking a workspace that says "later", unless the user's timeouts say otherwise.
PATIENCE = 300.0
# Seconds that a verification does, and that it waits for a workspace that says nothing at all. A listing of a large
# workspace's groups takes some of them.
LOOK_UP_PATIENCE, LOOK_UP_SILENCE = 60.0, 15.0


def workspace_of(context: Context, patience: float = PATIENCE) -> Workspace:
    """As a change asks it: until the user interrupts, for his timeout or else for ``patience`` seconds."""
    return host_of(context).during(context.cancelled, context.timeout or patience)


def looked_up(context: Context) -> Workspace:
    """As a verification asks it."""
    return host_of(context).during(context.cancelled, LOOK_UP_PATIENCE, LOOK_UP_SILENCE)


def host_of(context: Context) -> Workspace:
    """What `configure` returned: the connection that all operations share."""
    workspace: Workspace = context.configuration
    return workspace
