"""The function getServedVersions: what an endpoint of this stack serves now, before the program changes it."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider import endpoint_state as states
from agent_deploy.provider.resource import Context, Values
from agent_deploy.rules.endpoint_fields import OWNER_TAG

PATIENCE = 60.0  # seconds that a verification goes on asking a workspace that says "later"


def get_served_versions(context: Context, arguments: Values) -> Values:
    """``endpointName`` and ``ownerMark`` to ``servedEntities`` and ``traffic``; empty when the endpoint is not ours."""
    workspace: Workspace = context.configuration.during(context.cancelled, PATIENCE)
    nothing: Values = {"servedEntities": {}, "traffic": {}, "problem": ""}
    try:
        remote = workspace.get(f"{states.PATH}/{segment(str(arguments['endpointName']))}")
    except ApiError as error:
        return nothing if error.is_missing else {**nothing, "problem": str(error)}
    except WorkspaceError as error:
        return {**nothing, "problem": str(error)}
    if states.tags_of(remote).get(OWNER_TAG) != arguments["ownerMark"]:
        return nothing
    inputs = states.inputs_of({**remote, "pending_config": None}, {})
    return {
        **nothing,
        "servedEntities": inputs.get("servedEntities", {}),
        "traffic": states.routes_of(remote.get("config")),
    }
