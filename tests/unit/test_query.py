"""`agent-deploy query`: every kind of agent is asked in its own words, and every failure is one line."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from typer.testing import CliRunner

from agent_deploy.client.configuration import OAUTH_M2M, PAT, Settings, resolve
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.query import Question, ask
from agent_deploy.client.workspace import Workspace

TASK = "agent/v1/responses"
READY = {"ready": "READY", "config_update": "NOT_UPDATING"}


def endpoint(task: str | None = TASK, state: dict[str, str] | None = None, message: str = "") -> dict[str, Any]:
    entity = {"name": "a_1", "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": message}}
    described = {"name": "docs", "state": state or READY, "config": {"served_entities": [entity]}}
    return {**described, "task": task} if task else described


def events(*documents: dict[str, Any]) -> httpx.Response:
    lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
    return httpx.Response(
        200, headers={"content-type": "text/event-stream"}, text="".join([*lines, "data: [DONE]\n\n"])
    )


class Service:
    """A workspace with one endpoint; keeps what it was asked."""

    def __init__(self, described: dict[str, Any] | httpx.Response, *answers: httpx.Response) -> None:
        self.described, self.answers = described, list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/invocations"):
            self.asked.append(json.loads(request.content))
            return self.answers.pop(0)
        if request.url.path == "/api/2.0/serving-endpoints":
            return httpx.Response(200, json={"endpoints": [{"name": "docs"}, {"name": "other"}]})
        return (
            self.described if isinstance(self.described, httpx.Response) else httpx.Response(200, json=self.described)
        )

    def ask(self, question: Question | None = None, name: str = "docs", **options: Any) -> Any:
        settings = resolve({"host": "http://127.0.0.1:1", "token": "dapi-test-token"})
        workspace = Workspace(settings, transport=httpx.MockTransport(self))
        return ask(workspace, name, question or Question("why?"), **options)


def error(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error_code": code, "message": message})


class RouteOptimized(Service):
    """A workspace that exchanges a token for one that names its endpoint, which has a host of its own."""

    def __init__(self, *answers: httpx.Response) -> None:
        super().__init__({**endpoint(), "id": "ab12", "endpoint_url": "http://own.test/7/docs/invocations"}, *answers)
        self.forms: list[dict[str, str]] = []
        self.signed: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oidc/v1/token":
            self.forms.append(dict(parse_qsl(request.content.decode())))
            return httpx.Response(200, json={"access_token": f"token-{len(self.forms)}"})
        self.signed.append((str(request.url), request.headers["authorization"]))
        return super().__call__(request)

    def ask_as(self, method: str, **credentials: str) -> Any:
        settings = Settings("http://127.0.0.1:1", method, **credentials)
        return ask(Workspace(settings, transport=httpx.MockTransport(self)), "docs", Question("why?"))


def test_a_route_optimized_endpoint_is_asked_at_its_own_url_with_a_token_that_names_it() -> None:
    service = RouteOptimized(events({"type": "response.output_text.delta", "item_id": "m", "delta": "hi"}))
    assert service.ask_as(OAUTH_M2M, client_id="c", client_secret="s").text == "hi"
    _, exchange = service.forms
    details = json.loads(exchange.pop("authorization_details"))
    assert exchange == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "token-1"}
    assert [(each["object_path"], each["actions"]) for each in details] == [
        ("/serving-endpoints/ab12", ["query_inference_endpoint"])
    ]
    assert service.signed[-1] == ("http://own.test/7/docs/invocations", "Bearer token-2")


def test_a_route_optimized_endpoint_is_not_asked_with_a_personal_access_token() -> None:
    service = RouteOptimized()
    with pytest.raises(WorkspaceError, match=r"take OAuth tokens only.*DATABRICKS_CLIENT_ID"):
        service.ask_as(PAT, token="dapi-test-token")
    assert service.forms == []


def test_a_responses_agent_is_asked_with_input_and_its_pieces_arrive_one_by_one() -> None:
    done = {
        "type": "response.output_item.done",
        "item": {"id": "m", "content": [{"type": "output_text", "text": "ab"}]},
    }
    pieces = [{"type": "response.output_text.delta", "item_id": "m", "delta": piece} for piece in "ab"]
    service = Service(endpoint(), events(*pieces, done))
    heard: list[str] = []
    assert service.ask(on_text=heard.append).text == "ab"
    assert heard == ["a", "b"]
    assert service.asked == [{"input": [{"role": "user", "content": "why?"}], "stream": True}]


def test_an_item_that_was_not_streamed_in_pieces_is_shown_when_it_is_done() -> None:
    done = {
        "type": "response.output_item.done",
        "item": {"id": "m", "content": [{"type": "output_text", "text": "ab"}]},
    }
    assert Service(endpoint(), events(done)).ask().text == "ab"


def test_a_chat_agent_is_asked_with_messages() -> None:
    chunks = [{"delta": {"role": "assistant", "content": text, "id": "1"}} for text in ("a", "b")]
    service = Service(endpoint("agent/v2/chat"), events(*chunks))
    assert service.ask().text == "ab"
    assert "messages" in service.asked[0]


def test_a_chat_completion_is_read_from_its_choices() -> None:
    chunks = [{"choices": [{"delta": {"content": text}}]} for text in ("a", None, "b")]
    assert Service(endpoint("llm/v1/chat"), events(*chunks)).ask().text == "ab"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]}, "x"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "x"),
        ({"choices": [{"message": {"content": "x"}}]}, "x"),
        ({"predictions": "x"}, "x"),
        ({"predictions": {"result": 1}}, '{\n  "result": 1\n}'),
    ],
)
def test_a_whole_answer_of_every_kind_is_read(document: dict[str, Any], text: str) -> None:
    assert Service(endpoint(), httpx.Response(200, json=document)).ask(stream=False).text == text


def test_without_a_task_messages_are_tried_when_input_is_refused() -> None:
    service = Service(
        endpoint(None), error(400, "BAD_REQUEST", "Failed to enforce schema"), events({"delta": {"content": "x"}})
    )
    assert service.ask().text == "x"
    assert [next(iter(body)) for body in service.asked] == ["input", "messages"]


NO_STREAM = "NotImplementedError: Streaming implementation not provided."  # an MLflow agent without predict_stream


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "INVALID_PARAMETER_VALUE", "This model does not stream"),
        error(500, "INTERNAL_ERROR", NO_STREAM),
        events({"error": {"message": NO_STREAM}}),
    ],
)
def test_an_agent_that_cannot_stream_is_asked_again_without(refusal: httpx.Response) -> None:
    whole = httpx.Response(200, json={"predictions": "x"})
    service = Service(endpoint(), refusal, whole)
    assert service.ask().text == "x"
    assert [body.get("stream") for body in service.asked] == [True, None]


def test_an_endpoint_whose_name_speaks_of_streams_is_not_asked_again_for_a_refusal_of_another_kind() -> None:
    service = Service(endpoint(), error(400, "BAD_REQUEST", "Failed to enforce schema"))
    with pytest.raises(WorkspaceError, match=r"Failed to enforce schema .*streaming-docs"):
        service.ask(name="streaming-docs")
    assert len(service.asked) == 1


def test_events_of_another_shape_are_shown_as_they_are() -> None:
    update = {"agent": {"messages": [{"type": "ai", "content": "hi"}]}}
    assert Service(endpoint(), events(update, {"tools": None})).ask().text == (
        '{"agent": {"messages": [{"type": "ai", "content": "hi"}]}}\n{"tools": null}\n'
    )
    # What an agent says of itself has no text, and none is made of it.
    started, traced = {"type": "response.created"}, {"databricks_output": {"databricks_request_id": "r"}}
    assert Service(endpoint(), events(started, traced, {"delta": {"content": "x"}})).ask().text == "x"


def test_conversation_and_trace_travel_in_databricks_options_and_the_trace_comes_back() -> None:
    trace = {"info": {"trace_id": "tr-1"}, "data": {"spans": []}}
    output = {"type": "databricks_output", "databricks_output": {"trace": trace, "databricks_request_id": "r1"}}
    service = Service(endpoint(), events(output))
    answer = service.ask(Question("why?", conversation_id="c1", return_trace=True))
    assert service.asked[0]["databricks_options"] == {"return_trace": True, "conversation_id": "c1"}
    assert (answer.request_id, answer.trace) == ("r1", trace)


def test_a_failure_in_the_middle_of_a_stream_is_told() -> None:
    with pytest.raises(WorkspaceError, match="failed while it was answering: boom"):
        Service(endpoint(), events({"delta": {"content": "x"}}, {"error": {"message": "boom"}})).ask()


def test_an_unknown_endpoint_names_those_that_are_near() -> None:
    service = Service(error(404, "RESOURCE_DOES_NOT_EXIST", "Endpoint with name 'docs' does not exist."))
    with pytest.raises(WorkspaceError, match=r"no serving endpoint 'docs' at http://127.0.0.1:1: it has docs"):
        service.ask()


def test_an_endpoint_that_is_not_ready_is_not_asked() -> None:
    state = {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
    service = Service(endpoint(state=state, message="Building the container"))
    with pytest.raises(WorkspaceError, match=r"not ready \(it is being updated; a_1: Building the container\)"):
        service.ask()
    assert service.asked == []


def test_scaled_to_zero_is_said_before_the_wait() -> None:
    waits: list[str] = []
    Service(endpoint(message="Scaled to zero"), events({"delta": {"content": "x"}})).ask(on_waiting=waits.append)
    assert waits == ["docs is scaled to zero: waiting for a_1 to start"]


def test_a_running_endpoint_says_nothing_of_waiting() -> None:
    waits: list[str] = []
    Service(endpoint(), events({"delta": {"content": "x"}})).ask(on_waiting=waits.append)
    assert waits == []


def test_a_refusal_says_what_the_owner_can_grant() -> None:
    refused = error(403, "PERMISSION_DENIED", "User a does not have permission CAN_QUERY.")
    with pytest.raises(WorkspaceError, match=r"You may not ask 'docs' .* Its owner can grant CAN_QUERY"):
        Service(endpoint(), refused).ask()


def test_who_may_ask_but_not_look_is_answered() -> None:
    hidden = error(403, "PERMISSION_DENIED", "no")
    assert Service(hidden, events({"delta": {"content": "x"}})).ask().text == "x"


def test_the_command_tells_an_unreachable_workspace_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_deploy.cli.app import CommandError, app

    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test-token")
    monkeypatch.setattr("agent_deploy.client.retries.CONNECT_PATIENCE", 0.0)
    result = CliRunner().invoke(app, ["query", "docs", "why?"])
    assert isinstance(result.exception, CommandError)
    assert "No Databricks workspace answers at http://127.0.0.1:9" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_the_command_refuses_an_empty_question() -> None:
    from agent_deploy.cli.app import CommandError, app

    result = CliRunner().invoke(app, ["query", "docs", " "])
    assert isinstance(result.exception, CommandError)
    assert "the question is empty" in str(result.exception)
