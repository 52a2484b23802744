"""Object ACLs, by the unmodified SDK, on SQL warehouses and directories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from databricks.sdk.errors import InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel
from databricks.sdk.service.sql import WarehouseAccessControlRequest, WarehousePermissionLevel

from tests.workspace.conftest import Caller

TYPE = "sql/warehouses"


@pytest.fixture
def warehouse(admin: Caller, name: str) -> Iterator[str]:
    warehouse_id = admin.http.post("/api/2.0/sql/warehouses", json={"name": name}).json()["id"]
    yield warehouse_id
    admin.http.delete(f"/api/2.0/sql/warehouses/{warehouse_id}")


def entries(caller: Caller, warehouse: str) -> dict[str, list[tuple[str, bool]]]:
    """Principal → its levels, each with whether it is inherited."""
    answer = caller.http.get(f"/api/2.0/permissions/{TYPE}/{warehouse}").json()
    return {
        entry.get("user_name") or entry.get("group_name") or entry["service_principal_name"]: [
            (permission["permission_level"], permission["inherited"]) for permission in entry["all_permissions"]
        ]
        for entry in answer["access_control_list"]
    }


def give(principal: str, level: str) -> AccessControlRequest:
    return AccessControlRequest(service_principal_name=principal, permission_level=PermissionLevel(level))


def test_the_creator_owns_and_administrators_inherit(admin: Caller, warehouse: str) -> None:
    answer = admin.http.get(f"/api/2.0/permissions/{TYPE}/{warehouse}").json()
    assert answer["object_id"] == f"/sql/warehouses/{warehouse}"
    assert answer["object_type"] == "warehouses"
    assert entries(admin, warehouse) == {
        "admin@local": [("IS_OWNER", False)],
        "admins": [("CAN_MANAGE", True)],
    }


def test_patch_adds_and_put_replaces(admin: Caller, newcomer: Callable[[], Caller], warehouse: str) -> None:
    one, two = newcomer(), newcomer()
    admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(one.name, "CAN_USE")])
    admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(two.name, "CAN_MONITOR")])
    assert {one.name, two.name} <= set(entries(admin, warehouse))
    admin.sdk.permissions.set(TYPE, warehouse, access_control_list=[give(two.name, "CAN_USE")])
    # The owner stays when a replacement leaves him out; administrators are never left out.
    assert set(entries(admin, warehouse)) == {"admin@local", "admins", two.name}
    assert entries(admin, warehouse)[two.name] == [("CAN_USE", False)]


def test_entries_added_at_the_same_time_are_all_there(
    admin: Caller, newcomer: Callable[[], Caller], warehouse: str
) -> None:
    names = [newcomer().name for _ in range(8)]

    def add(name: str) -> None:
        body = {"access_control_list": [{"service_principal_name": name, "permission_level": "CAN_USE"}]}
        admin.http.patch(f"/api/2.0/permissions/{TYPE}/{warehouse}", json=body).raise_for_status()

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(add, names))
    assert set(names) <= set(entries(admin, warehouse))


def test_the_same_principal_twice_keeps_the_higher_level(admin: Caller, warehouse: str) -> None:
    # As the databricks provider sends it.
    body = {
        "access_control_list": [
            {"user_name": "admin@local", "permission_level": "CAN_MANAGE"},
            {"user_name": "admin@local", "permission_level": "IS_OWNER"},
        ]
    }
    answer = admin.http.put(f"/api/2.0/permissions/{TYPE}/{warehouse}", json=body)
    assert answer.status_code == 200
    assert entries(admin, warehouse)["admin@local"] == [("IS_OWNER", False)]


def test_a_new_owner_takes_over(admin: Caller, stranger: Caller, warehouse: str) -> None:
    admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "IS_OWNER")])
    assert entries(admin, warehouse)[stranger.name] == [("IS_OWNER", False)]
    assert entries(admin, warehouse)["admin@local"] == [("CAN_MANAGE", False)]


def test_a_service_principal_may_be_named_as_a_user(admin: Caller, stranger: Caller, warehouse: str) -> None:
    body = {"access_control_list": [{"user_name": stranger.name, "permission_level": "CAN_USE"}]}
    answer = admin.http.patch(f"/api/2.0/permissions/{TYPE}/{warehouse}", json=body).json()
    assert any(entry.get("service_principal_name") == stranger.name for entry in answer["access_control_list"])


def test_levels_are_those_of_the_type(admin: Caller, stranger: Caller, warehouse: str) -> None:
    with pytest.raises(InvalidParameterValue, match="CAN_USE"):
        admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "CAN_QUERY")])
    levels = admin.sdk.permissions.get_permission_levels(TYPE, warehouse).permission_levels or []
    assert [level.permission_level.value for level in levels if level.permission_level] == [
        *("CAN_VIEW", "CAN_USE", "CAN_MONITOR", "CAN_MANAGE", "IS_OWNER")
    ]


def test_principals_must_exist(admin: Caller, warehouse: str) -> None:
    for entry in ({"group_name": "nobodies"}, {"user_name": "nobody@example.com"}):
        body = {"access_control_list": [{**entry, "permission_level": "CAN_USE"}]}
        answer = admin.http.patch(f"/api/2.0/permissions/{TYPE}/{warehouse}", json=body)
        assert answer.status_code == 404, entry


def test_a_warehouses_own_client_sees_the_same_list(admin: Caller, stranger: Caller, warehouse: str) -> None:
    entry = WarehouseAccessControlRequest(
        service_principal_name=stranger.name, permission_level=WarehousePermissionLevel.CAN_USE
    )
    admin.sdk.warehouses.update_permissions(warehouse, access_control_list=[entry])
    assert (
        admin.sdk.warehouses.get_permissions(warehouse).as_dict()
        == admin.http.get(f"/api/2.0/permissions/sql/warehouses/{warehouse}").json()
    )
    assert {"CAN_USE", "CAN_MANAGE"} <= {
        level.permission_level.value
        for level in admin.sdk.warehouses.get_permission_levels(warehouse).permission_levels or ()
        if level.permission_level
    }


def test_a_type_that_is_not_here_is_501_with_its_route(admin: Caller) -> None:
    answer = admin.http.get("/api/2.0/permissions/clusters/1")
    assert answer.status_code == 501
    assert "/api/2.0/permissions/clusters/1" in answer.json()["message"]


def test_what_is_not_there_is_404(admin: Caller) -> None:
    with pytest.raises(NotFound):
        admin.sdk.permissions.get(TYPE, "0123456789abcdef")


def test_an_endpoint_is_known_by_its_id_not_by_its_name(admin: Caller) -> None:
    with pytest.raises(InvalidParameterValue, match="not a valid Inference Endpoint ID"):
        admin.sdk.permissions.get("serving-endpoints", "my-endpoint")


def test_an_unknown_type_is_refused(admin: Caller) -> None:
    answer = admin.http.get("/api/2.0/permissions/spaceships/1")
    assert answer.status_code == 400
    assert "not a supported object type" in answer.json()["message"]


def test_only_managers_change_an_acl_and_only_the_allowed_see_it(
    admin: Caller, stranger: Caller, warehouse: str
) -> None:
    with pytest.raises(PermissionDenied):
        stranger.sdk.permissions.get(TYPE, warehouse)
    admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "CAN_USE")])
    assert stranger.name in entries(stranger, warehouse)
    with pytest.raises(PermissionDenied, match="CAN_MANAGE"):
        stranger.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "CAN_MANAGE")])
    admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "CAN_MANAGE")])
    stranger.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "CAN_MANAGE")])


def test_a_deleted_principal_leaves_the_acls(admin: Caller, stranger: Caller, warehouse: str) -> None:
    admin.sdk.permissions.update(TYPE, warehouse, access_control_list=[give(stranger.name, "CAN_USE")])
    admin.sdk.service_principals.delete(stranger.id)
    assert stranger.name not in entries(admin, warehouse)
