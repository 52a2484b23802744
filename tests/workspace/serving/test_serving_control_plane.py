"""The serving-endpoints API: defaults, omissions, limits, permissions; what needs no model to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.services import Services
from agent_deploy.local.serving.endpoints import KIND
from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import API, Endpoint, ok, served

Create = Callable[..., Endpoint]


def refused(response: httpx.Response, status: int, code: str, *names: str) -> None:
    """An error with this status and code that names these things."""
    assert (response.status_code, response.json()["error_code"]) == (status, code), response.text
    for name in names:
        assert name in response.json()["message"]


@pytest.fixture
def stepped(admin: Caller) -> Iterator[None]:
    """Builds wait for a step, so that nothing here waits for a model."""
    ok(admin.http.put("/_local/transitions", json={"mode": "manual"}))
    yield
    ok(admin.http.put("/_local/transitions", json={"mode": "immediate"}))


@pytest.fixture
def post(admin: Caller, agent: str, name: str, stepped: None) -> Iterator[Callable[..., httpx.Response]]:
    """Send a create with this config and these fields."""

    def send(config: dict[str, Any] | None = None, **fields: Any) -> httpx.Response:
        return admin.http.post(API, json={"name": name, **({} if config is None else {"config": config}), **fields})

    yield send
    admin.http.delete(f"{API}/{name}")


def test_without_entities_there_is_an_endpoint_that_is_not_ready(create: Create, admin: Caller) -> None:
    endpoint = create(description="waits for its model", tags=[{"key": "team", "value": "x"}])
    seen = endpoint.get()
    assert seen["state"] == {"ready": "NOT_READY", "config_update": "NOT_UPDATING"}
    assert "config" not in seen
    assert "ai_gateway" not in seen
    assert seen["description"] == "waits for its model"
    assert seen["tags"] == [{"key": "team", "value": "x"}]
    assert seen["creator"] == admin.name
    assert seen["permission_level"] == "CAN_MANAGE"
    assert seen["id"] != seen["name"]
    refused(endpoint.post({"inputs": []}), 400, "BAD_REQUEST", "not ready")


def test_defaults_are_filled_in_and_omissions_kept(post: Callable[..., httpx.Response], agent: str) -> None:
    entity = {"entity_name": agent, "entity_version": 1}
    seen = ok(post({"served_entities": [entity]}, budget_policy_id="b-1"))
    assert seen["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
    assert seen["description"] == ""
    assert seen["route_optimized"] is False
    assert "budget_policy_id" not in seen
    config = seen["config"]
    (echoed,) = config["served_entities"]
    assert echoed["name"] == "agent-1"
    assert echoed["entity_version"] == "1"
    assert echoed["workload_size"] == "Small"
    assert echoed["workload_type"] == "CPU"
    assert echoed["scale_to_zero_enabled"] is False
    assert echoed["state"]["deployment"] == "DEPLOYMENT_CREATING"
    assert "environment_vars" not in echoed
    (older,) = config["served_models"]
    assert (older["model_name"], older["model_version"]) == (agent, "1")
    route = {"served_model_name": "agent-1", "served_entity_name": "agent-1", "traffic_percentage": 100}
    assert config["traffic_config"] == {"routes": [route]}
    assert config["config_version"] == 1
    assert seen["pending_config"]["config_version"] == 1
    assert isinstance(seen["pending_config"]["start_time"], int)


def test_served_models_are_taken_as_well(post: Callable[..., httpx.Response], agent: str) -> None:
    model = {"model_name": agent, "model_version": "2", "scale_to_zero_enabled": True, "workload_size": "Small"}
    (entity,) = ok(post({"served_models": [model]}))["config"]["served_entities"]
    assert (entity["entity_name"], entity["entity_version"]) == (agent, "2")
    assert entity["scale_to_zero_enabled"] is True


def test_secret_references_are_echoed_as_they_are(post: Callable[..., httpx.Response], agent: str) -> None:
    variables = {"API_KEY": "{{secrets/some-scope/some-key}}", "PLAIN": "p"}
    entity = {"entity_name": agent, "entity_version": "1", "environment_vars": variables}
    (echoed,) = ok(post({"served_entities": [entity]}))["config"]["served_entities"]
    assert echoed["environment_vars"] == variables


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"entity_name": "no_levels"}, ("entity_name", "no_levels")),
        ({"entity_version": "latest"}, ("entity_version", "latest")),
        ({"workload_size": "Gigantic"}, ("workload_size", "Gigantic", "Small")),
        ({"workload_type": "TPU"}, ("workload_type", "TPU", "CPU")),
        ({"max_provisioned_concurrency": -4}, ("max_provisioned_concurrency", "-4")),
        ({"min_provisioned_concurrency": "many"}, ("min_provisioned_concurrency", "many")),
        ({"max_provisioned_concurrency": 1.5}, ("max_provisioned_concurrency", "1.5")),
        ({"name": "with space"}, ("name", "with space")),
        ({"name": "x" * 64}, ("name", "63")),
        ({"environment_vars": {"1A": "x"}}, ("environment_vars", "1A")),
        ({"environment_vars": {"A": 1}}, ("environment_vars", "'A'")),
        ({"environment_vars": {"A": "{{secrets/only-a-scope}}"}}, ("environment_vars", "{{secrets/scope/key}}")),
    ],
)
def test_malformed_entities_are_refused(
    post: Callable[..., httpx.Response], agent: str, change: dict[str, Any], names: tuple[str, ...]
) -> None:
    entity = {"entity_name": agent, "entity_version": "1", **change}
    refused(post({"served_entities": [entity]}), 400, "INVALID_PARAMETER_VALUE", *names)


@pytest.mark.parametrize("name", ["", "with space", "-first", "x" * 64, "ü"])
def test_names_of_endpoints(admin: Caller, name: str) -> None:
    refused(admin.http.post(API, json={"name": name}), 400, "INVALID_PARAMETER_VALUE", "name")


def test_models_that_are_not_there(post: Callable[..., httpx.Response], schema: str, agent: str) -> None:
    entity = {"entity_name": f"{schema}.nothing", "entity_version": "1"}
    refused(post({"served_entities": [entity]}), 404, "RESOURCE_DOES_NOT_EXIST", "nothing")
    entity = {"entity_name": agent, "entity_version": "7"}
    refused(post({"served_entities": [entity]}), 404, "RESOURCE_DOES_NOT_EXIST", "7")


@pytest.mark.parametrize(
    ("routes", "names"),
    [
        ([("a", 50), ("b", 49)], ("sum to 100", "99")),
        ([("a", 50), ("c", 50)], ("'c'",)),
        ([("a", 50), ("a", 50)], ("more than one route", "'a'")),
        ([("a", 101), ("b", -1)], ("traffic_percentage", "'a'")),
        ([], ("traffic_config",)),
    ],
)
def test_traffic_that_does_not_add_up(
    post: Callable[..., httpx.Response], agent: str, routes: list[tuple[str, int]], names: tuple[str, ...]
) -> None:
    entities = [served(agent, "1", "a"), served(agent, "2", "b")]
    traffic = {"routes": [{"served_model_name": name, "traffic_percentage": share} for name, share in routes]}
    response = post({"served_entities": entities, "traffic_config": traffic})
    refused(response, 400, "INVALID_PARAMETER_VALUE", *names)


def test_sixteen_entities_are_too_many(post: Callable[..., httpx.Response], agent: str) -> None:
    entities = [served(agent, str(number), f"e{number}") for number in range(1, 17)]
    message = "served_models cannot contain more than 15 elements"
    refused(post({"served_entities": entities}), 400, "INVALID_PARAMETER_VALUE", message)


def test_a_version_is_served_once(post: Callable[..., httpx.Response], agent: str) -> None:
    entities = [served(agent, "1", "a"), served(agent, "1", "b")]
    refused(post({"served_entities": entities}), 400, "BAD_REQUEST", "Cannot create 2+ served entities")
    entities = [served(agent, "1", "a"), served(agent, "2", "a")]
    refused(post({"served_entities": entities}), 400, "INVALID_PARAMETER_VALUE", "unique", "'a'")


def test_a_name_is_taken_once(post: Callable[..., httpx.Response], name: str) -> None:
    ok(post())
    refused(post(), 400, "RESOURCE_ALREADY_EXISTS", name)


def test_while_updating_another_config_is_a_conflict(
    post: Callable[..., httpx.Response], agent: str, admin: Caller, name: str
) -> None:
    ok(post({"served_entities": [served(agent)]}))
    endpoint = Endpoint(admin.http, name)
    refused(endpoint.put(served(agent, "2")), 409, "RESOURCE_CONFLICT", name)
    ok(admin.http.patch(f"{endpoint.url}/tags", json={"add_tags": [{"key": "a", "value": "b"}]}))
    assert endpoint.get()["state"]["config_update"] == "IN_PROGRESS"
    waiting = ok(admin.http.get("/_local/transitions"))["waiting"]
    assert f"serving-endpoints/{name}/build" in waiting


def test_deleting_while_it_builds_leaves_nothing(
    post: Callable[..., httpx.Response], agent: str, admin: Caller, name: str
) -> None:
    ok(post({"served_entities": [served(agent)]}))
    endpoint = Endpoint(admin.http, name)
    ok(admin.http.delete(endpoint.url))
    refused(admin.http.get(endpoint.url), 404, "RESOURCE_DOES_NOT_EXIST", name)
    assert endpoint.processes() == {}
    refused(admin.http.delete(endpoint.url), 404, "RESOURCE_DOES_NOT_EXIST", name)


def test_what_was_deleted_meanwhile_is_not_saved_again(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    endpoints, creator = Services.of(workspace).endpoints, Principal("user", "1", "someone@local", "Someone")
    endpoint = endpoints.add({"name": "agent", "ai_gateway": None}, creator)
    asyncio.run(endpoints.delete(endpoint))
    with pytest.raises(ApiError, match="'agent' does not exist"):
        endpoints.change(endpoint, ai_gateway=None)
    assert workspace.store.list(KIND) == []


def test_tags_are_deleted_first_and_added_then(create: Create) -> None:
    endpoint = create(tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "1"}])
    change = {"add_tags": [{"key": "a", "value": "2"}, {"key": "c"}], "delete_tags": ["a", "b"]}
    expected = [{"key": "a", "value": "2"}, {"key": "c", "value": ""}]
    assert ok(endpoint.http.patch(f"{endpoint.url}/tags", json=change)) == {"tags": expected}
    assert endpoint.get()["tags"] == expected


def test_description_policy_and_notifications_change_in_place(create: Create) -> None:
    endpoint = create()
    assert ok(endpoint.http.patch(f"{endpoint.url}/description", json={"description": "new"}))["description"] == "new"
    ok(endpoint.http.patch(f"{endpoint.url}/budget-policy", json={"budget_policy_id": "b-2"}))
    notifications = {"on_update_failure": ["ops@example.com"]}
    ok(endpoint.http.patch(f"{endpoint.url}/notifications", json={"email_notifications": notifications}))
    seen = endpoint.get()
    assert seen["email_notifications"] == notifications
    assert "budget_policy_id" not in seen
    ok(endpoint.http.patch(f"{endpoint.url}/notifications", json={"email_notifications": {}}))
    assert "email_notifications" not in endpoint.get()


def test_who_may_see_and_change(create: Create, newcomer: Callable[[], Caller], admin: Caller) -> None:
    endpoint, stranger, viewer = create(), newcomer(), newcomer()
    entry = {"service_principal_name": viewer.name, "permission_level": "CAN_VIEW"}
    path = f"/api/2.0/permissions/serving-endpoints/{endpoint.get()['id']}"
    ok(admin.http.patch(path, json={"access_control_list": [entry]}))
    refused(stranger.http.get(endpoint.url), 403, "PERMISSION_DENIED", "CAN_VIEW", endpoint.name)
    assert ok(viewer.http.get(endpoint.url))["permission_level"] == "CAN_VIEW"
    refused(viewer.http.delete(endpoint.url), 403, "PERMISSION_DENIED", "CAN_MANAGE")
    refused(viewer.http.patch(f"{endpoint.url}/tags", json={}), 403, "PERMISSION_DENIED", "CAN_MANAGE")
    assert endpoint.name in [seen["name"] for seen in ok(viewer.http.get(API))["endpoints"]]
    assert endpoint.name not in [seen["name"] for seen in ok(stranger.http.get(API))["endpoints"]]
    refused(viewer.http.get("/_local/serving/processes"), 403, "PERMISSION_DENIED", "admin")


def test_who_deploys_a_model_needs_execute_on_it(agent: str, stranger: Caller, admin: Caller, name: str) -> None:
    body = {"name": name, "config": {"served_entities": [served(agent)]}}
    refused(stranger.http.post(API, json=body), 403, "PERMISSION_DENIED")
    catalog, schema, _ = agent.split(".")
    for kind, full_name, privilege in (
        ("catalog", catalog, "USE_CATALOG"),
        ("schema", f"{catalog}.{schema}", "USE_SCHEMA"),
    ):
        changes = {"changes": [{"principal": stranger.name, "add": [privilege]}]}
        ok(admin.http.patch(f"/api/2.1/unity-catalog/permissions/{kind}/{full_name}", json=changes))
    refused(stranger.http.post(API, json=body), 403, "PERMISSION_DENIED", "EXECUTE", agent)
    changes = {"changes": [{"principal": stranger.name, "add": ["EXECUTE"]}]}
    ok(admin.http.patch(f"/api/2.1/unity-catalog/permissions/function/{agent}", json=changes))
    ok(admin.http.put("/_local/transitions", json={"mode": "manual"}))
    assert ok(stranger.http.post(API, json=body))["creator"] == stranger.name
    ok(stranger.http.delete(f"{API}/{name}"))
    ok(admin.http.put("/_local/transitions", json={"mode": "immediate"}))


def test_a_version_without_its_files_is_not_served(
    post: Callable[..., httpx.Response], agent: str, admin: Caller
) -> None:
    created = admin.http.post(
        "/api/2.0/mlflow/unity-catalog/model-versions/create", json={"name": agent, "source": "x"}
    )
    version = ok(created)["model_version"]["version"]
    response = post({"served_entities": [served(agent, version)]})
    refused(response, 400, "INVALID_PARAMETER_VALUE", "PENDING_REGISTRATION")


def test_legacy_inference_tables_are_refused(post: Callable[..., httpx.Response], agent: str) -> None:
    capture = {"catalog_name": "main", "schema_name": "default"}
    response = post({"served_entities": [served(agent)], "auto_capture_config": capture})
    refused(response, 400, "INVALID_PARAMETER_VALUE", "auto_capture_config", "inference_table_config")


def test_unknown_routes_say_so(create: Create) -> None:
    endpoint = create()
    refused(endpoint.http.put(f"{endpoint.url}/rate-limits", json={}), 501, "ENDPOINT_NOT_FOUND", "rate-limits")
