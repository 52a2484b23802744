"""Verification against the local workspace: each row of the permission table without and with its privilege.

Set up by unmodified clients; asked by a service principal that may do nothing yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.client.configuration import Settings
from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.local import LocalWorkspace
from agent_deploy.provider.access.object_permission import ObjectPermission
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.get_declared_resources import declared_resources, unreadable
from agent_deploy.rules.declared_resources import Declared
from agent_deploy.rules.resource_kinds import Resource
from tests.provider.checked import checked
from tests.workspace.conftest import Caller

UC = "/api/2.1/unity-catalog"
COLUMNS = [{"name": "x", "type_name": "INT", "type_text": "int", "type_json": '"int"', "position": 0}]


def context_of(host: str, token: str) -> Context:
    """What the plugin has; a new one for each look, so that nothing is remembered."""
    return Context(configuration=Workspace(Settings(host=host, method="pat", token=token)))


class Deployer:
    """A service principal that asks for permissions, and the administrator who gives them."""

    def __init__(self, host: str, admin: Caller, caller: Caller) -> None:
        self.admin, self.name = admin, caller.name
        self._host = host
        self._token = str(caller.http.headers["Authorization"]).removeprefix("Bearer ")

    def check(self, *resources: dict[str, Any], **requirements: Any) -> dict[str, Any]:
        context = context_of(self._host, self._token)
        return checked(context, resources, requirements)

    def lacking(self, *resources: dict[str, Any], **requirements: Any) -> list[tuple[str, str]]:
        result = self.check(*resources, **requirements)
        assert result["problem"] == ""
        assert result["unverified"] == []
        return [(failure["kind"], failure["privilege"]) for failure in result["failures"]]

    def grant(self, kind: str, name: str, privilege: str, to: str | None = None) -> None:
        change = {"principal": to or self.name, "add": [privilege]}
        body = {"changes": [change]}
        self.admin.http.patch(f"{UC}/permissions/{kind}/{name}", json=body).raise_for_status()

    def give(self, path: str, level: str, **to: str) -> None:
        entry = {**(to or {"service_principal_name": self.name}), "permission_level": level}
        body = {"access_control_list": [entry]}
        self.admin.http.patch(f"/api/2.0/permissions/{path}", json=body).raise_for_status()


@pytest.fixture
def deployer(local_workspace: LocalWorkspace, admin: Caller, stranger: Caller) -> Deployer:
    return Deployer(local_workspace.host, admin, stranger)


def make(caller: Caller, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST; it has to succeed."""
    return dict(caller.http.post(path, json=body).raise_for_status().json())


def securable(admin: Caller, kind: str, schema: str, name: str) -> str:
    """Makes one; returns its full name."""
    catalog, schema_name = schema.split(".")
    place = {"catalog_name": catalog, "schema_name": schema_name, "name": "x"}
    if kind == "table":
        more = {"columns": COLUMNS, "table_type": "MANAGED", "data_source_format": "DELTA"}
        make(admin, f"{UC}/tables", {**place, **more})
    elif kind == "function":
        routine = {"data_type": "INT", "full_data_type": "INT", "routine_definition": "1", "input_params": {}}
        make(admin, f"{UC}/functions", {"function_info": {**place, **routine}})
    elif kind == "uc_model_service":
        make(admin, f"{UC}/model-services?parent=schemas/{schema}&model_service_id=x", {"comment": "for agents"})
    elif kind == "volume":
        make(admin, f"{UC}/volumes", {**place, "volume_type": "MANAGED"})
    elif kind == "vector_search_index":
        make(admin, "/api/2.0/vector-search/endpoints", {"name": name, "endpoint_type": "STANDARD"})
        spec = {
            "embedding_vector_columns": [{"name": "v", "embedding_dimension": 2}],
            "schema_json": '{"id": "int", "v": "array<float>"}',
        }
        index = {"name": f"{schema}.x", "endpoint_name": name, "primary_key": "id", "index_type": "DIRECT_ACCESS"}
        make(admin, "/api/2.0/vector-search/indexes", {**index, "direct_access_index_spec": spec})
    return f"{schema}.x"


PRIVILEGES = {
    "table": ("table", "SELECT"),
    "function": ("function", "EXECUTE"),
    "vector_search_index": ("table", "SELECT"),
    "uc_model_service": ("model_service", "EXECUTE"),
    "volume": ("volume", "READ_VOLUME"),
}


