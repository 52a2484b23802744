"""The agents service's register, in the shapes that databricks-agents sends and reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import Endpoint, ok
from tests.workspace.serving.test_serving_control_plane import refused

BASE = "/api/2.0/agents/deployments"


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


def test_artifacts_and_instructions(admin: Caller, schema: str) -> None:
    model = f"{schema}.agent"
    assert ok(admin.http.get(f"{BASE}/{model}/artifacts")) == {}
    ok(admin.http.post(f"{BASE}/{model}/artifacts", json={"model_name": model, "artifacts": ["runs:/1/traces.json"]}))
    ok(admin.http.post(f"{BASE}/{model}/instructions", json={"model_name": model, "instructions": "Be kind."}))
    assert ok(admin.http.get(f"{BASE}/{model}/artifacts")) == {"artifacts": ["runs:/1/traces.json"]}
    assert ok(admin.http.get(f"{BASE}/{model}/instructions")) == {"instructions": "Be kind."}


def test_review_apps(admin: Caller, name: str) -> None:
    base = "/api/2.0/managed-evals"
    refused(admin.http.request("GET", f"{base}/monitors/{name}", json={}), 404, "RESOURCE_DOES_NOT_EXIST")
    assert ok(admin.http.get(f"{base}/review-apps", params={"filter": f"experiment_id={name}"})) == {"review_apps": []}
    wanted: dict[str, Any] = {"review_app_id": None, "experiment_id": name, "agents": [], "labeling_schemas": []}
    app = ok(admin.http.post(f"{base}/review-apps", json=wanted))
    agents = [{"agent_name": "m", "model_serving_endpoint": {"endpoint_name": "e"}}]
    path = f"{base}/review-apps/{app['review_app_id']}"
    assert (
        ok(admin.http.patch(path, params={"update_mask": "agents"}, json={**app, "agents": agents}))["agents"] == agents
    )
    (found,) = ok(admin.http.get(f"{base}/review-apps", params={"filter": f"experiment_id={name}"}))["review_apps"]
    assert found["agents"] == agents
