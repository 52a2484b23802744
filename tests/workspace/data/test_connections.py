"""Requests through a connection of Unity Catalog: USE CONNECTION is needed, and then none is sent."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied
from databricks.sdk.service.catalog import ConnectionType
from databricks.sdk.service.serving import ExternalFunctionRequestHttpMethod

from tests.workspace.conftest import Caller

GET = ExternalFunctionRequestHttpMethod.GET


def test_use_connection_on_this_connection(agent: Caller, admin: Caller, name: str) -> None:
    names = (name, f"{name}_sibling")
    options = {"host": "http://127.0.0.1", "port": "9", "bearer_token": "hidden"}
    for connection in names:
        admin.sdk.connections.create(name=connection, connection_type=ConnectionType.HTTP, options=options)
    with pytest.raises(PermissionDenied, match="USE CONNECTION"):
        agent.sdk.serving_endpoints.http_request(names[0], GET, "/")
    granted = {"changes": [{"principal": agent.name, "add": ["USE_CONNECTION"]}]}
    admin.http.patch(f"/api/2.1/unity-catalog/permissions/connection/{names[0]}", json=granted).raise_for_status()
    with pytest.raises(DatabricksError, match="sends nothing") as told:
        agent.sdk.serving_endpoints.http_request(names[0], GET, "/")
    assert not isinstance(told.value, PermissionDenied)
    with pytest.raises(PermissionDenied):
        agent.sdk.serving_endpoints.http_request(names[1], GET, "/")
    with pytest.raises(NotFound):
        agent.sdk.serving_endpoints.http_request(f"{name}_none", GET, "/")
    for connection in names:
        admin.sdk.connections.delete(connection)
