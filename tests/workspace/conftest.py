"""One local workspace for a worker's tests; each test makes objects and principals with names of its own."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from databricks.sdk import WorkspaceClient

from agent_deploy.local import LocalWorkspace


@dataclass(frozen=True)
class Caller:
    """A principal with its own unmodified SDK client and a plain HTTP client."""

    name: str
    id: str
    sdk: WorkspaceClient
    http: httpx.Client


def sdk_client(host: str, token: str) -> WorkspaceClient:
    """The SDK as a user has it, kept from the machine's own configuration."""
    return WorkspaceClient(host=host, token=token, auth_type="pat")


def http_client(host: str, token: str) -> httpx.Client:
    """Plain HTTP with a bearer token."""
    return httpx.Client(base_url=host, headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture(scope="session")
def admin(local_workspace: LocalWorkspace) -> Iterator[Caller]:
    """The administrator."""
    sdk = sdk_client(local_workspace.host, local_workspace.token)
    me = sdk.current_user.me()
    with http_client(local_workspace.host, local_workspace.token) as http:
        yield Caller(str(me.user_name), str(me.id), sdk, http)


@pytest.fixture(autouse=True)
def _witnesses(request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes for the ledger of routes (tools/parity.py) which client was answered what, when a file is named for it."""
    file = os.environ.get("AGENT_DEPLOY_WITNESSES")
    if not file or "admin" not in request.fixturenames:
        yield
        return
    admin: Caller = request.getfixturevalue("admin")
    admin.http.delete("/_local/requests")
    yield
    test = request.node.nodeid.partition("[")[0]
    with open(file, "a") as notes:
        for seen in admin.http.get("/_local/requests").json()["requests"]:
            if 200 <= seen["status"] < 300 and not seen["fault"]:
                noted = {"method": seen["method"], "path": seen["path"], "client": seen["client"], "test": test}
                notes.write(json.dumps(noted) + "\n")


@pytest.fixture
def newcomer(local_workspace: LocalWorkspace, admin: Caller) -> Iterator[Callable[[], Caller]]:
    """Makes service principals that may do nothing yet; they are gone after the test."""
    made: list[Caller] = []

    def make() -> Caller:
        created = admin.sdk.service_principals.create(display_name=f"agent {uuid.uuid4().hex[:8]}")
        assert created.id
        assert created.application_id
        token = admin.sdk.token_management.create_obo_token(created.application_id, lifetime_seconds=600).token_value
        assert token
        host = local_workspace.host
        made.append(Caller(created.application_id, created.id, sdk_client(host, token), http_client(host, token)))
        return made[-1]

    yield make
    for caller in made:
        caller.http.close()
        admin.http.delete(f"/api/2.0/preview/scim/v2/ServicePrincipals/{caller.id}")


@pytest.fixture
def stranger(newcomer: Callable[[], Caller]) -> Caller:
    """A service principal that may do nothing yet."""
    return newcomer()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def schema(admin: Caller, name: str) -> Iterator[str]:
    """A schema of this test's own in the catalog `main`."""
    admin.sdk.schemas.create(name=name, catalog_name="main")
    yield f"main.{name}"
    admin.sdk.schemas.delete(f"main.{name}", force=True)


@pytest.fixture
def mlflow_client(local_workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow as the administrator has it: tracking and registry are the local workspace's."""
    import mlflow

    for variable, value in {**local_workspace.env(), "DATABRICKS_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    mlflow.set_tracking_uri("databricks")
    mlflow.set_registry_uri("databricks-uc")
    return mlflow.MlflowClient()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a state; fails when it does not come."""

    def wait(reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline, "the state did not come within 60 s"
            time.sleep(0.02)

    return wait
