"""The agents service's register, in the shapes that databricks-agents sends and reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import Endpoint, ok
from tests.workspace.serving.test_serving_control_plane import refused

BASE, EVALS = "/api/2.0/agents/deployments", "/api/2.0/managed-evals"


@pytest.fixture
def endpoint(create: Callable[..., Endpoint]) -> Endpoint:
    """An endpoint without entities: the register knows names only."""
    return create()


def deploy(caller: Caller, model: str, version: int, endpoint: Endpoint) -> dict[str, Any]:
    """Register as the client does, with the version as a number."""
    body = {"model_name": model, "model_version": version, "endpoint_name": endpoint.name, "served_entity_name": "e"}
    chain: dict[str, Any] = ok(caller.http.post(BASE, json={**body, "query_endpoint": "q"}))["deployed_chain"]
    return chain


def test_what_is_registered_is_found(admin: Caller, endpoint: Endpoint, schema: str) -> None:
    model = f"{schema}.agent"
    assert ok(admin.http.get(f"{BASE}/{model}")) == {"chain_deployments": []}
    first = deploy(admin, model, 1, endpoint)
    assert first["model_version"] == "1"
    assert "/review-v2/" in first["review_app_url"]
    second = deploy(admin, model, 2, endpoint)
    again = deploy(admin, model, 1, endpoint)  # the latest is the last
    query = {"model_name": model}
    assert ok(admin.http.get(f"{BASE}/{model}", params=query))["chain_deployments"] == [second, again]
    assert ok(admin.http.get(f"{BASE}/{model}/versions/2"))["chain_deployments"] == [second]
    assert again in ok(admin.http.get(BASE))["chain_deployments"]
    assert ok(admin.http.request("DELETE", f"{BASE}/{model}/versions/1", json=query)) == {}
    assert ok(admin.http.get(f"{BASE}/{model}"))["chain_deployments"] == [second]
    admin.http.delete(endpoint.url)
    assert ok(admin.http.request("DELETE", f"{BASE}/{model}", json=query)) == {}
    assert ok(admin.http.get(f"{BASE}/{model}"))["chain_deployments"] == []


def test_who_may_not_see_the_endpoint_does_not_see_the_agent(
    admin: Caller, endpoint: Endpoint, schema: str, stranger: Caller
) -> None:
    model = f"{schema}.agent"
    deploy(admin, model, 1, endpoint)
    assert ok(stranger.http.get(f"{BASE}/{model}"))["chain_deployments"] == []
    body = {"model_name": model, "model_version": 2, "endpoint_name": endpoint.name, "served_entity_name": "e"}
    refused(stranger.http.post(BASE, json=body), 403, "PERMISSION_DENIED", endpoint.name)
    refused(admin.http.post(BASE, json={**body, "endpoint_name": "nowhere"}), 404, "RESOURCE_DOES_NOT_EXIST")


def manage(admin: Caller, endpoint: Endpoint, caller: Caller, level: str = "CAN_MANAGE") -> None:
    """Give a service principal a level on an endpoint."""
    entry = {"service_principal_name": caller.name, "permission_level": level}
    path = f"/api/2.0/permissions/serving-endpoints/{endpoint.get()['id']}"
    ok(admin.http.patch(path, json={"access_control_list": [entry]}))


def test_a_record_of_another_endpoint_is_taken_by_who_manages_both(
    admin: Caller, create: Callable[..., Endpoint], schema: str, stranger: Caller
) -> None:
    model, theirs, own = f"{schema}.agent", create(), create()
    chain = deploy(admin, model, 1, theirs)
    manage(admin, own, stranger)
    body = {"model_name": model, "model_version": 1, "endpoint_name": own.name, "served_entity_name": "e"}
    refused(stranger.http.post(BASE, json=body), 403, "PERMISSION_DENIED", theirs.name)
    assert ok(admin.http.get(f"{BASE}/{model}"))["chain_deployments"] == [chain]
    manage(admin, theirs, stranger)
    taken = deploy(stranger, model, 1, own)
    assert ok(admin.http.get(f"{BASE}/{model}"))["chain_deployments"] == [taken]


@pytest.mark.parametrize(("field", "value"), [("artifacts", ["runs:/1/traces.json"]), ("instructions", "Be kind.")])
def test_artifacts_and_instructions(
    admin: Caller, endpoint: Endpoint, schema: str, stranger: Caller, field: str, value: Any
) -> None:
    model = f"{schema}.agent"
    path, body = f"{BASE}/{model}/{field}", {"model_name": model, field: value}
    assert ok(admin.http.get(path)) == {}
    ok(admin.http.post(path, json=body))
    refused(stranger.http.post(path, json={field: "x"}), 403, "PERMISSION_DENIED", model)
    deploy(admin, model, 1, endpoint)
    assert ok(stranger.http.get(path)) == {}
    manage(admin, endpoint, stranger, "CAN_QUERY")
    refused(stranger.http.post(path, json={field: "x"}), 403, "PERMISSION_DENIED", endpoint.name)
    assert ok(stranger.http.get(path)) == {field: value}
    manage(admin, endpoint, stranger)
    ok(stranger.http.post(path, params={"field": "of_another_name"}, json={field: "Be brief."}))
    assert ok(admin.http.get(path, params={"field": "of_another_name"})) == {field: "Be brief."}


@pytest.fixture
def experiment(admin: Caller, name: str) -> str:
    """An experiment of the administrator's own."""
    body = {"name": f"/Users/{admin.name}/{name}"}
    return str(ok(admin.http.post("/api/2.0/mlflow/experiments/create", json=body))["experiment_id"])