@pytest.mark.parametrize("kind", sorted(PRIVILEGES))
def test_unity_catalog_resources(admin: Caller, deployer: Deployer, schema: str, name: str, kind: str) -> None:
    full_name = securable(admin, kind, schema, name)
    resource, (type_, privilege) = {"kind": kind, "name": full_name}, PRIVILEGES[kind]
    assert deployer.lacking(resource) == [
        ("catalog", "USE CATALOG"),
        ("schema", "USE SCHEMA"),
        (kind, privilege.replace("_", " ")),
    ]
    deployer.grant(type_, full_name, privilege)
    assert deployer.lacking(resource)[:2] == [("catalog", "USE CATALOG"), ("schema", "USE SCHEMA")]
    deployer.grant("catalog", "main", "USE_CATALOG")
    assert deployer.lacking(resource)[:1] == [("schema", "USE SCHEMA")]
    deployer.grant("schema", schema, "USE_SCHEMA")
    assert deployer.lacking(resource) == []


def test_a_volume_that_is_written_takes_both_privileges(
    admin: Caller, deployer: Deployer, schema: str, name: str
) -> None:
    full_name = securable(admin, "volume", schema, name)
    resource = {"kind": "volume", "name": full_name, "writes": True}
    deployer.grant("catalog", "main", "USE_CATALOG")
    deployer.grant("schema", schema, "USE_SCHEMA")
    assert deployer.lacking(resource) == [("volume", "READ VOLUME"), ("volume", "WRITE VOLUME")]
    deployer.grant("volume", full_name, "READ_VOLUME")
    assert deployer.lacking(resource) == [("volume", "WRITE VOLUME")]
    deployer.grant("volume", full_name, "WRITE_VOLUME")
    assert deployer.lacking(resource) == []


@pytest.mark.parametrize("level", ["catalog", "schema"])
@pytest.mark.parametrize("privilege", ["SELECT", "ALL_PRIVILEGES"])
def test_privileges_are_inherited(
    admin: Caller, deployer: Deployer, schema: str, name: str, level: str, privilege: str
) -> None:
    resource = {"kind": "table", "name": securable(admin, "table", schema, name)}
    deployer.grant("catalog", "main", "USE_CATALOG")
    deployer.grant("schema", schema, "USE_SCHEMA")
    assert deployer.lacking(resource) == [("table", "SELECT")]
    above = "main" if level == "catalog" else schema
    try:
        deployer.grant(level, above, privilege)
        assert deployer.lacking(resource) == []
    finally:
        change = {"changes": [{"principal": deployer.name, "remove": [privilege]}]}
        admin.http.patch(f"{UC}/permissions/{level}/{above}", json=change).raise_for_status()


def test_an_owner_needs_no_grant_and_a_group_counts(admin: Caller, deployer: Deployer, schema: str, name: str) -> None:
    full_name = securable(admin, "table", schema, name)
    resource = {"kind": "table", "name": full_name}
    member = admin.http.get(
        "/api/2.0/preview/scim/v2/ServicePrincipals", params={"filter": f'applicationId eq "{deployer.name}"'}
    )
    body = {"displayName": name, "members": [{"value": member.json()["Resources"][0]["id"]}]}
    group = admin.http.post("/api/2.0/preview/scim/v2/Groups", json=body).raise_for_status().json()
    around = {"displayName": f"{name}-all", "members": [{"value": group["id"]}]}
    outer = admin.http.post("/api/2.0/preview/scim/v2/Groups", json=around).raise_for_status().json()
    deployer.grant("catalog", "main", "USE_CATALOG", to=name)
    deployer.grant("schema", schema, "USE_SCHEMA", to=f"{name}-all")
    assert deployer.lacking(resource) == [("table", "SELECT")]
    admin.http.patch(f"{UC}/tables/{full_name}", json={"owner": deployer.name}).raise_for_status()
    assert deployer.lacking(resource) == []
    for made in (outer, group):
        admin.http.delete(f"/api/2.0/preview/scim/v2/Groups/{made['id']}")


def test_connections(admin: Caller, deployer: Deployer, name: str) -> None:
    options = {"host": "h", "port": "1", "user": "u", "password": "p"}
    make(admin, f"{UC}/connections", {"name": name, "connection_type": "POSTGRESQL", "options": options})
    resource = {"kind": "uc_connection", "name": name}
    assert deployer.lacking(resource) == [("uc_connection", "USE CONNECTION")]
    deployer.grant("connection", name, "USE_CONNECTION")
    assert deployer.lacking(resource) == []
    admin.http.delete(f"{UC}/connections/{name}")


# Kind → the permissions API's path, and where one is made; both know it by its name.
NAMED = {
    "app": ("apps", "/api/2.0/apps"),
    "lakebase": ("database-instances", "/api/2.0/database/instances"),
}


