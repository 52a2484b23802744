"""Clients' telemetry, and the protocols that are not here: each is refused in the shape that its client shows."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Response
from starlette.responses import JSONResponse

from agent_deploy.local.core.body import json_body

Body = Annotated[dict[str, Any], Depends(json_body)]

MCP = (
    "The local workspace has no managed MCP servers. Call a Unity Catalog function by SQL (SELECT name(...), Statement "
    "Execution API), a vector search index by VectorSearchRetrieverTool."
)
THRIFT = (
    "The local workspace does not speak Thrift, which databricks-sql-connector needs. Run SQL by the Statement "
    "Execution API: WorkspaceClient().statement_execution.execute_statement(...)."
)
_METHOD_NOT_FOUND = -32601  # JSON-RPC 2.0


def install(app: FastAPI) -> None:
    """Add the routes."""
    router = APIRouter()

    @router.post("/telemetry-ext")
    async def telemetry(body: Body) -> dict[str, Any]:
        # A client that is not told that all was taken sends it again.
        return {
            "errors": [],
            "numSuccess": len(body.get("items") or ()),
            "numProtoSuccess": len(body.get("protoLogs") or ()),
        }

    @router.post("/api/2.0/mcp/{path:path}")
    async def mcp(body: Body) -> Response:
        # With a status other than success the client shows the number alone.
        error = {"code": _METHOD_NOT_FOUND, "message": MCP}
        return JSONResponse({"jsonrpc": "2.0", "id": body.get("id"), "error": error})

    @router.post("/sql/1.0/{path:path}")
    async def thrift() -> Response:
        answer = {"error_code": "NOT_IMPLEMENTED", "message": THRIFT, "details": []}
        # The connector shows this header, and tries no second time after a 501.
        return JSONResponse(answer, 501, {"x-thriftserver-error-message": THRIFT})

    app.include_router(router)
