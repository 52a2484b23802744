"""AgentRegistration: into register and Review App and out of both, while others stay; with and without the API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from agent_deploy.client.agents_service import DEPLOYMENTS, LABELING_SCHEMAS, REVIEW_APPS
from agent_deploy.client.configuration import Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, PartialFailure, UserError, Values
from agent_deploy.provider.registration.agent_registration import AgentRegistration

HOST = "https://w.example.com"
MODEL = "main.default.qa"
INPUTS: Values = {
    "modelName": MODEL,
    "modelVersion": "3",
    "endpointName": "agents_qa",
    "servedEntityName": "qa_3",
    "experimentId": "77",
}
ID = f"{MODEL}/3"
OTHERS = {"agent_name": "main.default.other", "model_serving_endpoint": {"endpoint_name": "agents_other"}}


class Service:
    """The agents service behind httpx.MockTransport; ``faults`` maps "METHOD path" to what is answered instead."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.instructions: dict[str, str] = {}
        self.apps: list[dict[str, Any]] = []
        self.endpoints = {"agents_qa": {"MONITOR_EXPERIMENT_ID": "77"}, "agents_other": {}}
        self.faults: dict[str, httpx.Response | Exception] = {}
        self.writes: list[tuple[str, str, Any]] = []
        self.url = ""
        self.messages: list[tuple[str, str]] = []
        settings = Settings(host=HOST, method="pat", token="t")
        workspace = Workspace(settings, transport=httpx.MockTransport(self._answer))
        self.context = Context(configuration=workspace, log=lambda severity, text, _: self._note(severity, text))

    def agents(self, experiment: str = "77") -> dict[str, str]:
        """Agent → endpoint, in the experiment's Review App."""
        (app,) = [app for app in self.apps if app["experiment_id"] == experiment]
        return {each["agent_name"]: each["model_serving_endpoint"]["endpoint_name"] for each in app["agents"]}

    def _note(self, severity: str, text: str) -> None:
        self.messages.append((severity, text))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, body = unquote(request.url.path), json.loads(request.content or b"null")
        if request.method != "GET":
            self.writes.append((request.method, path, body))
        for pattern, fault in self.faults.items():
            method, _, start = pattern.partition(" ")
            if request.method == method and path.startswith(start):
                if isinstance(fault, Exception):
                    raise fault
                return fault
        if path.startswith("/api/2.0/serving-endpoints/"):
            return self._endpoint(path.rsplit("/", 1)[-1])
        return httpx.Response(200, json=self._service(request, path, body))

    def _endpoint(self, name: str) -> httpx.Response:
        if name not in self.endpoints:
            return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"})
        tags = [{"key": key, "value": value} for key, value in self.endpoints[name].items()]
        return httpx.Response(200, json={"name": name, "tags": tags})

    def _service(self, request: httpx.Request, path: str, body: Any) -> dict[str, Any]:
        if path == REVIEW_APPS and request.method == "GET":
            wanted = request.url.params["filter"].removeprefix("experiment_id=")
            return {"review_apps": [app for app in self.apps if app["experiment_id"] == wanted]}
        if path == REVIEW_APPS:
            self.apps.append({**body, "review_app_id": f"ra{len(self.apps)}"})
            return self.apps[-1]
        if path.startswith(REVIEW_APPS):
            (app,) = [app for app in self.apps if app["review_app_id"] == path.rsplit("/", 1)[-1]]
            app["agents"] = body["agents"]
            return app
        return self._register(request.method, path, body)

    def _register(self, method: str, path: str, body: Any) -> dict[str, Any]:
        if method == "POST" and path == DEPLOYMENTS:
            chain = {**body, "model_version": str(body["model_version"]), "review_app_url": self.url}
            del chain["workspace_url"]
            same = (chain["model_name"], chain["model_version"])
            self.records = [each for each in self.records if (each["model_name"], each["model_version"]) != same]
            self.records.append(chain)
            return {"deployed_chain": chain}
        model, _, rest = path.removeprefix(f"{DEPLOYMENTS}/").partition("/")
        if rest == "instructions":
            if method == "POST":
                self.instructions[model] = body["instructions"]
                return {}
            return {"instructions": told} if (told := self.instructions.get(model)) else {}
        version = rest.removeprefix("versions/")
        found = [e for e in self.records if e["model_name"] == model and version in ("", e["model_version"])]
        if method == "DELETE":
            self.records = [each for each in self.records if each not in found]
            return {}
        return {"chain_deployments": found} if found else {}