def workspace_object(admin: Caller, kind: str, name: str) -> tuple[str, str]:
    """Makes one; returns the declared name and the path in the permissions API."""
    if kind == "sql_warehouse":
        warehouse = make(admin, "/api/2.0/sql/warehouses", {"name": name})["id"]
        return warehouse, f"sql/warehouses/{warehouse}"
    if kind == "serving_endpoint":
        return name, "serving-endpoints/" + make(admin, "/api/2.0/serving-endpoints", {"name": name})["id"]
    if kind in NAMED:
        type_, path = NAMED[kind]
        make(admin, path, {"name": name})
        return name, f"{type_}/{name}"
    warehouse = make(admin, "/api/2.0/sql/warehouses", {"name": name})["id"]
    space = {"title": name, "warehouse_id": warehouse, "serialized_space": '{"version": 1}'}
    space_id = make(admin, "/api/2.0/genie/spaces", space)["space_id"]
    return space_id, f"genie/{space_id}"


LEVELS = {
    "sql_warehouse": ("CAN_VIEW", "CAN_USE"),
    "serving_endpoint": ("CAN_VIEW", "CAN_QUERY"),
    "genie_space": ("CAN_READ", "CAN_RUN"),
}


@pytest.mark.parametrize("kind", sorted(LEVELS))
def test_workspace_objects(admin: Caller, deployer: Deployer, name: str, kind: str) -> None:
    declared, path = workspace_object(admin, kind, name)
    resource, (too_little, enough) = {"kind": kind, "name": declared}, LEVELS[kind]
    assert deployer.lacking(resource) == [(kind, enough)]
    deployer.give(path, too_little)
    assert deployer.lacking(resource) == [(kind, enough)]
    deployer.give(path, enough)
    assert deployer.lacking(resource) == []
    assert deployer.lacking(resource, grant=True) == [(kind, "CAN_MANAGE")]


@pytest.mark.parametrize("kind", sorted(NAMED))
def test_apps_and_database_instances(admin: Caller, deployer: Deployer, name: str, kind: str) -> None:
    declared, path = workspace_object(admin, kind, name)
    resource = {"kind": kind, "name": declared}
    assert deployer.lacking(resource) == [(kind, "CAN_USE")]
    deployer.give(path, "CAN_USE")
    found = deployer.check(resource)
    assert found["failures"] == []
    # What only the database itself knows is told, not passed over.
    assert [each["reason"][:31] for each in found["unverified"]] == ["membership in databricks_superu"] * (
        kind == "lakebase"
    )
    [missing] = deployer.check({"kind": kind, "name": f"{name}-none"})["failures"]
    assert missing["reason"] == "it does not exist"


def test_the_owner_of_a_model_service_needs_no_grant(
    local_workspace: LocalWorkspace, admin: Caller, deployer: Deployer, stranger: Caller, schema: str
) -> None:
    for kind, place, privilege in (
        ("catalog", "main", "USE_CATALOG"),
        ("schema", schema, "USE_SCHEMA"),
        ("schema", schema, "CREATE_SERVICE"),
    ):
        deployer.grant(kind, place, privilege)
    securable(stranger, "uc_model_service", schema, "x")
    assert deployer.lacking({"kind": "uc_model_service", "name": f"{schema}.x"}, grant=False) == []


@pytest.mark.parametrize("kind", sorted(LEVELS))
def test_levels_by_group(admin: Caller, deployer: Deployer, name: str, kind: str) -> None:
    declared, path = workspace_object(admin, kind, name)
    deployer.give(path, LEVELS[kind][1], group_name="users")
    assert deployer.lacking({"kind": kind, "name": declared}) == []


def test_what_does_not_exist_is_told(deployer: Deployer, schema: str) -> None:
    deployer.grant("catalog", "main", "USE_CATALOG")
    deployer.grant("schema", schema, "USE_SCHEMA")
    missing = [{"kind": "table", "name": f"{schema}.none"}, {"kind": "serving_endpoint", "name": "none"}]
    failures = deployer.check(*missing)["failures"]
    assert [failure["reason"] for failure in failures] == ["it does not exist", "it does not exist"]


