"""SecretScope: made, gone on with after a run that was cut short, left alone where it is somebody's, removed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.errors import ConnectionLost
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.access.secret_scope import SecretScope
from agent_deploy.provider.plugin.resource import UNKNOWN, Found, UserError, Values
from tests.provider.serving_api import ToldContext

pytestmark = pytest.mark.processes

RESOURCE = SecretScope()
SCOPES, ACLS = "/api/2.0/secrets/scopes", "/api/2.0/secrets/acls/put"


@pytest.fixture(scope="module")
def workspace(local_workspace: Any) -> Workspace:
    return Workspace(Settings(host=local_workspace.host, method=PAT, token=local_workspace.token))


@pytest.fixture
def context(workspace: Workspace) -> ToldContext:
    return ToldContext(name="s", urn="urn:s", configuration=workspace)


@pytest.fixture
def name() -> str:
    return f"scope-{uuid.uuid4().hex[:12]}"


def test_it_is_made_found_and_removed(context: ToldContext, name: str) -> None:
    made = RESOURCE.create(context, {"name": name})
    assert (made.id, made.properties) == (name, {"name": name})
    assert RESOURCE.read(context, name, {}, {}) == Found(name, {"name": name}, {"name": name})
    for _ in range(2):  # one that is gone is no error
        RESOURCE.delete(context, name, {"name": name}, {"name": name})
    assert RESOURCE.read(context, name, {}, {}) is None
    assert context.told == []


def test_an_empty_one_of_a_run_that_was_cut_short_is_gone_on_with(
    context: ToldContext, workspace: Workspace, name: str
) -> None:
    workspace.post(f"{SCOPES}/create", {"scope": name})
    assert RESOURCE.create(context, {"name": name}).id == name
    assert context.told == [f"Went on with the secret scope {name}, which an interrupted run made: it was empty."]


SOMEBODYS = {
    "a secret": ("/api/2.0/secrets/put", {"key": "k", "string_value": "v"}),
    "another reader": (ACLS, {"principal": "users", "permission": "READ"}),
}


@pytest.mark.parametrize("has", SOMEBODYS)
def test_one_that_is_somebodys_is_left_alone(context: ToldContext, workspace: Workspace, name: str, has: str) -> None:
    workspace.post(f"{SCOPES}/create", {"scope": name})
    path, body = SOMEBODYS[has]
    workspace.post(path, {"scope": name, **body})
    with pytest.raises(UserError, match=f"A secret scope '{name}' exists already"):
        RESOURCE.create(context, {"name": name})


def test_an_answer_that_was_lost_is_looked_for(context: ToldContext, workspace: Workspace, name: str) -> None:
    rule = {"path": f"{SCOPES}/create", "lose_answer": True, "times": 1}
    workspace.post("/_local/faults", rule)
    assert RESOURCE.create(context, {"name": name}).id == name
    workspace.post("/_local/faults", {**rule, "lose_answer": False, "reset": True})
    with pytest.raises(ConnectionLost):
        RESOURCE.create(context, {"name": f"{name}-2"})


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 7, None])
def test_what_is_no_name_is_refused(context: ToldContext, given: Any) -> None:
    (failure,) = RESOURCE.check(context, {}, {"name": given})[1]
    assert failure.reason.startswith("name")


def test_only_another_name_is_a_change(context: ToldContext) -> None:
    # The vendor's resource keeps more in its state.
    old: Values = {"name": "a", "backendType": "DATABRICKS", "__defaults": []}
    assert RESOURCE.diff(context, "a", old, old, {"name": "a"}).changes == {}
    for other in ("b", UNKNOWN):
        found = RESOURCE.diff(context, "a", old, old, {"name": other})
        assert (found.replaces, found.delete_before_replace) == (True, False)
