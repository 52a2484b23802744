"""Route-optimised endpoints: a URL of their own, which takes a token that was asked for by their name alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from databricks.sdk import WorkspaceClient

from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import API, Endpoint, ok, question, served, text_of

CLIENT = "client_credentials"
EXCHANGE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Machine:
    """A service principal with an OAuth secret; ``host`` is the workspace's."""

    def __init__(self, admin: Caller, caller: Caller) -> None:
        self.caller = caller
        self.host = str(admin.http.base_url).rstrip("/")
        self.secret = str(admin.sdk.service_principal_secrets_proxy.create(caller.id, lifetime="3600s").secret)

    def refused(self, **form: str) -> tuple[int, str]:
        """Status and error of what the token endpoint answers to a form."""
        answer = self._post(form)
        return answer.status_code, answer.json().get("error", "")

    def token(self, details: str | None = None, grant: str = CLIENT) -> str:
        """By its secret, or in exchange for a token that it has by its secret."""
        form = {"grant_type": grant} if details is None else {"grant_type": grant, "authorization_details": details}
        if grant == EXCHANGE:
            form["assertion"] = self.token()
        return str(ok(self._post(form))["access_token"])

    def _post(self, form: dict[str, str]) -> httpx.Response:
        auth = None if form.get("grant_type") == EXCHANGE else (self.caller.name, self.secret)
        return httpx.post(f"{self.host}/oidc/v1/token", data=form, auth=auth)


def naming(endpoint_id: str, **other: Any) -> str:
    """``authorization_details`` for an endpoint."""
    detail = {
        "type": "workspace_permission",
        "object_type": "serving-endpoints",
        "object_path": f"/serving-endpoints/{endpoint_id}",
        "actions": ["query_inference_endpoint"],
    }
    return json.dumps([{**detail, **other}])


def asked(url: str, token: str) -> httpx.Response:
    """What the URL answers to the bearer of the token."""
    return httpx.post(url, json=question("say hi"), headers={"Authorization": f"Bearer {token}"}, timeout=60)


@pytest.fixture
def machine(admin: Caller, stranger: Caller) -> Machine:
    """One that may query nothing yet."""
    return Machine(admin, stranger)


@pytest.fixture
def optimized(admin: Caller, agent: str, name: str) -> Iterator[dict[str, Any]]:
    """The document of a route-optimised endpoint, ready."""
    config = {"served_entities": [served(agent, name="agent")]}
    ok(admin.http.post(API, json={"name": name, "config": config, "route_optimized": True}))
    yield Endpoint(admin.http, name).settled()
    admin.http.delete(f"{API}/{name}")


@pytest.fixture
def bare(admin: Caller, name: str) -> Iterator[dict[str, Any]]:
    """The document of one that serves nothing yet."""
    yield ok(admin.http.post(API, json={"name": name, "route_optimized": True}))
    admin.http.delete(f"{API}/{name}")


def permit(admin: Caller, endpoint: dict[str, Any], machine: Machine) -> None:
    """It may query the endpoint."""
    entry = {"service_principal_name": machine.caller.name, "permission_level": "CAN_QUERY"}
    path = f"/api/2.0/permissions/serving-endpoints/{endpoint['id']}"
    ok(admin.http.patch(path, json={"access_control_list": [entry]}))


def test_databricks_sdk_asks_at_the_endpoint_s_own_url(
    admin: Caller, machine: Machine, optimized: dict[str, Any]
) -> None:
    permit(admin, optimized, machine)
    sdk = WorkspaceClient(host=machine.host, client_id=machine.caller.name, client_secret=machine.secret)
    assert sdk.serving_endpoints.get(optimized["name"]).endpoint_url == optimized["endpoint_url"]
    admin.http.delete("/_local/requests")
    answer = sdk.serving_endpoints_data_plane.query(optimized["name"], input=question("say hi")["input"])
    assert answer.served_model_name == "agent"
    path = httpx.URL(optimized["endpoint_url"]).path
    [seen] = ok(admin.http.get("/_local/requests", params={"path": path}))["requests"]
    assert (seen["caller"], seen["status"], seen["body"]) == (machine.caller.name, 200, None)


@pytest.mark.parametrize("grant", [CLIENT, EXCHANGE])
def test_a_token_that_names_the_endpoint_is_answered_and_opens_nothing_else(
    admin: Caller, machine: Machine, optimized: dict[str, Any], grant: str
) -> None:
    url, token = optimized["endpoint_url"], machine.token(naming(optimized["id"]), grant)
    assert asked(url, token).status_code == 403  # no CAN_QUERY yet
    permit(admin, optimized, machine)
    assert text_of(ok(asked(url, token))) == "hi"
    me = httpx.get(f"{machine.host}/api/2.0/preview/scim/v2/Me", headers={"Authorization": f"Bearer {token}"})
    assert me.status_code == 401
    admin.http.delete(f"/api/2.0/preview/scim/v2/ServicePrincipals/{machine.caller.id}")
    assert asked(url, token).status_code == 401


def test_other_tokens_and_the_workspace_s_url_are_refused(
    admin: Caller, machine: Machine, bare: dict[str, Any]
) -> None:
    permit(admin, bare, machine)
    url = bare["endpoint_url"]
    personal = admin.http.headers["authorization"].removeprefix("Bearer ")
    statuses = {
        "none": httpx.post(url, json={}).status_code,
        "personal": asked(url, personal).status_code,
        "for all APIs": asked(url, machine.token()).status_code,
        "for another endpoint": asked(url, machine.token(naming("0" * 32))).status_code,
    }
    assert statuses == {"none": 401, "personal": 401, "for all APIs": 401, "for another endpoint": 403}
    detour = admin.http.post(f"/serving-endpoints/{bare['name']}/invocations", json=question("say hi"))
    assert (detour.status_code, "endpoint_url" in detour.json()["message"]) == (400, True)


def test_only_route_optimized_endpoints_have_a_url_of_their_own(
    admin: Caller, machine: Machine, bare: dict[str, Any], name: str
) -> None:
    plain = ok(admin.http.post(API, json={"name": f"{name}_plain"}))
    try:
        assert "endpoint_url" not in plain
        url = bare["endpoint_url"].replace(f"/{name}/", f"/{name}_plain/")
        assert asked(url, machine.token(naming(plain["id"]))).status_code == 404
    finally:
        admin.http.delete(f"{API}/{name}_plain")


@pytest.mark.parametrize(
    "details",
    [
        "no JSON",
        "{}",
        "[]",
        "[1]",
        "[" * 5000,
        naming("0" * 32, type="else"),
        naming("0" * 32, object_type="jobs"),
        naming("a-name"),
        naming("0" * 32, actions=[]),
        naming("0" * 32, actions="query_inference_endpoint"),
    ],
)
def test_details_that_name_no_endpoint_are_refused(machine: Machine, details: str) -> None:
    found = machine.refused(grant_type=CLIENT, authorization_details=details)
    assert found == (400, "invalid_authorization_details")


def test_only_an_oauth_token_is_exchanged(admin: Caller, machine: Machine) -> None:
    personal = admin.http.headers["authorization"].removeprefix("Bearer ")
    narrow = machine.token(naming("0" * 32))
    for assertion in ("", "unknown", personal, narrow):
        found = machine.refused(grant_type=EXCHANGE, assertion=assertion, authorization_details=naming("0" * 32))
        assert found == (400, "invalid_grant")
    assert machine.refused(grant_type=EXCHANGE, assertion=machine.token()) == (400, "invalid_request")