def test_what_a_deployment_takes(admin: Caller, deployer: Deployer, schema: str, name: str) -> None:
    make(admin, "/api/2.0/mlflow/unity-catalog/registered-models/create", {"name": f"{schema}.agent"})
    make(admin, "/api/2.0/secrets/scopes/create", {"scope": name})
    make(admin, "/api/2.0/serving-endpoints", {"name": name})
    wanted = {
        "modelName": f"{schema}.agent",
        "inferenceSchema": schema,
        "endpointName": name,
        "secretScopes": [name],
        "createServicePrincipal": True,
    }
    assert deployer.lacking(**wanted) == [
        ("catalog", "USE CATALOG"),
        ("schema", "USE SCHEMA"),
        ("model", "EXECUTE"),
        ("schema", "CREATE TABLE"),
        ("serving_endpoint", "CAN_MANAGE"),
        ("secret_scope", "MANAGE"),
        ("workspace", "workspace admin"),
    ]
    deployer.grant("catalog", "main", "USE_CATALOG")
    deployer.grant("schema", schema, "USE_SCHEMA")
    deployer.grant("function", f"{schema}.agent", "EXECUTE")
    deployer.grant("schema", schema, "CREATE_TABLE")
    admin.http.post(
        "/api/2.0/secrets/acls/put", json={"scope": name, "principal": deployer.name, "permission": "MANAGE"}
    ).raise_for_status()
    wanted = {**wanted, "endpointName": f"{name}-new", "createServicePrincipal": False}
    assert deployer.lacking(**wanted) == []


def test_the_administrator_may_deploy_and_be_asked_about_others(
    local_workspace: LocalWorkspace, admin: Caller, deployer: Deployer, name: str
) -> None:
    declared, _ = workspace_object(admin, "sql_warehouse", name)
    resources = [{"kind": "sql_warehouse", "name": declared}]
    context = context_of(local_workspace.host, local_workspace.token)
    wanted = {"createServicePrincipal": True, "grant": True}
    assert checked(context, resources, wanted)["failures"] == []
    about = checked(context, resources, principal=deployer.name)
    assert [(failure["privilege"], failure["principal"]) for failure in about["failures"]] == [
        ("CAN_USE", deployer.name)
    ]
    nobody = checked(context, resources, principal="nobody@example.com")
    assert "nobody@example.com" in nobody["problem"]


def test_remedies_mend(admin: Caller, deployer: Deployer, name: str) -> None:
    declared, path = workspace_object(admin, "sql_warehouse", name)
    resource = {"kind": "sql_warehouse", "name": declared}
    [failure] = deployer.check(resource)["failures"]
    method, url, body = failure["remedy"].split("permission: ")[1].split(" ", 2)
    assert admin.http.request(method, url, json=json.loads(body)).status_code == 200
    assert url.endswith(path)
    assert deployer.lacking(resource) == []


@pytest.fixture
def agent(admin: Caller, schema: str, mlflow_client: Any, tmp_path: Path, deployer: Deployer) -> str:
    """A model version that declares a table and an app, logged by MLflow."""
    import mlflow
    from mlflow.models.resources import DatabricksTable

    code = tmp_path / "agent.py"
    code.write_text(
        "import mlflow\n"
        "from mlflow.pyfunc import PythonModel\n"
        "class Agent(PythonModel):\n"
        "    def predict(self, model_input: list[str]) -> list[str]:\n"
        "        return model_input\n"
        "mlflow.models.set_model(Agent())\n"
    )
    securable(admin, "table", schema, "x")
    mlflow.set_experiment("/Shared/verification")
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="agent",
            python_model=str(code),
            registered_model_name=f"{schema}.agent",
            resources=[DatabricksTable(f"{schema}.x")],
            pip_requirements=["mlflow"],
        )
    return f"{schema}.agent"


def test_what_mlflow_logged_is_read(local_workspace: LocalWorkspace, deployer: Deployer, agent: str) -> None:
    admin = context_of(local_workspace.host, local_workspace.token).configuration
    table = agent.replace(".agent", ".x")
    assert declared_resources(admin, agent, "1") == (Declared((Resource("table", table),)), [])
    for workspace, version, told in (
        (admin, "7", "has no MLmodel file"),
        (context_of(local_workspace.host, deployer._token).configuration, "1", "may not be read"),
    ):
        with pytest.raises(ApiError) as refused:
            declared_resources(workspace, agent, version)
        assert told in unreadable(agent, version, refused.value)


