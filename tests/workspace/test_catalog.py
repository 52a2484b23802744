"""Unity Catalog by the unmodified SDK: securables, names, grants, inheritance, ownership."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.catalog import ConnectionType, PermissionsChange, Privilege, SecurableType, VolumeType

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller


def grant(admin: Caller, kind: str, full_name: str, principal: str, *privileges: str) -> None:
    changes = [PermissionsChange(principal=principal, add=[Privilege(privilege) for privilege in privileges])]
    admin.sdk.grants.update(kind, full_name, changes=changes)


def table(admin: Caller, schema: str, name: str = "t") -> str:
    catalog, _, schema_name = schema.partition(".")
    body = {"catalog_name": catalog, "schema_name": schema_name, "name": name, "columns": [{"name": "id"}]}
    admin.http.post("/api/2.1/unity-catalog/tables", json=body).raise_for_status()
    return f"{schema}.{name}"


def model(admin: Caller, schema: str, name: str = "qa") -> str:
    catalog, _, schema_name = schema.partition(".")
    created = admin.sdk.registered_models.create(catalog_name=catalog, schema_name=schema_name, name=name)
    return str(created.full_name)


class TestSecurables:
    def test_a_fresh_workspace_has_main_with_default(self, admin: Caller) -> None:
        assert "main" in [catalog.name for catalog in admin.sdk.catalogs.list()]
        assert admin.sdk.schemas.get("main.default").owner == "admins"
        assignment = admin.sdk.metastores.current()
        assert assignment.default_catalog_name == "main"
        assert assignment.metastore_id == admin.sdk.catalogs.get("main").metastore_id

    def test_a_new_catalog_has_a_default_schema(self, admin: Caller, name: str) -> None:
        created = admin.sdk.catalogs.create(name=name, comment="for a test")
        assert (created.owner, created.comment, created.full_name) == ("admin@local", "for a test", name)
        assert [schema.full_name for schema in admin.sdk.schemas.list(name)] == [f"{name}.default"]
        admin.sdk.schemas.delete(f"{name}.default")
        admin.sdk.catalogs.delete(name)
        with pytest.raises(NotFound):
            admin.sdk.catalogs.get(name)

    def test_names_have_no_case(self, admin: Caller, schema: str) -> None:
        assert admin.sdk.schemas.get(schema.upper()).full_name == schema
        with pytest.raises(DatabricksError, match="already exists"):
            admin.sdk.schemas.create(name=schema.partition(".")[2].upper(), catalog_name="MAIN")

    @pytest.mark.parametrize("bad", ["a.b", "a b", "a/b", "x" * 256])
    def test_bad_names_are_refused(self, admin: Caller, bad: str) -> None:
        with pytest.raises(InvalidParameterValue, match="Invalid name"):
            admin.sdk.catalogs.create(name=bad)

    def test_a_parent_must_exist(self, admin: Caller, name: str) -> None:
        with pytest.raises(NotFound, match=name):
            admin.sdk.schemas.create(name="s", catalog_name=name)

    def test_what_is_not_empty_goes_only_by_force(self, admin: Caller, name: str) -> None:
        admin.sdk.catalogs.create(name=name)
        model(admin, f"{name}.default")
        table(admin, f"{name}.default")
        with pytest.raises(DatabricksError, match="not empty"):
            admin.sdk.schemas.delete(f"{name}.default")
        with pytest.raises(DatabricksError, match="not empty"):
            admin.sdk.catalogs.delete(name)
        admin.sdk.catalogs.delete(name, force=True)
        assert admin.http.get(f"/api/2.1/unity-catalog/models/{name}.default.qa").status_code == 404

    def test_tables_are_found_listed_and_deleted(self, admin: Caller, schema: str) -> None:
        full_name = table(admin, schema)
        assert admin.sdk.tables.exists(full_name).table_exists
        assert not admin.sdk.tables.exists(f"{schema}.other").table_exists
        listed = admin.http.get(
            "/api/2.1/unity-catalog/tables",
            params={"catalog_name": "main", "schema_name": schema.partition(".")[2], "max_results": 0},
        ).json()
        assert [found["full_name"] for found in listed["tables"]] == [full_name]
        assert listed["tables"][0]["data_source_format"] == "DELTA"
        admin.sdk.tables.delete(full_name)
        assert not admin.sdk.tables.exists(full_name).table_exists

    def test_lists_come_in_pages(self, admin: Caller, schema: str) -> None:
        for number in range(5):
            table(admin, schema, f"t{number}")
        found = admin.sdk.tables.list("main", schema.partition(".")[2], max_results=2)
        assert [item.name for item in found] == ["t0", "t1", "t2", "t3", "t4"]

    def test_volumes_functions_and_connections(self, admin: Caller, schema: str, name: str) -> None:
        schema_name = schema.partition(".")[2]
        volume = admin.sdk.volumes.create("main", schema_name, "docs", VolumeType.MANAGED)
        assert admin.sdk.volumes.read(str(volume.full_name)).volume_type == VolumeType.MANAGED
        function = {"catalog_name": "main", "schema_name": schema_name, "name": "f", "routine_definition": "x + 1"}
        answer = admin.http.post("/api/2.1/unity-catalog/functions", json={"function_info": function})
        assert answer.json()["full_name"] == f"{schema}.f"
        assert admin.sdk.functions.get(f"{schema}.f").routine_definition == "x + 1"
        admin.sdk.functions.delete(f"{schema}.f")
        options = {"host": "db.example.com", "user": "u", "password": "p4ss-in-a-connection"}
        created = admin.sdk.connections.create(name, ConnectionType.POSTGRESQL, options)
        assert created.options == {"host": "db.example.com", "user": "u"}
        admin.sdk.connections.delete(name)

    def test_what_a_connection_signs_in_with_is_neither_kept_nor_listed(
        self, admin: Caller, local_workspace: LocalWorkspace, name: str
    ) -> None:
        names = ("authorization_code", "pkce_verifier", "client_secret", "bearer_token", "pem_private_key")
        hidden = {each: f"hush-{name}-{each}" for each in names}
        shown = {"host": "h", "client_id": "i", "oauth_redirect_uri": "u", "oauth_scope": "s"}
        made = admin.sdk.connections.create(name, ConnectionType.SNOWFLAKE, {**shown, **hidden})
        changed = admin.sdk.connections.update(name, {**shown, **hidden})
        listed = next(each for each in admin.sdk.connections.list() if each.name == name)
        assert made.options == changed.options == listed.options == shown
        for file in local_workspace.folder.glob("workspace.db*"):
            assert f"hush-{name}".encode() not in file.read_bytes()
        admin.sdk.connections.delete(name)

    def test_each_kind_is_listed_and_changed(self, admin: Caller, schema: str, name: str) -> None:
        sdk, schema_name = admin.sdk, schema.partition(".")[2]
        assert sdk.metastores.summary().metastore_id == sdk.metastores.current().metastore_id
        sdk.volumes.create("main", schema_name, "docs", VolumeType.MANAGED)
        sdk.connections.create(name, ConnectionType.POSTGRESQL, {"host": "a", "password": "p"})
        function = {"catalog_name": "main", "schema_name": schema_name, "name": "f"}
        admin.http.post("/api/2.1/unity-catalog/functions", json={"function_info": function}).raise_for_status()
        assert [volume.name for volume in sdk.volumes.list("main", schema_name)] == ["docs"]
        assert [found.name for found in sdk.functions.list("main", schema_name)] == ["f"]
        assert name in [connection.name for connection in sdk.connections.list()]
        assert sdk.schemas.update(schema, comment="s").comment == "s"
        assert sdk.volumes.update(f"{schema}.docs", comment="v").comment == "v"
        assert sdk.functions.update(f"{schema}.f", owner="users").owner == "users"
        assert sdk.connections.update(name, {"host": "b"}).options == {"host": "b"}
        assert sdk.connections.get(name).options == {"host": "b"}
        sdk.volumes.delete(f"{schema}.docs")
        sdk.connections.delete(name)
        with pytest.raises(NotFound):
            sdk.volumes.read(f"{schema}.docs")

    def test_a_catalog_is_changed_but_not_renamed(self, admin: Caller, name: str) -> None:
        admin.sdk.catalogs.create(name=name)
        changed = admin.sdk.catalogs.update(name, comment="c", owner="users")
        assert (changed.comment, changed.owner) == ("c", "users")
        answer = admin.http.patch(f"/api/2.1/unity-catalog/catalogs/{name}", json={"new_name": f"{name}2"})
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        admin.sdk.catalogs.delete(name, force=True)

    def test_versions_and_aliases_of_a_model(self, admin: Caller, schema: str) -> None:
        full_name = model(admin, schema)
        created = {"name": full_name, "source": "dbfs:/x", "run_id": ""}
        registry = "/api/2.0/mlflow/unity-catalog/model-versions/create"
        for _ in range(2):
            admin.http.post(registry, json=created).raise_for_status()
        versions, models = admin.sdk.model_versions, admin.sdk.registered_models
        assert [version.version for version in versions.list(full_name)] == [2, 1]
        assert models.set_alias(full_name, "champion", 1).version_num == 1
        assert versions.get_by_alias(full_name, "champion").version == 1
        assert [alias.alias_name for alias in models.get(full_name, include_aliases=True).aliases or []] == ["champion"]
        assert full_name in [found.full_name for found in models.list(catalog_name="main")]
        assert versions.update(full_name, 1, comment="first").comment == "first"
        with pytest.raises(DatabricksError, match="not empty"):
            models.delete(full_name)
        models.delete_alias(full_name, "champion")
        with pytest.raises(NotFound):
            versions.get_by_alias(full_name, "champion")
        for number in (1, 2):
            versions.delete(full_name, number)
        models.delete(full_name)

    def test_a_model_and_a_function_share_their_names(self, admin: Caller, schema: str) -> None:
        model(admin, schema, "f")
        function = {"catalog_name": "main", "schema_name": schema.partition(".")[2], "name": "f"}
        answer = admin.http.post("/api/2.1/unity-catalog/functions", json={"function_info": function})
        assert answer.status_code == 400
        assert "already exists" in answer.json()["message"]

    def test_no_model_takes_the_name_of_a_function(self, admin: Caller, schema: str) -> None:
        names = {"catalog_name": "main", "schema_name": schema.partition(".")[2], "name": "f"}
        admin.http.post("/api/2.1/unity-catalog/functions", json={"function_info": names}).raise_for_status()
        other, registry = model(admin, schema, "other"), "/api/2.0/mlflow/unity-catalog/registered-models"
        answers = (
            admin.http.post("/api/2.1/unity-catalog/models", json=names),
            admin.http.post(f"{registry}/create", json={"name": f"{schema}.f"}),
            admin.http.patch(f"{registry}/update", json={"name": other, "new_name": f"{schema}.f"}),
            admin.http.patch(f"/api/2.1/unity-catalog/models/{other}", json={"new_name": "f"}),
        )
        assert [answer.json().get("error_code") for answer in answers] == ["RESOURCE_ALREADY_EXISTS"] * len(answers)
        found = admin.sdk.registered_models.list(catalog_name="main", schema_name=names["schema_name"])
        assert [each.name for each in found] == ["other"]

    def test_a_fresh_volume_is_an_empty_directory(self, admin: Caller, schema: str) -> None:
        admin.sdk.volumes.create("main", schema.partition(".")[2], "docs", VolumeType.MANAGED)
        assert list(admin.sdk.files.list_directory_contents(f"/Volumes/{schema.replace('.', '/')}/docs")) == []

    def test_models_are_described_changed_and_deleted(self, admin: Caller, schema: str) -> None:
        full_name = model(admin, schema)
        whole = admin.http.get(f"/api/2.1/unity-catalog/models/{full_name}").json()
        # The databricks provider sends the whole object back.
        admin.http.patch(f"/api/2.1/unity-catalog/models/{full_name}", json={**whole, "comment": "c"})
        assert admin.sdk.registered_models.get(full_name).comment == "c"
        assert list(admin.sdk.model_versions.list(full_name)) == []
        admin.sdk.registered_models.delete(full_name)
        with pytest.raises(NotFound):
            admin.sdk.registered_models.get(full_name)


class TestGrants:
    def test_what_was_granted_is_answered_and_taken_back(self, admin: Caller, stranger: Caller, schema: str) -> None:
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA", "SELECT")
        read = admin.sdk.grants.get("schema", schema).privilege_assignments or []
        assert [(a.principal, a.privileges) for a in read] == [
            (stranger.name, [Privilege.SELECT, Privilege.USE_SCHEMA])
        ]
        remove = PermissionsChange(principal=stranger.name, remove=[Privilege.SELECT, Privilege.USE_SCHEMA])
        admin.sdk.grants.update("schema", schema, changes=[remove])
        assert not admin.sdk.grants.get("schema", schema).privilege_assignments

    def test_a_model_is_a_function_to_grants(self, admin: Caller, stranger: Caller, schema: str) -> None:
        full_name = model(admin, schema)
        grant(admin, "function", full_name, stranger.name, "EXECUTE")
        read = admin.http.get(f"/api/2.1/unity-catalog/permissions/function/{full_name.upper()}").json()
        assert read == {"privilege_assignments": [{"principal": stranger.name, "privileges": ["EXECUTE"]}]}

    def test_the_metastore_is_named_by_its_id(self, admin: Caller, stranger: Caller, name: str) -> None:
        id = str(admin.sdk.metastores.summary().metastore_id)
        grant(admin, "metastore", id, stranger.name, "CREATE_CATALOG")
        stranger.sdk.catalogs.create(name=name)
        admin.sdk.catalogs.delete(name, force=True)
        for metastore in (id, "metastore"):
            read = admin.sdk.grants.get("metastore", metastore, principal=stranger.name).privilege_assignments or []
            assert [assignment.privileges for assignment in read] == [[Privilege.CREATE_CATALOG]]
        with pytest.raises(NotFound, match="Metastore 'another' does not exist"):
            grant(admin, "metastore", "another", stranger.name, "CREATE_CATALOG")

    def test_mistakes_are_told(self, admin: Caller, stranger: Caller, schema: str) -> None:
        path = f"/api/2.1/unity-catalog/permissions/schema/{schema}"

        def change(**change: Any) -> Any:
            return admin.http.patch(path, json={"changes": [{"principal": stranger.name, **change}]})

        assert "not applicable" in change(add=["READ_FILES"]).json()["message"]
        assert "Duplicate privileges" in change(add=["SELECT"], remove=["SELECT"]).json()["message"]
        unknown = admin.http.patch(path, json={"changes": [{"principal": "nobody", "add": ["SELECT"]}]})
        assert (unknown.status_code, unknown.json()["error_code"]) == (404, "PRINCIPAL_DOES_NOT_EXIST")
        assert admin.http.get(f"{path}-other").status_code == 404
        assert admin.http.get("/api/2.1/unity-catalog/permissions/spaceship/x").status_code == 400

    def test_what_a_principal_who_left_was_granted_can_be_revoked(
        self, admin: Caller, stranger: Caller, schema: str
    ) -> None:
        grant(admin, "schema", schema, stranger.name, "SELECT")
        admin.sdk.service_principals.delete(stranger.id)
        change = PermissionsChange(principal=stranger.name, remove=[Privilege.SELECT])
        admin.sdk.grants.update("schema", schema, changes=[change])
        assert not admin.sdk.grants.get("schema", schema).privilege_assignments

    def test_effective_permissions_say_whence_they_come(self, admin: Caller, stranger: Caller, schema: str) -> None:
        full_name = table(admin, schema)
        grant(admin, "schema", schema, stranger.name, "SELECT")
        grant(admin, "table", full_name, stranger.name, "MODIFY")
        found = admin.sdk.grants.get_effective("table", full_name, principal=stranger.name)
        privileges = (found.privilege_assignments or [])[0].privileges or []
        assert {(p.privilege, p.inherited_from_type, p.inherited_from_name) for p in privileges} == {
            (Privilege.MODIFY, None, None),
            (Privilege.SELECT, SecurableType.SCHEMA, schema),
        }

    def test_grants_go_with_their_securable(self, admin: Caller, stranger: Caller, schema: str) -> None:
        grant(admin, "table", table(admin, schema), stranger.name, "SELECT")
        admin.sdk.tables.delete(f"{schema}.t")
        table(admin, schema)
        assert not admin.sdk.grants.get("table", f"{schema}.t").privilege_assignments


class TestEnforcement:
    """Step by step: each privilege opens one door more."""

    def test_use_catalog_then_use_schema_then_the_object(self, admin: Caller, stranger: Caller, name: str) -> None:
        admin.sdk.catalogs.create(name=name)
        full_name = table(admin, f"{name}.default")

        def refusal() -> str:
            answer = stranger.http.get(f"/api/2.1/unity-catalog/tables/{full_name}")
            return "" if answer.status_code == 200 else str(answer.json()["message"])

        assert "USE CATALOG" in refusal()
        grant(admin, "catalog", name, stranger.name, "USE_CATALOG")
        assert "USE SCHEMA" in refusal()
        grant(admin, "schema", f"{name}.default", stranger.name, "USE_SCHEMA")
        assert "BROWSE on Table" in refusal()
        grant(admin, "table", full_name, stranger.name, "SELECT")
        assert refusal() == ""
        admin.sdk.catalogs.delete(name, force=True)

    def test_listings_show_what_one_may_see(self, admin: Caller, stranger: Caller, schema: str) -> None:
        table(admin, schema, "open")
        table(admin, schema, "closed")
        grant(admin, "catalog", "main", stranger.name, "USE_CATALOG")
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA")
        grant(admin, "table", f"{schema}.open", stranger.name, "SELECT")
        assert [found.name for found in stranger.sdk.tables.list("main", schema.partition(".")[2])] == ["open"]

    def test_creating_needs_the_privilege_on_the_parent(self, admin: Caller, stranger: Caller, schema: str) -> None:
        with pytest.raises(PermissionDenied, match="CREATE CATALOG"):
            stranger.sdk.catalogs.create(name="mine")
        grant(admin, "catalog", "main", stranger.name, "USE_CATALOG")
        with pytest.raises(PermissionDenied, match="USE SCHEMA"):
            model(stranger, schema)
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA", "CREATE_MODEL")
        full_name = model(stranger, schema)
        # Its owner may do all with it, but not with its siblings.
        stranger.sdk.registered_models.update(full_name, comment="mine")
        other = model(admin, schema, "other")
        with pytest.raises(PermissionDenied):
            stranger.sdk.registered_models.delete(other)

    def test_only_who_manages_grants(self, admin: Caller, stranger: Caller, schema: str) -> None:
        grant(admin, "catalog", "main", stranger.name, "USE_CATALOG")
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA", "SELECT")
        with pytest.raises(PermissionDenied, match="MANAGE"):
            grant(stranger, "schema", schema, stranger.name, "MODIFY")
        grant(admin, "schema", schema, stranger.name, "MANAGE")
        grant(stranger, "schema", schema, stranger.name, "MODIFY")

    def test_an_object_that_is_not_there_is_told_apart_from_one_that_may_not_be_seen(
        self, admin: Caller, stranger: Caller, schema: str
    ) -> None:
        table(admin, schema)
        grant(admin, "catalog", "main", stranger.name, "USE_CATALOG")
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA")
        assert stranger.http.get(f"/api/2.1/unity-catalog/tables/{schema}.t").status_code == 403
        assert stranger.http.get(f"/api/2.1/unity-catalog/tables/{schema}.none").status_code == 404

    def test_a_new_owner_is_one(
        self, admin: Caller, stranger: Caller, newcomer: Callable[[], Caller], schema: str
    ) -> None:
        full_name = model(admin, schema)
        grant(admin, "catalog", "main", stranger.name, "USE_CATALOG")
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA")
        admin.sdk.registered_models.update(full_name, owner=stranger.name)
        grant(stranger, "function", full_name, newcomer().name, "EXECUTE")
        with pytest.raises(NotFound):
            admin.sdk.registered_models.update(full_name, owner="nobody@example.com")


def test_a_connections_credentials_are_encrypted_at_rest(
    local_workspace: LocalWorkspace, admin: Caller, name: str
) -> None:
    admin.sdk.connections.create(name, ConnectionType.POSTGRESQL, {"host": "h", "password": f"secret-{name}"})
    with sqlite3.connect(local_workspace.folder / "workspace.db") as database:
        body = database.execute("select body from documents where kind = 'connection' and key = ?", (name,)).fetchone()[
            0
        ]
    assert f"secret-{name}" not in body
    admin.sdk.connections.delete(name)
