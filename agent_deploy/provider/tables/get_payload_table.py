"""The function getPayloadTable: whether a table that is to be derived from is there, and is a payload table."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import segment
from agent_deploy.provider.plugin.resource import Context, Values
from agent_deploy.provider.workspace.connection import looked_up
from agent_deploy.provider.workspace.unity_tables import TABLES
from agent_deploy.rules.tables import day_column


def get_payload_table(context: Context, arguments: Values) -> Values:
    """``payloadTable`` to ``dayColumn``, which has the day of a row, and to the problem, each empty where none is."""
    name = str(arguments["payloadTable"])
    try:
        found = looked_up(context).get(f"{TABLES}/{segment(name)}")
    except ApiError as error:
        reason = f"there is no table {name}: correct the name, or let its endpoint log a first request"
        return {"dayColumn": "", "problem": reason if error.is_missing else str(error)}
    except WorkspaceError as error:
        return {"dayColumn": "", "problem": str(error)}
    day = day_column([str(column.get("name")) for column in found.get("columns") or []])
    reason = f"{name} is no payload table: it has neither request_time nor timestamp_ms. Correct the name"
    return {"dayColumn": day or "", "problem": "" if day else reason}