def test_review_apps(admin: Caller, name: str, experiment: str) -> None:
    query = {"filter": f"experiment_id={experiment}"}
    refused(admin.http.request("GET", f"{EVALS}/monitors/{name}", json={}), 404, "RESOURCE_DOES_NOT_EXIST")
    assert ok(admin.http.get(f"{EVALS}/review-apps", params=query)) == {"review_apps": []}
    wanted: dict[str, Any] = {"review_app_id": None, "experiment_id": experiment, "agents": [], "labeling_schemas": []}
    app = ok(admin.http.post(f"{EVALS}/review-apps", json=wanted))
    agents = [{"agent_name": "m", "model_serving_endpoint": {"endpoint_name": "e"}}]
    path = f"{EVALS}/review-apps/{app['review_app_id']}"
    changed = ok(admin.http.patch(path, params={"update_mask": "agents"}, json={**app, "agents": agents}))
    assert changed == {**app, "agents": agents}
    mask = {"update_mask": "experiment_id,review_app_id"}
    refused(admin.http.patch(path, params=mask, json=app), 400, "INVALID_PARAMETER_VALUE", "experiment_id")
    assert ok(admin.http.get(f"{EVALS}/review-apps", params=query))["review_apps"] == [changed]


def test_a_review_app_is_its_experiments(admin: Caller, experiment: str, stranger: Caller) -> None:
    query, body = {"filter": f"experiment_id={experiment}"}, {"experiment_id": experiment}
    path = f"{EVALS}/review-apps/{ok(admin.http.post(f'{EVALS}/review-apps', json=body))['review_app_id']}"

    def permit(level: str) -> None:
        entry = {"service_principal_name": stranger.name, "permission_level": level}
        ok(admin.http.patch(f"/api/2.0/permissions/experiments/{experiment}", json={"access_control_list": [entry]}))

    assert ok(stranger.http.get(f"{EVALS}/review-apps", params=query)) == {"review_apps": []}
    refused(stranger.http.post(f"{EVALS}/review-apps", json=body), 403, "PERMISSION_DENIED", "CAN_EDIT")
    permit("CAN_READ")
    assert len(ok(stranger.http.get(f"{EVALS}/review-apps", params=query))["review_apps"]) == 1
    refused(stranger.http.patch(path, json={"agents": []}), 403, "PERMISSION_DENIED", "CAN_EDIT")
    permit("CAN_EDIT")
    ok(stranger.http.patch(path, json={"agents": []}))
