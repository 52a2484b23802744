"""SQL warehouses as objects, by the unmodified SDK."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied
from databricks.sdk.service.sql import State

from tests.workspace.conftest import Caller


def test_a_warehouse_runs_is_edited_stopped_and_deleted(admin: Caller, name: str) -> None:
    created = admin.sdk.warehouses.create_and_wait(name=name, cluster_size="Small")
    assert (created.state, created.auto_stop_mins, created.creator_name) == (State.RUNNING, 120, "admin@local")
    warehouse_id = str(created.id)
    sources = admin.http.get("/api/2.0/preview/sql/data_sources").json()
    assert [source["name"] for source in sources if source["warehouse_id"] == warehouse_id] == [name]
    admin.sdk.warehouses.edit(warehouse_id, name=name, cluster_size="Medium")
    admin.sdk.warehouses.wait_get_warehouse_running(warehouse_id)
    assert admin.sdk.warehouses.get(warehouse_id).cluster_size == "Medium"
    admin.sdk.warehouses.stop_and_wait(warehouse_id)
    admin.sdk.warehouses.start_and_wait(warehouse_id)
    admin.sdk.warehouses.delete(warehouse_id)
    with pytest.raises(NotFound):
        admin.sdk.warehouses.get(warehouse_id)


def test_mistakes_are_told(admin: Caller, name: str) -> None:
    with pytest.raises(DatabricksError, match="cluster_size"):
        admin.sdk.warehouses.create(name=name, cluster_size="Enormous")
    admin.sdk.warehouses.create(name=name)
    with pytest.raises(DatabricksError, match="already exists"):
        admin.sdk.warehouses.create(name=name)


def test_others_neither_see_nor_change_it(admin: Caller, stranger: Caller, name: str) -> None:
    warehouse_id = str(admin.sdk.warehouses.create(name=name).id)
    assert warehouse_id not in [found.id for found in stranger.sdk.warehouses.list()]
    with pytest.raises(PermissionDenied):
        stranger.sdk.warehouses.get(warehouse_id)
    entry = {"service_principal_name": stranger.name, "permission_level": "CAN_USE"}
    admin.http.patch(f"/api/2.0/permissions/sql/warehouses/{warehouse_id}", json={"access_control_list": [entry]})
    assert stranger.sdk.warehouses.get(warehouse_id).name == name
    with pytest.raises(PermissionDenied):
        stranger.sdk.warehouses.delete(warehouse_id)
