"""One SQL statement on a warehouse, waited for: what only SQL can change, such as comments and table properties."""

from __future__ import annotations

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.endpoint.waiting import Polling
from agent_deploy.provider.plugin.resource import Context, UserError

STATEMENTS = "/api/2.0/sql/statements"
# A warehouse that sleeps takes minutes to wake.
PATIENCE = 15 * 60.0


def run_sql(context: Context, workspace: Workspace, warehouse_id: str, statement: str) -> None:
    """Returns when it has succeeded; raises UserError with the statement and the warehouse's own words."""
    body = {"warehouse_id": warehouse_id, "statement": statement, "wait_timeout": "30s"}
    answer = workspace.post(STATEMENTS, body)
    polling = Polling(context, context.deadline(PATIENCE))
    while answer["status"]["state"] in ("PENDING", "RUNNING"):
        if not polling.pause():
            raise UserError(f"Warehouse {warehouse_id} has not finished within the time allowed: {statement}")
        answer = workspace.get(f"{STATEMENTS}/{answer['statement_id']}")
    if answer["status"]["state"] != "SUCCEEDED":
        told = (answer["status"].get("error") or {}).get("message") or answer["status"]["state"]
        raise UserError(f"Warehouse {warehouse_id} refused: {statement}\n{told}")
