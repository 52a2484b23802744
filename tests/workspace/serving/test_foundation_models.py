"""The endpoints databricks-… that every workspace has: who may ask and change them, and what answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole, EndpointCoreConfigInput

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.serving.foundation import check_answers
from tests.workspace.conftest import Caller, http_client
from tests.workspace.serving.conftest import Endpoint, register, served

CHAT, EMBEDDINGS = "databricks-claude-sonnet-4", "databricks-gte-large-en"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def asked(caller: Caller, path: str, body: Any) -> httpx.Response:
    return caller.http.post(f"/serving-endpoints/{path}", json=body)


def test_everybody_asks_them_and_the_answer_says_what_it_is(stranger: Caller) -> None:
    said = stranger.sdk.serving_endpoints.query(CHAT, messages=[ChatMessage("hello", ChatMessageRole.USER)])
    assert said.choices
    assert said.choices[0].message
    assert said.choices[0].message.content == f"[stand-in for {CHAT}] hello"
    again = [asked(stranger, path, {**HELLO, **more}).json() for path, more in (
        (f"{CHAT}/invocations", {}), ("chat/completions", {"model": CHAT})
    )]  # fmt: skip
    assert again[0]["choices"] == again[1]["choices"]
    assert asked(stranger, "completions", {"model": CHAT, "prompt": "x"}).json()["choices"][0]["text"].endswith(" x")
    [one] = asked(stranger, "embeddings", {"model": EMBEDDINGS, "input": "x"}).json()["data"]
    assert sum(number * number for number in one["embedding"]) == pytest.approx(1)


def test_a_stream_is_the_same_answer(stranger: Caller) -> None:
    events = [
        line.removeprefix("data: ")
        for line in asked(stranger, f"{CHAT}/invocations", {**HELLO, "stream": True}).text.split("\n\n")
        if line
    ]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event)["choices"][0] for event in events]
    assert "".join(chunk["delta"].get("content", "") for chunk in chunks) == f"[stand-in for {CHAT}] hello"
    assert [chunk["finish_reason"] for chunk in chunks if chunk["finish_reason"]] == ["stop"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_the_question_names_is_called(stranger: Caller, stream: bool) -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    }
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    question = {"role": "user", "content": "weather in Oslo for 3 days"}
    answer = asked(stranger, f"{CHAT}/invocations", {"messages": [question], "tools": [tool], "stream": stream})
    if stream:
        [call] = json.loads(answer.text.split("\n\n")[0].removeprefix("data: "))["choices"][0]["delta"]["tool_calls"]
    else:
        [call] = answer.json()["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": question["content"], "days": 3}
    told = {"role": "tool", "content": "rain", "tool_call_id": call["id"]}
    after = asked(stranger, f"{CHAT}/invocations", {"messages": [question, told], "tools": [tool]}).json()
    assert after["choices"][0]["message"]["content"].endswith("rain")


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        (CHAT, {}, "messages: expected a list"),
        (CHAT, {"messages": "x"}, "messages: expected a list"),
        (EMBEDDINGS, {"input": [1]}, "input: expected a text"),
        (EMBEDDINGS, [], "a JSON object"),
    ],
)
def test_a_question_that_is_none_is_told(stranger: Caller, name: str, body: Any, told: str) -> None:
    answer = asked(stranger, f"{name}/invocations", body)
    assert (answer.status_code, told in answer.json()["message"]) == (400, True)


def test_they_are_listed_and_nobody_changes_them(admin: Caller, stranger: Caller) -> None:
    for caller in (admin, stranger):
        assert {CHAT, EMBEDDINGS} <= {each.name for each in caller.sdk.serving_endpoints.list()}
        shown = caller.sdk.serving_endpoints.get(CHAT)
        assert shown.config
        assert shown.config.served_entities
        assert shown.config.served_entities[0].foundation_model
        assert "stand-in" in str(shown.config.served_entities[0].foundation_model.description)
    changes: list[Callable[[], Any]] = [
        lambda: admin.sdk.serving_endpoints.delete(CHAT),
        lambda: admin.sdk.serving_endpoints.patch(CHAT, delete_tags=["x"]),
        lambda: admin.sdk.serving_endpoints.update_config(CHAT, served_entities=[]),
    ]
    for change in changes:
        with pytest.raises(DatabricksError, match="cannot be changed"):
            change()
    with pytest.raises(DatabricksError, match="keeps for its own endpoints"):
        admin.sdk.serving_endpoints.create(
            "databricks-mine", config=EndpointCoreConfigInput("databricks-mine", served_entities=[])
        )


@contextmanager
def openai_compatible() -> Iterator[tuple[str, list[Any]]]:
    """Its address, and what it was asked."""
    questions: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            questions.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            stream = questions[-1][1].get("stream")
            body = (
                b"data: [DONE]\n\n" if stream else json.dumps({"choices": [{"message": {"content": "ours"}}]}).encode()
            )
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if stream else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", questions
        finally:
            server.shutdown()


def test_an_address_answers_where_the_user_names_one(local_workspace_factory: Callable[..., LocalWorkspace]) -> None:
    with openai_compatible() as (address, questions):
        answers = {CHAT: f"{address}#llama", "databricks-of-tomorrow": address, EMBEDDINGS: "http://127.0.0.1:1/v1"}
        workspace = local_workspace_factory(foundation_models=answers)
        http = httpx.Client(base_url=workspace.host, headers={"Authorization": f"Bearer {workspace.token}"})
        for name, model in ((CHAT, "llama"), ("databricks-of-tomorrow", "databricks-of-tomorrow")):
            answer = http.post(f"/serving-endpoints/{name}/invocations", json=HELLO).json()
            assert answer.get("choices") == [{"message": {"content": "ours"}}], answer
            assert questions[-1] == ("/v1/chat/completions", {**HELLO, "model": model})
        stream = http.post(f"/serving-endpoints/{CHAT}/invocations", json={**HELLO, "stream": True})
        assert stream.text == "data: [DONE]\n\n"
        gone = http.post(f"/serving-endpoints/{EMBEDDINGS}/invocations", json={"input": "x"})
        assert (gone.status_code, "does not answer" in gone.json()["message"]) == (503, True)
        shown = http.get(f"/api/2.0/serving-endpoints/{CHAT}").json()
        assert address in shown["description"]


def test_a_served_model_answers_where_the_user_names_one(
    local_workspace_factory: Callable[..., LocalWorkspace], models: Path
) -> None:
    workspace = local_workspace_factory(foundation_models={CHAT: "own"})
    with http_client(workspace.host, workspace.token) as http:
        missing = http.post(f"/serving-endpoints/{CHAT}/invocations", json=HELLO)
        assert (missing.status_code, "'own' does not exist" in missing.json()["message"]) == (404, True)
        register(http, "main.default.own", models / "agent")
        config = {"served_entities": [served("main.default.own")]}
        http.post("/api/2.0/serving-endpoints", json={"name": "own", "config": config}).raise_for_status()
        own = Endpoint(http, "own")
        own.settled()
        question = {"input": [{"role": "user", "content": "say hello"}]}
        said = own.post(question).raise_for_status().json()["output"]
        named = http.post(f"/serving-endpoints/{CHAT}/invocations", json=question, timeout=60)
        assert named.raise_for_status().json()["output"] == said
        assert http.get(f"/api/2.0/serving-endpoints/{CHAT}").json()["description"] == "Answered by own."


@pytest.mark.parametrize("given", [{"claude": "x"}, {CHAT: "https://models.example.com/v1"}])
def test_what_cannot_answer_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_answers(given)
