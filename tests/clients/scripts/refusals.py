"""Managed MCP and the SQL connector are refused at once, and say to their user what to do instead."""

import json
import os
import time

from databricks import sql
from databricks.sdk import WorkspaceClient
from databricks_mcp import DatabricksMCPClient

workspace, host = WorkspaceClient(), os.environ["DATABRICKS_HOST"]
started, told = time.monotonic(), ""
try:
    DatabricksMCPClient(f"{host}/api/2.0/mcp/functions/main/default", workspace).list_tools()
except Exception as error:  # noqa: BLE001 - a group of its event loop
    told = repr(error)
assert "no managed MCP servers" in told, told
assert time.monotonic() - started < 20, "the client waited"

started, refused, path = time.monotonic(), "", f"/sql/1.0/warehouses/{os.environ['WAREHOUSE_ID']}"
try:
    sql.connect("127.0.0.1", path, access_token=os.environ["DATABRICKS_TOKEN"], _connection_uri=host + path)
except sql.exc.RequestError as error:
    refused = str(error)
# Older connectors show the number alone.
assert "does not speak Thrift" in refused or "code 501" in refused, refused
assert time.monotonic() - started < 20, "the client waited"
print(json.dumps({"mcp": told, "sql": refused}))