@pytest.fixture
def service() -> Service:
    return Service()


REGISTRATION = AgentRegistration()


def create(service: Service, **more: Any) -> Values:
    """The properties of a new one."""
    return REGISTRATION.create(service.context, {**INPUTS, **more}).properties


def inputs_of(properties: Values) -> Values:
    """The inputs among the properties."""
    return {name: properties[name] for name in AgentRegistration.inputs if name in properties}


def read(service: Service, properties: Values) -> Values | None:
    """The inputs that a refresh finds."""
    found = REGISTRATION.read(service.context, ID, inputs_of(properties), properties)
    return None if found is None else found.inputs


def remove(service: Service, properties: Values) -> None:
    """Deletes it."""
    REGISTRATION.delete(service.context, ID, inputs_of(properties), properties)


def test_a_version_is_registered_as_deploy_registers_it_and_gone_again(service: Service) -> None:
    properties = create(service, instructions="Be kind.")
    url = f"{HOST}/serving-endpoints/agents_qa/served-models/qa_3/invocations"
    assert service.writes[0] == (
        "POST",
        DEPLOYMENTS,
        {
            "model_name": MODEL,
            "model_version": 3,
            "endpoint_name": "agents_qa",
            "served_entity_name": "qa_3",
            "query_endpoint": url,
            "workspace_url": HOST,
        },
    )
    assert service.instructions == {MODEL: "Be kind."}
    assert service.agents() == {MODEL: "agents_qa"}
    assert [schema["name"] for schema in service.apps[0]["labeling_schemas"]] == [s["name"] for s in LABELING_SCHEMAS]
    assert properties["registered"] is True
    assert properties["queryEndpoint"] == url
    assert properties["reviewAppUrl"] == f"{HOST}/ml/review-v2/ra0/chat"
    assert read(service, properties) == inputs_of(properties)
    service.writes.clear()
    remove(service, properties)
    # By the record the workspace knows who may write instructions: it goes after them.
    assert [path for _, path, _ in service.writes[:2]] == [
        f"{DEPLOYMENTS}/{MODEL}/instructions",
        f"{DEPLOYMENTS}/{MODEL}/versions/3",
    ]
    assert service.records == []
    assert service.instructions == {MODEL: ""}
    assert service.agents() == {}
    remove(service, properties)
    assert service.messages == []


def test_an_address_of_the_register_is_taken_as_it_is(service: Service) -> None:
    service.url = f"{HOST}/ml/review-v2/chat?endpoint=agents_qa"
    assert create(service)["reviewAppUrl"] == service.url


def test_without_experiment_there_is_no_review_app(service: Service) -> None:
    properties = create(service, experimentId=None)
    assert service.apps == []
    assert properties["reviewAppUrl"] == f"{HOST}/ml/review-v2/chat?endpoint=agents_qa"


def test_others_agents_and_the_models_other_versions_stay(service: Service) -> None:
    service.apps = [{"review_app_id": "ra0", "experiment_id": "77", "agents": [OTHERS], "labeling_schemas": []}]
    third = create(service, instructions="Be kind.")
    fourth = {**INPUTS, "modelVersion": "4", "servedEntityName": "qa_4", "instructions": "Be kind."}
    second = REGISTRATION.create(service.context, dict(fourth)).properties
    assert [each["model_version"] for each in service.records] == ["3", "4"]
    assert service.agents() == {"main.default.other": "agents_other", MODEL: "agents_qa"}
    remove(service, third)
    assert service.agents() == {"main.default.other": "agents_other", MODEL: "agents_qa"}
    assert service.instructions == {MODEL: "Be kind."}
    REGISTRATION.delete(service.context, f"{MODEL}/4", fourth, second)
    assert service.agents() == {"main.default.other": "agents_other"}
    assert service.records == []


def test_what_was_changed_by_hand_is_drift_and_is_mended(service: Service) -> None:
    properties = create(service, instructions="Be kind.")
    service.instructions[MODEL] = "Be harsh."
    service.apps[0]["agents"] = [OTHERS]
    found = read(service, properties)
    assert found == {**{k: v for k, v in INPUTS.items() if k != "experimentId"}, "instructions": "Be harsh."}
    REGISTRATION.update(service.context, ID, found, {**properties, **found}, inputs_of(properties))
    assert read(service, properties) == inputs_of(properties)
    assert service.agents() == {"main.default.other": "agents_other", MODEL: "agents_qa"}
    service.records = []
    assert read(service, properties) is None