def test_the_command_tells_people_and_ci(
    local_workspace: LocalWorkspace, deployer: Deployer, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in local_workspace.env().items():
        monkeypatch.setenv(variable, value)
    runner = CliRunner()
    passed = runner.invoke(app, ["check", agent, "1"])
    assert passed.exit_code == 0, passed.output
    assert "may deploy it" in passed.output
    failed = runner.invoke(app, ["check", agent, "1", "--principal", deployer.name, "--json"])
    assert failed.exit_code == 1
    result = json.loads(failed.output)
    assert result["principal"] == deployer.name
    assert ("table", "SELECT") in [(failure["kind"], failure["privilege"]) for failure in result["failures"]]
    shown = runner.invoke(app, ["check", agent, "1", "--principal", deployer.name])
    assert f"TO `{deployer.name}`" in shown.output
    unknown = runner.invoke(app, ["check", agent, "9"])
    assert unknown.exit_code == 1
    assert "has no version 9" in unknown.stderr
    assert unknown.stdout == ""


def test_the_command_judges_the_endpoint_that_is_there(
    local_workspace: LocalWorkspace, agent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable, value in local_workspace.env().items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "policies.json").write_text("{}")
    command = ["check", agent, "1", "--json", "--policies", str(tmp_path / "policies.json"), "--endpoint", "judged"]
    runner = CliRunner()
    none = runner.invoke(app, command)
    assert (none.exit_code, json.loads(none.output)["findings"]) == (0, [])
    workspace = Workspace(Settings(host=local_workspace.host, method="pat", token=local_workspace.token))
    workspace.post("/api/2.0/serving-endpoints", {"name": "judged", "config": {"served_entities": []}})
    endpoint = workspace.get("/api/2.0/serving-endpoints/judged")
    everybody = {"access_control_list": [{"group_name": "users", "permission_level": "CAN_QUERY"}]}
    workspace.patch(f"/api/2.0/permissions/serving-endpoints/{endpoint['id']}", everybody)
    judged = runner.invoke(app, command)
    found = {each["id"] for each in json.loads(judged.output)["findings"]}
    assert (judged.exit_code, {"AGD002", "AGD012", "AGD013"} <= found) == (5, True), judged.output
    (tmp_path / "policies.json").write_text('{"AGD999": "advisory"}')
    assert "policies 'AGD999'" in runner.invoke(app, command).stderr
    workspace.delete("/api/2.0/serving-endpoints/judged")


def test_an_object_permission_on_a_real_list(
    local_workspace: LocalWorkspace, admin: Caller, newcomer: Callable[[], Caller], name: str
) -> None:
    _, path = workspace_object(admin, "serving_endpoint", name)
    one, two = newcomer(), newcomer()
    context, resource = context_of(local_workspace.host, local_workspace.token), ObjectPermission()

    def inputs(caller: Caller, level: str) -> dict[str, Any]:
        place = {"objectType": "serving-endpoints", "objectName": name}
        return {**place, "principalKind": "service_principal", "principal": caller.name, "level": level}

    def levels() -> dict[str, str]:
        answer: httpx.Response = admin.http.get(f"/api/2.0/permissions/{path}")
        entries = answer.raise_for_status().json()["access_control_list"]
        return {
            entry["service_principal_name"]: entry["all_permissions"][0]["permission_level"]
            for entry in entries
            if "service_principal_name" in entry
        }

    first = resource.create(context, inputs(one, "CAN_QUERY"))
    second = resource.create(context, inputs(two, "CAN_VIEW"))
    assert levels() == {one.name: "CAN_QUERY", two.name: "CAN_VIEW"}
    resource.update(context, second.id, inputs(two, "CAN_VIEW"), second.properties, inputs(two, "CAN_MANAGE"))
    resource.update(context, first.id, inputs(one, "CAN_QUERY"), first.properties, inputs(one, "CAN_VIEW"))
    assert levels() == {one.name: "CAN_VIEW", two.name: "CAN_MANAGE"}
    resource.delete(context, first.id, inputs(one, "CAN_VIEW"), first.properties)
    assert levels() == {two.name: "CAN_MANAGE"}
    assert resource.read(context, first.id, inputs(one, "CAN_VIEW"), first.properties) is None
    resource.delete(context, second.id, inputs(two, "CAN_MANAGE"), second.properties)
    assert levels() == {}


def test_what_everybody_has_is_neither_missing_nor_to_be_granted(admin: Caller, deployer: Deployer, name: str) -> None:
    foundation = {"kind": "serving_endpoint", "name": "databricks-claude-sonnet-4"}
    everybodys = {"kind": "function", "name": "system.ai.python_exec"}
    for grant in (False, True):
        assert deployer.lacking(foundation, everybodys, grant=grant) == []
    # As the platform does: without an id, there is no access control list to look for.
    assert "id" not in admin.http.get("/api/2.0/serving-endpoints/databricks-claude-sonnet-4").json()
    sibling = {"kind": "serving_endpoint", "name": workspace_object(admin, "serving_endpoint", name)[0]}
    assert deployer.lacking(foundation, sibling) == [("serving_endpoint", "CAN_QUERY")]
    unknown = {"kind": "serving_endpoint", "name": "databricks-none"}
    assert [failure["reason"] for failure in deployer.check(unknown)["failures"]] == ["it does not exist"]
