"""FeedbackModelVersion on a local workspace: adopted, registered, shared, kept, gone; loaded by MLflow's own client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.model_registry import ModelRegistry
from agent_deploy.client.workspace import Workspace
from agent_deploy.local import LocalWorkspace
from agent_deploy.provider.feedback.feedback_model_version import FeedbackModelVersion
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, PartialFailure, UserError
from agent_deploy.provider.verification.verify_deployment import verify_deployments

pytestmark = pytest.mark.processes

RESOURCE = FeedbackModelVersion()
REGISTRY = "/api/2.0/mlflow/unity-catalog"
FUNCTIONS = "/api/2.1/unity-catalog/permissions/function"


class Place:
    """A schema of its own in the workspace, seen by one principal."""

    def __init__(self, local: LocalWorkspace, schema: str, token: str = "") -> None:
        self.name = f"main.{schema}.feedback"
        self.workspace = Workspace(Settings(host=local.host, method=PAT, token=token or local.token))
        self.told: list[str] = []
        self.context = Context(
            configuration=self.workspace, log=lambda _severity, text, _ephemeral: self.told.append(text)
        )
        self.registry = ModelRegistry(self.workspace, self.name)

    def inputs(self, user: str = "project/dev/qa-feedback") -> dict[str, Any]:
        return {"modelName": self.name, "ownerMark": user}

    def registered(self, mlmodel: str, finalize: bool = True) -> None:
        """A version of somebody else's."""
        if self.registry.model() is None:
            self.workspace.post(f"{REGISTRY}/registered-models/create", {"name": self.name})
        body = {"name": self.name, "source": "tests"}
        made = self.workspace.post(f"{REGISTRY}/model-versions/create", body)
        version = str(made["model_version"]["version"])
        path = f"/api/2.0/fs/files/Models/{self.name.replace('.', '/')}/{version}/MLmodel"
        self.workspace.request("PUT", path, content=mlmodel.encode())
        if finalize:
            self.workspace.post(f"{REGISTRY}/model-versions/finalize", {"name": self.name, "version": version})


@pytest.fixture(scope="module")
def local(local_workspace_factory: Callable[..., Any]) -> LocalWorkspace:
    found: LocalWorkspace = local_workspace_factory(serving_start="on_request")
    return found


@pytest.fixture
def place(local: LocalWorkspace, request: pytest.FixtureRequest) -> Place:
    schema = f"schema_{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
    made = Place(local, schema)
    made.workspace.post("/api/2.1/unity-catalog/schemas", {"catalog_name": "main", "name": schema})
    return made


def verified(place: Place) -> dict[str, Any]:
    """What a deployment's verification says of the feedback model."""
    return dict(verify_deployments(place.context, {"deployments": [{"feedbackModel": place.name}]})["deployments"][0])


def theirs() -> str:
    """The MLmodel file of deploy()'s own feedback model, as far as it counts."""
    columns = [
        {"type": "string", "name": name, "required": True}
        for name in ("request_id", "source", "text_assessments", "retrieval_assessments")
    ]
    return json.dumps({"flavors": {}, "signature": {"inputs": json.dumps(columns), "params": None}})


def test_a_new_one_is_registered_for_everybody_and_goes_with_its_user(place: Place) -> None:
    assert verified(place)["problems"] == []
    created = RESOURCE.create(place.context, place.inputs())
    assert created.id == place.name
    assert created.properties == {**place.inputs(), "version": "1", "created": True}
    granted = place.workspace.get(f"{FUNCTIONS}/{place.name}")["privilege_assignments"]
    assert {"principal": "account users", "privileges": ["EXECUTE"]} in granted
    found = RESOURCE.read(place.context, created.id, place.inputs(), created.properties)
    assert found is not None
    assert found.properties == created.properties
    RESOURCE.delete(place.context, created.id, place.inputs(), created.properties)
    assert place.registry.model() is None
    assert RESOURCE.read(place.context, created.id, place.inputs(), created.properties) is None
    RESOURCE.delete(place.context, created.id, place.inputs(), created.properties)