def test_only_what_differs_is_written(service: Service) -> None:
    properties = create(service, instructions="Be kind.")
    service.writes.clear()
    wanted = {**inputs_of(properties), "instructions": "Be brief."}
    REGISTRATION.update(service.context, ID, inputs_of(properties), properties, wanted)
    assert [path for _, path, _ in service.writes] == [f"{DEPLOYMENTS}/{MODEL}/instructions"]
    REGISTRATION.update(service.context, ID, wanted, {**properties, **wanted}, dict(INPUTS))
    assert service.instructions == {MODEL: ""}


def test_another_endpoint_and_another_experiment_move_it(service: Service) -> None:
    properties = create(service)
    service.endpoints["elsewhere"] = {}
    wanted = {**INPUTS, "endpointName": "elsewhere", "experimentId": "88"}
    moved = REGISTRATION.update(service.context, ID, dict(INPUTS), properties, wanted)
    assert [each["endpoint_name"] for each in service.records] == ["elsewhere"]
    assert (service.agents("77"), service.agents("88")) == ({}, {MODEL: "elsewhere"})
    assert "elsewhere" in moved["queryEndpoint"]
    assert service.messages == []


def test_a_record_that_another_endpoint_has_is_taken_over_once_and_then_left_to_it(service: Service) -> None:
    theirs = {"model_name": MODEL, "model_version": "3", "endpoint_name": "agents_other", "served_entity_name": "e"}
    service.records = [dict(theirs)]
    properties = create(service)
    assert [each["endpoint_name"] for each in service.records] == ["agents_qa"]
    assert "was registered for endpoint agents_other" in service.messages[0][1]
    service.records = [dict(theirs)]
    found = REGISTRATION.read(service.context, ID, dict(INPUTS), properties)
    assert found is not None
    assert (found.inputs, found.properties["registered"]) == (INPUTS, False)
    REGISTRATION.update(service.context, ID, dict(INPUTS), found.properties, {**INPUTS, "instructions": "Be kind."})
    remove(service, properties)
    assert service.records == [theirs]
    del service.endpoints["agents_other"]
    assert read(service, properties) is None


def test_a_record_that_the_deployer_may_not_take_over_is_left(service: Service) -> None:
    refusal = {"error_code": "PERMISSION_DENIED", "message": "no CAN_MANAGE on endpoint 'hidden'"}
    service.faults = {f"POST {DEPLOYMENTS}": httpx.Response(403, json=refusal)}
    properties = create(service)
    assert properties["registered"] is False
    assert service.agents() == {MODEL: "agents_qa"}
    ((severity, text),) = service.messages
    assert severity == "warning"
    assert "not registered for endpoint agents_qa: no CAN_MANAGE on endpoint 'hidden'" in text
    remove(service, properties)
    assert service.agents() == {}


def test_what_the_instructions_keep_from_going_goes(service: Service) -> None:
    properties = create(service, instructions="Be kind.")
    gone = httpx.Response(404, json={"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"})
    service.faults = {f"GET {DEPLOYMENTS}/{MODEL}/instructions": gone}
    remove(service, properties)
    assert service.records == []


def test_a_review_app_that_asks_the_agent_elsewhere_is_left_alone(service: Service) -> None:
    agent = {"agent_name": MODEL, "model_serving_endpoint": {"endpoint_name": "agents_other"}}
    service.apps = [{"review_app_id": "ra0", "experiment_id": "77", "agents": [agent], "labeling_schemas": []}]
    properties = create(service)
    assert properties["reviewAppId"] == ""
    assert "by endpoint agents_other already" in service.messages[0][1]
    assert read(service, properties) == INPUTS
    remove(service, properties)
    assert service.agents() == {MODEL: "agents_other"}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}),
        httpx.Response(404, text="not here"),
        httpx.Response(501, json={"error_code": "NOT_IMPLEMENTED", "message": "no"}),
    ],
)
def test_a_workspace_without_agents_service_is_told_and_nothing_fails(service: Service, answer: httpx.Response) -> None:
    service.faults = {f"{method} /api/2.0/{api}": answer for method in ("GET", "POST") for api in ("agents", "managed")}
    properties = create(service, instructions="Be kind.")
    assert properties["registered"] is False
    assert properties["reviewAppUrl"] == f"{HOST}/ml/review-v2/chat?endpoint=agents_qa"
    (message,) = service.messages
    assert message[0] == "warning"
    assert f"no agents service (GET {DEPLOYMENTS}/{MODEL}/versions/3: {answer.status_code}" in message[1]
    assert read(service, properties) == inputs_of(properties)
    remove(service, properties)
    with pytest.raises(UserError, match="cannot be imported"):
        REGISTRATION.read(service.context, ID, {}, {})


