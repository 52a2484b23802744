"""An endpoint runs what was deployed: not what is there later under the same name, number, or files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.store import Store
from agent_deploy.local.serving import pins
from agent_deploy.tables.folders import securable_folder
from tests.workspace.conftest import http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, register, served, wait

ANOTHER = """
from mlflow.pyfunc import PythonModel
from mlflow.models import set_model
import os

class Thief(PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return [os.environ.get("KEY", "no key")]

set_model(Thief())
"""
SECRET = "a-value-of-the-first-deployer"


@pytest.fixture(scope="module")
def workspace(local_workspace_factory: Callable[..., Any]) -> LocalWorkspace:
    """Processes start when they are asked: each request below meets what there is by then."""
    found: LocalWorkspace = local_workspace_factory(serving_start="on_request")
    return found


@pytest.fixture
def http(workspace: LocalWorkspace) -> Iterator[httpx.Client]:
    with http_client(workspace.host, workspace.token) as client:
        yield client


@pytest.fixture
def other(models: Path, tmp_path: Path) -> Path:
    """A model with other code."""
    import mlflow.pyfunc

    (tmp_path / "code.py").write_text(ANOTHER)
    mlflow.pyfunc.save_model(tmp_path / "other", python_model=str(tmp_path / "code.py"), pip_requirements=["mlflow"])
    return tmp_path / "other"


def endpoint_of(http: httpx.Client, model: str, name: str) -> Endpoint:
    """One that serves version 1 with a secret."""
    ok(http.post("/api/2.0/secrets/scopes/create", json={"scope": name}))
    ok(http.post("/api/2.0/secrets/put", json={"scope": name, "key": "k", "string_value": SECRET}))
    entity = served(model, environment_vars={"KEY": f"{{{{secrets/{name}/k}}}}"})
    ok(http.post(API, json={"name": name, "config": {"served_entities": [entity]}}))
    endpoint = Endpoint(http, name)
    endpoint.settled()
    return endpoint


def deregister(http: httpx.Client, model: str) -> None:
    """The model, with all that it had."""
    url = "/api/2.0/mlflow/unity-catalog/registered-models/delete"
    assert http.request("DELETE", url, json={"name": model}).is_success


def failed(endpoint: Endpoint) -> str:
    """What the entity says when it can be asked no more."""

    def state() -> dict[str, str]:
        endpoint.post({"inputs": ["hello"]})
        (entity,) = endpoint.get()["config"]["served_entities"]
        return dict(entity["state"])

    seen = wait(state, lambda seen: seen["deployment"] == "DEPLOYMENT_FAILED", 90)
    return str(seen["deployment_state_message"])


def test_a_version_that_was_made_anew_is_not_run_until_it_is_deployed(
    workspace: LocalWorkspace, http: httpx.Client, models: Path, other: Path
) -> None:
    model = "main.default.anew"
    register(http, model, models / "agent")
    running, asleep = endpoint_of(http, model, "running"), endpoint_of(http, model, "asleep")
    assert running.say("say hello") == "hello"
    principals = identities(workspace)
    deregister(http, model)
    assert register(http, model, other) == "1"
    # What runs goes on, as a container does.
    assert running.say("say hello") == "hello"
    message = failed(asleep)
    assert "Version 1 of 'main.default.anew' is not the one that was deployed" in message
    assert SECRET not in asleep.post({"inputs": ["hello"]}).text
    # The same after a restart, for both; and the new version has not got the old one's identity.
    workspace.restart()
    assert "is not the one that was deployed" in failed(running)
    assert identities(workspace) <= principals
    # The same request deploys what is there now, on purpose.
    entity = served(model, environment_vars={"KEY": "{{secrets/running/k}}"})
    ok(running.put(entity))
    assert running.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert ok(running.post({"inputs": ["hello"]}))["predictions"] == [SECRET]


def test_a_version_that_is_gone_and_files_that_were_changed_say_so(
    workspace: LocalWorkspace, http: httpx.Client, models: Path
) -> None:
    for model in ("main.default.gone", "main.default.touched"):
        register(http, model, models / "agent")
    gone, touched = endpoint_of(http, "main.default.gone", "gone"), endpoint_of(http, "main.default.touched", "touched")
    deregister(http, "main.default.gone")
    assert "is not in the registry any more" in failed(gone)
    described = http.get(f"{gone.url}/openapi")
    assert (described.status_code, described.json()["error_code"]) == (400, "INVALID_STATE")
    folder = securable_folder(workspace.folder / "models", "main.default.touched") / "1"
    code = next(folder.glob("*.py"))
    code.write_text(code.read_text() + "\n# changed\n")
    assert "were changed since it was deployed" in failed(touched)


def test_who_bears_the_name_of_the_deployer_reads_nothing_for_his_endpoint(
    workspace: LocalWorkspace, http: httpx.Client, models: Path
) -> None:
    model, scim = "main.default.left", "/api/2.0/preview/scim/v2/Users"
    register(http, model, models / "agent")
    for change in (("catalog/main", "USE_CATALOG"), ("schema/main.default", "USE_SCHEMA")):
        grant(http, "account users", *change)
    name = "deployer@example.com"
    made = http.post(scim, json={"userName": name}).json()["id"]
    grant(http, name, f"function/{model}", "EXECUTE")
    token = ok(http.post("/_local/tokens", json={"principal": name}))["token_value"]
    with http_client(workspace.host, token) as his:
        endpoint = endpoint_of(his, model, "left")
    assert http.delete(f"{scim}/{made}").is_success
    assert http.post(scim, json={"userName": name}).status_code == 201
    entry = {"scope": "left", "principal": name, "permission": "READ"}
    ok(http.post("/api/2.0/secrets/acls/put", json=entry))
    grant(http, name, f"function/{model}", "EXECUTE")
    as_admin = Endpoint(http, endpoint.name)
    assert f"{name}, who deployed the served entity, is not in the workspace any more" in failed(as_admin)
    # Whoever deploys it again does so in his own name.
    ok(as_admin.put(served(model, environment_vars={"KEY": "{{secrets/left/k}}"})))
    as_admin.settled()
    assert as_admin.say("say hello") == "hello"


def test_what_an_earlier_version_of_the_workspace_served_is_what_its_names_mean(
    workspace: LocalWorkspace, http: httpx.Client, models: Path
) -> None:
    model = "main.default.earlier"
    register(http, model, models / "agent")
    endpoint = endpoint_of(http, model, "earlier")
    workspace.stop()
    store = Store(workspace.folder / "workspace.db")
    document = store.get("serving_endpoint", "earlier") or {}
    (entity,) = document["config"]["served_entities"]
    noted = {name: entity.pop(name) for name in (pins.VERSION, pins.CREATOR, pins.DIGEST)}
    store.put("serving_endpoint", "earlier", document)
    store.close()
    workspace.start()
    assert endpoint.say("say hello") == "hello"
    workspace.stop()
    store = Store(workspace.folder / "workspace.db")
    (entity,) = (store.get("serving_endpoint", "earlier") or {})["config"]["served_entities"]
    store.close()
    workspace.start()
    assert {name: entity.get(name) for name in (pins.VERSION, pins.CREATOR)} == {
        name: noted[name] for name in (pins.VERSION, pins.CREATOR)
    }


def grant(http: httpx.Client, principal: str, target: str, privilege: str) -> None:
    body = {"changes": [{"principal": principal, "add": [privilege]}]}
    ok(http.patch(f"/api/2.1/unity-catalog/permissions/{target}", json=body))


def identities(workspace: LocalWorkspace) -> set[str]:
    """Application ids of the versions' own principals, by their folders."""
    folder = workspace.folder / "serving" / "credentials"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