def test_mlflows_client_loads_what_was_registered_and_its_predictions_are_those_of_the_original(
    place: Place, monkeypatch: pytest.MonkeyPatch, local: LocalWorkspace
) -> None:
    import mlflow
    import pandas as pd
    from mlflow.exceptions import MlflowException

    RESOURCE.create(place.context, place.inputs())
    for name, value in local.env().items():
        monkeypatch.setenv(name, value)
    mlflow.set_registry_uri("databricks-uc")
    model = mlflow.pyfunc.load_model(f"models:/{place.name}/1")
    row = {"request_id": "r", "source": '{"id": "a@b.c", "type": "human"}', "retrieval_assessments": None}
    row["text_assessments"] = '[{"ratings": {"answer_correct": {"value": "positive"}}}]'
    assert model.predict(pd.DataFrame([row])) == {"result": "ok"}
    with pytest.raises(MlflowException, match=r"source\.type: expected one of human") as refused:
        model.predict(pd.DataFrame([{**row, "source": '{"id": "a", "type": "robot"}'}]))
    assert refused.value.get_http_status_code() == 400


def test_one_that_was_there_is_adopted_at_its_highest_ready_version_and_stays(place: Place) -> None:
    place.registered(theirs())
    place.registered(theirs())
    place.registered(theirs(), finalize=False)
    before = place.registry.model()
    created = RESOURCE.create(place.context, place.inputs())
    assert (created.properties["version"], created.properties["created"]) == ("2", False)
    assert place.registry.model() == before
    RESOURCE.delete(place.context, created.id, place.inputs(), created.properties)
    assert place.registry.model() == before
    assert place.told == [f"{place.name} is kept: it was there before, and was only used"]


def test_it_leaves_with_the_last_of_its_users(place: Place) -> None:
    one, two = place.inputs("a/dev/one"), place.inputs("b/dev/two")
    made = [RESOURCE.create(place.context, inputs) for inputs in (one, two)]
    assert [each.properties["version"] for each in made] == ["1", "1"]
    RESOURCE.delete(place.context, place.name, one, made[0].properties)
    assert place.registry.model() is not None
    [said] = place.told
    assert said == f"{place.name} is kept: it is still used by b/dev/two, and leaves with the last of them"
    body = {"entity_name": place.name, "entity_version": "1", "workload_size": "Small", "name": "feedback"}
    endpoint = {"name": "somebody-elses", "config": {"served_entities": [{**body, "scale_to_zero_enabled": True}]}}
    place.workspace.post("/api/2.0/serving-endpoints", endpoint)
    RESOURCE.delete(place.context, place.name, two, made[1].properties)
    assert "serving endpoint somebody-elses" in place.told[-1]
    place.workspace.delete("/api/2.0/serving-endpoints/somebody-elses")
    RESOURCE.delete(place.context, place.name, two, made[1].properties)
    assert place.registry.model() is None


@pytest.mark.parametrize(
    ("mlmodel", "finalize", "said"),
    [
        ("flavors: {}\n", True, "version 1 is another kind of model: a feedback model takes request_id"),
        (": not yaml: [", True, "another kind of model"),
        ("[" * 100_000, True, "another kind of model"),
        ("flavors: {}\n", False, "exists without a version that is READY, and no run of ours has made it"),
    ],
)
def test_a_strangers_model_of_that_name_is_left_alone(place: Place, mlmodel: str, finalize: bool, said: str) -> None:
    place.registered(mlmodel, finalize)
    before = place.registry.model()
    with pytest.raises(UserError, match="feedback_model=False") as refused:
        RESOURCE.create(place.context, place.inputs())
    assert said in str(refused.value)
    _, [failure] = RESOURCE.check(place.context, {}, place.inputs())
    assert [failure.reason] == [str(refused.value)]
    assert verified(place)["problems"] == [f"{refused.value} [AGV046]"]
    assert place.registry.model() == before


def test_one_that_may_not_be_used_is_told_by_what_is_missing(place: Place, local: LocalWorkspace) -> None:
    place.registered(theirs())
    made = place.workspace.post("/api/2.0/preview/scim/v2/ServicePrincipals", {"displayName": "stranger"})
    token = place.workspace.post(
        "/api/2.0/token-management/on-behalf-of/tokens",
        {"application_id": made["applicationId"], "lifetime_seconds": 600},
    )["token_value"]
    stranger = Place(local, place.name.split(".")[1], token)
    [problem] = verified(stranger)["problems"]
    assert f"GRANT EXECUTE ON FUNCTION {place.name} TO" in problem
    with pytest.raises(UserError, match="feedback_model=False"):
        RESOURCE.create(stranger.context, stranger.inputs())


