"""The function getEndpointTable: which model an endpoint serves and where its requests are logged, if they are."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.waiting import get
from agent_deploy.provider.plugin.resource import Context, Values
from agent_deploy.provider.workspace.connection import looked_up


def get_endpoint_table(context: Context, arguments: Values) -> Values:
    """``endpointName`` to ``modelName`` and ``payloadTable``, each empty where there is none."""
    name = str(arguments["endpointName"])
    try:
        remote = get(looked_up(context), name)
    except ApiError as error:
        reason = f"there is no serving endpoint {name}: correct the name, or create it first"
        return {"modelName": "", "payloadTable": "", "problem": reason if error.is_missing else str(error)}
    except WorkspaceError as error:
        return {"modelName": "", "payloadTable": "", "problem": str(error)}
    models = [str(entity.get("entity_name") or "") for entity in states.entities_of(states.newest_config(remote))]
    named = next((model for model in models if model.count(".") == 2), "")
    return {"modelName": named, "payloadTable": states.outputs_of(remote, "")["payloadTable"], "problem": ""}