def test_an_endpoint_that_does_not_exist_is_no_missing_api(service: Service) -> None:
    missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no endpoint"}
    service.faults = {f"POST {DEPLOYMENTS}": httpx.Response(404, json=missing)}
    with pytest.raises(Exception, match="no endpoint"):
        create(service)


def test_only_the_review_app_is_missing(service: Service) -> None:
    service.faults = {f"GET {REVIEW_APPS}": httpx.Response(501, json={"message": "no"})}
    properties = create(service)
    assert properties["registered"] is True
    assert "the Review App does not know it" in service.messages[0][1]
    assert read(service, properties) == INPUTS


@pytest.mark.parametrize(
    "fault",
    [httpx.Response(403, json={"error_code": "PERMISSION_DENIED", "message": "no"}), httpx.ReadError("reset")],
)
def test_what_failed_half_way_is_gone_on_with_or_taken_back(
    service: Service, fault: httpx.Response | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_deploy.client.retries.Tries.sleep", lambda *_: None)
    service.faults = {f"POST {REVIEW_APPS}": fault}
    with pytest.raises(PartialFailure, match=r"Version 3 of main\.default\.qa is not yet known") as failed:
        create(service)
    half = failed.value
    assert half.properties["registered"] is True
    service.faults = {}
    REGISTRATION.update(service.context, half.id, half.inputs, half.properties, dict(INPUTS))
    assert service.agents() == {MODEL: "agents_qa"}
    remove(service, half.properties)
    assert (service.records, service.agents()) == ([], {})


def test_a_record_whose_answer_was_lost_is_not_forgotten(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_deploy.client.retries.Tries.sleep", lambda *_: None)
    service.faults = {f"POST {DEPLOYMENTS}": httpx.ReadError("reset")}
    with pytest.raises(PartialFailure) as failed:
        create(service)
    assert failed.value.properties["registered"] is False
    service.records = [{"model_name": MODEL, "model_version": "3", "endpoint_name": "agents_qa"}]
    remove(service, failed.value.properties)
    assert service.records == []


def test_it_is_imported_by_model_and_version(service: Service) -> None:
    create(service, instructions="Be kind.")
    found = REGISTRATION.read(service.context, ID, {}, {})
    assert found is not None
    assert found.inputs == {**INPUTS, "instructions": "Be kind."}
    assert REGISTRATION.read(service.context, f"{MODEL}/9", {}, {}) is None
    with pytest.raises(UserError, match=r"expected <catalog\.schema\.model>/<version>"):
        REGISTRATION.read(service.context, MODEL, {}, {})


def test_versions_are_numbers_and_addresses_are_foreseen(service: Service) -> None:
    inputs, failures = REGISTRATION.check(service.context, {}, {**INPUTS, "modelVersion": 3.0})
    assert (inputs["modelVersion"], failures) == ("3", [])
    assert REGISTRATION.check(service.context, {}, {**INPUTS, "modelVersion": UNKNOWN})[1] == []
    (failure,) = REGISTRATION.check(service.context, {}, {**INPUTS, "modelVersion": "champion"})[1]
    assert "'champion'" in failure.reason
    old = create(service)
    kept = REGISTRATION.preview(service.context, old, {**INPUTS, "instructions": "x"})
    assert kept["reviewAppUrl"] == old["reviewAppUrl"]
    assert REGISTRATION.preview(service.context, old, {**INPUTS, "endpointName": "x"})["reviewAppUrl"] is UNKNOWN
    assert REGISTRATION.preview(service.context, None, dict(INPUTS))["registered"] is UNKNOWN