@pytest.mark.parametrize(
    "path",
    [
        "*/registered-models/set-tag",
        "*/permissions/function/*",
        "*/model-versions/create",
        "*/fs/files/Models/*/MLmodel",
        "*/model-versions/finalize",
    ],
)
def test_what_broke_in_the_middle_is_in_the_state_and_mended_by_the_next_run(place: Place, path: str) -> None:
    fault = place.workspace.post("/_local/faults", {"path": path, "status": 400, "times": 1})
    with pytest.raises(PartialFailure) as failed:
        RESOURCE.create(place.context, place.inputs())
    place.workspace.delete(f"/_local/faults/{fault['id']}")
    assert failed.value.properties == {**place.inputs(), "version": "", "created": True}
    partial = failed.value.properties
    mended = RESOURCE.update(place.context, place.name, place.inputs(), partial, place.inputs())
    assert [*place.registry.ready_versions()] == [int(mended["version"])]
    RESOURCE.delete(place.context, place.name, place.inputs(), mended)
    assert place.registry.model() is None


def test_a_run_that_was_killed_is_recognized_by_its_mark(place: Place) -> None:
    fault = place.workspace.post("/_local/faults", {"path": "*/model-versions/create", "status": 400, "times": 1})
    with pytest.raises(PartialFailure):
        RESOURCE.create(place.context, place.inputs())
    place.workspace.delete(f"/_local/faults/{fault['id']}")
    created = RESOURCE.create(place.context, place.inputs())
    assert created.properties["created"] is True
    assert [*place.registry.ready_versions()] == [1]


def test_another_owners_mark_takes_the_place_of_the_old(place: Place) -> None:
    created = RESOURCE.create(place.context, place.inputs("a/dev/old"))
    new = place.inputs("a/dev/new")
    RESOURCE.update(place.context, place.name, place.inputs("a/dev/old"), created.properties, new)
    model = place.registry.model()
    assert model is not None
    assert [value for key, value in model.tags.items() if "used_by" in key] == ["a/dev/new"]


def test_it_is_imported_by_its_name(place: Place) -> None:
    place.registered(theirs())
    found = RESOURCE.read(place.context, place.name, {}, {})
    assert found is not None
    assert found.inputs == {"modelName": place.name}
    assert (found.properties["version"], found.properties["created"]) == ("1", False)


def test_a_name_that_is_not_known_yet_passes_and_a_wrong_one_does_not(place: Place) -> None:
    assert RESOURCE.check(place.context, {}, {"modelName": UNKNOWN})[1] == []
    _, [failure] = RESOURCE.check(place.context, {}, {"modelName": "feedback"})
    assert "expected a Unity Catalog name of three levels" in failure.reason


@pytest.mark.parametrize(
    ("credentials", "uploads"), [({"storage_mode": "DEFAULT_STORAGE"}, 5), ({"aws_temp_credentials": {}}, 0)]
)
def test_a_workspace_without_the_files_api_for_models_takes_signed_uploads(
    credentials: dict[str, Any], uploads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("create-upload-url"):
            url = f"https://store.example.com{json.loads(request.content)['path']}"
            return httpx.Response(200, json={"url": url, "headers": [{"name": "x-kind", "value": "block"}]})
        body: dict[str, Any] = {"credentials": credentials} if "credentials" in path else {}
        return httpx.Response(200, json={"model_version": {"version": "1"}, **body})

    def upload(url: str, *, content: bytes, headers: dict[str, str], timeout: float) -> httpx.Response:
        assert headers == {"x-kind": "block"}
        put.append(url)
        return httpx.Response(200)

    monkeypatch.setattr(httpx, "put", upload)
    settings = Settings(host="https://w.example.com", method="pat", token="t")
    registry = ModelRegistry(Workspace(settings, transport=httpx.MockTransport(answer)), "main.a.feedback")
    files = {f"file{number}": "text" for number in range(5)}
    if uploads:
        assert registry.register("tests", "", files) == "1"
    else:
        with pytest.raises(Exception, match="only through its cloud's own storage client"):
            registry.register("tests", "", files)
    assert put == [f"https://store.example.com/Models/main/a/feedback/1/file{number}" for number in range(uploads)]
