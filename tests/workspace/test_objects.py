"""Apps, database instances and model services as objects with permissions, by the unmodified SDK."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied
from databricks.sdk.service.apps import App
from databricks.sdk.service.catalog import ModelService
from databricks.sdk.service.database import DatabaseInstance

from tests.workspace.conftest import Caller


def share(admin: Caller, path: str, stranger: Caller) -> None:
    """CAN_USE for the stranger."""
    entry = {"service_principal_name": stranger.name, "permission_level": "CAN_USE"}
    body = {"access_control_list": [entry]}
    admin.http.patch(f"/api/2.0/permissions/{path}", json=body).raise_for_status()


def test_apps(admin: Caller, stranger: Caller, name: str) -> None:
    made: App = admin.sdk.apps.create(App(name=name, description="asks the agent"), no_compute=True).response
    assert (made.name, made.description, made.creator) == (name, "asks the agent", admin.name)
    with pytest.raises(DatabricksError, match="already exists"):
        admin.sdk.apps.create(App(name=name))
    with pytest.raises(DatabricksError, match="Invalid name"):
        admin.sdk.apps.create(App(name="not a name"))
    assert name not in [app.name for app in stranger.sdk.apps.list()]
    with pytest.raises(PermissionDenied):
        stranger.sdk.apps.get(name)
    share(admin, f"apps/{name}", stranger)
    assert stranger.sdk.apps.get(name).name == name
    assert name in [app.name for app in stranger.sdk.apps.list()]
    with pytest.raises(PermissionDenied):
        stranger.sdk.apps.delete(name)
    admin.sdk.apps.delete(name)
    with pytest.raises(NotFound):
        admin.sdk.apps.get(name)


def test_database_instances(admin: Caller, stranger: Caller, name: str) -> None:
    wanted = DatabaseInstance(name=name, capacity="CU_1")
    made: DatabaseInstance = admin.sdk.database.create_database_instance(wanted).response
    assert (made.name, made.capacity, made.creator) == (name, "CU_1", admin.name)
    with pytest.raises(PermissionDenied):
        stranger.sdk.database.get_database_instance(name)
    share(admin, f"database-instances/{name}", stranger)
    assert stranger.sdk.database.get_database_instance(name).uid == made.uid
    assert name in [found.name for found in admin.sdk.database.list_database_instances()]
    with pytest.raises(PermissionDenied):
        stranger.sdk.database.delete_database_instance(name)
    admin.sdk.database.delete_database_instance(name)
    with pytest.raises(NotFound):
        admin.sdk.database.get_database_instance(name)


def test_model_services(admin: Caller, stranger: Caller, schema: str) -> None:
    full_name = f"{schema}.chat"
    made = admin.sdk.ai_gateway.create_model_service(ModelService(comment="governed"), f"schemas/{schema}", "chat")
    assert (made.name, made.effective_owner) == (f"model-services/{full_name}", admin.name)
    with pytest.raises(PermissionDenied):
        stranger.sdk.ai_gateway.create_model_service(ModelService(), f"schemas/{schema}", "mine")
    with pytest.raises(PermissionDenied):
        stranger.sdk.ai_gateway.get_model_service(str(made.name))
    for kind, securable, privilege in (
        ("catalog", "main", "USE_CATALOG"),
        ("schema", schema, "USE_SCHEMA"),
        ("model_service", full_name, "EXECUTE"),
    ):
        change = {"changes": [{"principal": stranger.name, "add": [privilege]}]}
        admin.http.patch(f"/api/2.1/unity-catalog/permissions/{kind}/{securable}", json=change).raise_for_status()
    assert stranger.sdk.ai_gateway.get_model_service(str(made.name)).comment == "governed"
    with pytest.raises(PermissionDenied):
        stranger.sdk.ai_gateway.delete_model_service(str(made.name))
    wrong = {"changes": [{"principal": stranger.name, "add": ["SELECT"]}]}
    refused = admin.http.patch(f"/api/2.1/unity-catalog/permissions/model_service/{full_name}", json=wrong)
    assert "not applicable" in refused.json()["message"]
    admin.sdk.ai_gateway.delete_model_service(str(made.name))
    with pytest.raises(NotFound):
        admin.sdk.ai_gateway.get_model_service(str(made.name))


def test_a_connection_is_sent_through_by_nobody_but_refused_only_to_those_who_may_not(
    admin: Caller, stranger: Caller, name: str
) -> None:
    catalog = "/api/2.1/unity-catalog"
    options = {"host": "h", "port": "1", "user": "u", "password": "p"}
    made = {"name": name, "connection_type": "HTTP", "options": options}
    admin.http.post(f"{catalog}/connections", json=made).raise_for_status()
    asked = {"connection_name": name, "method": "GET", "path": "/"}
    refused = stranger.http.post("/api/2.0/external-function", json=asked)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    change = {"changes": [{"principal": stranger.name, "add": ["USE_CONNECTION"]}]}
    admin.http.patch(f"{catalog}/permissions/connection/{name}", json=change).raise_for_status()
    allowed = stranger.http.post("/api/2.0/external-function", json=asked)
    assert allowed.status_code == 501
    assert f"may use connection '{name}'" in allowed.json()["message"]
    admin.http.delete(f"{catalog}/connections/{name}").raise_for_status()
