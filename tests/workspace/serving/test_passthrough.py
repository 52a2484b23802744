"""The platform's part of automatic passthrough: who deploys is verified, the version gets what it declares, no more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import API, Endpoint, ok, register, served

UC = "/api/2.1/unity-catalog"
COLUMNS = [{"name": "x", "type_name": "INT", "type_text": "int", "type_json": '"int"', "position": 0}]


@pytest.fixture
def space(admin: Caller, name: str) -> str:
    """A Genie space's id."""
    warehouse = ok(admin.http.post("/api/2.0/sql/warehouses", json={"name": name, "cluster_size": "Small"}))["id"]
    body = {"title": name, "warehouse_id": warehouse, "serialized_space": "{}"}
    return str(ok(admin.http.post("/api/2.0/genie/spaces", json=body))["space_id"])


@pytest.fixture
def declaring(admin: Caller, schema: str, models: Path, tmp_path: Path, space: str) -> str:
    """An agent whose only version declares a table of its schema and a Genie space; beside the table lies another."""
    for table in ("declared", "other"):
        place = {"catalog_name": "main", "schema_name": schema.partition(".")[2], "name": table}
        more = {"columns": COLUMNS, "table_type": "MANAGED", "data_source_format": "DELTA"}
        ok(admin.http.post(f"{UC}/tables", json={**place, **more}))
    copy = tmp_path / "declaring"
    shutil.copytree(models / "agent", copy)
    document = yaml.safe_load((copy / "MLmodel").read_text())
    of_agent = {"name": f"{schema}.declared"}
    of_user = {"name": f"{schema}.other", "on_behalf_of_user": True}
    declared = {"table": [of_agent, of_user], "genie_space": [{"name": space}]}
    document["resources"] = {"api_version": "1", "databricks": declared}
    (copy / "MLmodel").write_text(yaml.safe_dump(document))
    register(admin.http, f"{schema}.agent", copy)
    return f"{schema}.agent"


def test_the_creator_is_verified_and_the_version_gets_what_it_declares(
    local_workspace: LocalWorkspace,
    admin: Caller,
    newcomer: Callable[[], Caller],
    schema: str,
    declaring: str,
    space: str,
    name: str,
) -> None:
    creator = newcomer()
    patched = [{"op": "add", "path": "entitlements", "value": [{"value": "workspace-access"}]}]
    scim = f"/api/2.0/preview/scim/v2/ServicePrincipals/{creator.id}"
    ok(admin.http.patch(scim, json={"Operations": patched}))

    def grant(kind: str, full_name: str, *privileges: str) -> None:
        changes = [{"principal": creator.name, "add": list(privileges)}]
        ok(admin.http.patch(f"{UC}/permissions/{kind}/{full_name}", json={"changes": changes}))

    grant("catalog", "main", "USE_CATALOG")
    grant("schema", schema, "USE_SCHEMA")
    grant("function", declaring, "EXECUTE")
    acl = {"access_control_list": [{"service_principal_name": creator.name, "permission_level": "CAN_RUN"}]}
    ok(admin.http.patch(f"/api/2.0/permissions/genie/{space}", json=acl))
    endpoint = Endpoint(creator.http, name)
    ok(creator.http.post(API, json={"name": name, "config": {"served_entities": [served(declaring)]}}))
    refused = endpoint.settled()
    assert refused["state"]["config_update"] == "UPDATE_FAILED"
    entity = refused.get("pending_config", refused.get("config", {}))["served_entities"][0]
    told = entity["state"]["deployment_state_message"]
    assert f"{creator.name} does not have SELECT on Table '{schema}.declared'" in told
    assert "other" not in told  # that one is the asking user's matter

    grant("table", f"{schema}.declared", "SELECT")
    ok(endpoint.put(served(declaring)))
    assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    me = endpoint.say("me")
    assert me != creator.name
    listed = ok(admin.http.get("/api/2.0/preview/scim/v2/ServicePrincipals"))["Resources"]
    assert me not in {principal["applicationId"] for principal in listed}
    # Nobody may take its place either: no secret can be made for it, and no token.
    assert admin.http.post(
        "/api/2.0/token-management/on-behalf-of/tokens", json={"application_id": me}
    ).status_code in (403, 404)
    for table in ("declared", "other"):
        shown = ok(admin.http.get(f"{UC}/permissions/table/{schema}.{table}")).get("privilege_assignments", [])
        assert me not in {given["principal"] for given in shown}
    file = local_workspace.folder / "serving" / "credentials" / me / "model-dependencies-oauth-token"
    token = str(yaml.safe_load(file.read_text())["OAUTH_TOKEN"][0]["oauthTokenValue"])
    with_token = {"Authorization": f"Bearer {token}"}
    ok(admin.http.get(f"{UC}/tables/{schema}.declared", headers=with_token))
    assert admin.http.get(f"{UC}/tables/{schema}.other", headers=with_token).status_code == 403
    # It makes nothing of its own but what it says to the space, and that goes with it.
    assert admin.http.post("/api/2.0/token/create", json={}, headers=with_token).status_code == 403
    conversations = f"/api/2.0/genie/spaces/{space}/conversations?include_all=true"
    said = {"content": "How many?"}
    ok(admin.http.post(f"/api/2.0/genie/spaces/{space}/start-conversation", json=said, headers=with_token))
    assert len(ok(admin.http.get(conversations))["conversations"]) == 1
    ok(admin.http.delete(endpoint.url))
    assert ok(admin.http.get(conversations)).get("conversations", []) == []
    assert admin.http.get("/api/2.0/preview/scim/v2/Me", headers=with_token).status_code == 401
    assert not file.parent.exists()
