"""Streamed answers put together again for the payload table, in each of the formats that agents stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.local.serving.streams import whole_answer


def whole(*events: dict[str, Any], trace: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer, from events as the model's process sends them."""
    output = {"databricks_request_id": "r-1"}
    chunks = [b"data: " + json.dumps({**event, "databricks_output": output}).encode() + b"\n\n" for event in events]
    answer: dict[str, Any] = json.loads(
        whole_answer([*chunks, b"data: [DONE]\n\n"], json.dumps(trace).encode() if trace else b"", "r-1")
    )
    assert answer["id"] == "r-1"
    return answer


def test_items_that_are_done_are_the_output() -> None:
    item = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "a b"}]}
    deltas = [{"type": "response.output_text.delta", "item_id": "m", "delta": text} for text in ("a ", "b")]
    answer = whole(*deltas, {"type": "response.output_item.done", "item": item}, trace={"info": {}})
    assert answer["output"] == [item]
    assert answer["databricks_output"] == {"trace": {"info": {}}, "databricks_request_id": "r-1"}


def test_a_tool_call_in_between_does_not_end_the_text() -> None:
    call = {"type": "function_call", "id": "f", "name": "look_up", "arguments": "{}"}
    answer = whole(
        {"type": "response.output_text.delta", "item_id": "m", "delta": "a "},
        {"type": "response.output_item.done", "item": call},
        {"type": "response.output_text.delta", "item_id": "m", "delta": "b"},
    )
    assert answer["output"][0] == call
    assert answer["output"][1]["content"][0]["text"] == "a b"


def test_a_completed_response_is_taken_as_it_is() -> None:
    response = {"object": "response", "output": [], "usage": {"total_tokens": 3}}
    assert whole({"type": "response.completed", "response": response})["usage"] == {"total_tokens": 3}


def test_chat_completions_are_joined_by_choice() -> None:
    def chunk(index: int, reason: str | None = None, **delta: Any) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        return {"object": "chat.completion.chunk", "model": "m", "choices": [choice]}

    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}
    more = {"index": 0, "function": {"arguments": ": 1}"}}
    answer = whole(
        chunk(0, role="assistant", content="he"),
        chunk(1, content="other"),
        chunk(0, content="llo"),
        chunk(0, tool_calls=[call]),
        chunk(0, tool_calls=[more]),
        chunk(0, "stop"),
    )
    first, second = answer["choices"]
    assert first["message"]["content"] == "hello"
    assert first["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert first["finish_reason"] == "stop"
    assert second["message"]["content"] == "other"
    assert answer["object"] == "chat.completion"


def test_chat_agents_messages_are_joined_by_id() -> None:
    answer = whole(
        {"delta": {"role": "assistant", "id": "1", "content": "he"}},
        {"delta": {"role": "assistant", "id": "1", "content": "llo"}},
        {"delta": {"role": "tool", "id": "2", "content": "42"}, "finish_reason": "stop"},
    )
    assert [message["content"] for message in answer["messages"]] == ["hello", "42"]
    assert answer["finish_reason"] == "stop"


def test_other_events_are_predictions_and_errors_are_kept() -> None:
    answer = whole({"token": "a"}, {"token": "b"}, {"error": {"message": "broke"}})
    assert answer["predictions"] == [{"token": "a"}, {"token": "b"}]
    assert answer["error"] == {"message": "broke"}
    assert whole()["predictions"] == []


@pytest.mark.parametrize(
    "events",
    [
        [{"delta": "hello"}],
        [{"delta": ["a"]}, {"delta": {"id": []}}],
        [{"choices": None}],
        [{"choices": "a"}],
        [{"choices": [{"index": {}, "delta": {}}]}],
        [{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "a"}}] * 2 + ["b"]}}]}],
        [{"type": "response.output_item.done", "item": [1]}],
    ],
)
def test_events_of_no_known_shape_are_kept_as_they_came(events: list[dict[str, Any]]) -> None:
    assert whole(*events, {"error": "broke"}) == {
        "predictions": events,
        "error": "broke",
        "id": "r-1",
        "databricks_output": {"databricks_request_id": "r-1"},
    }


_NAMES = st.sampled_from(
    (
        *("type", "delta", "choices", "item", "item_id", "response", "index", "id", "content", "tool_calls"),
        *("function", "arguments", "error", "finish_reason", "databricks_output", "usage"),
    )
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False)
_WORDS = st.sampled_from(
    ["response.output_item.done", "response.output_text.delta", "response.completed", "message", "databricks_output"]
)
_JSON = st.recursive(
    _SCALARS | _WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4)
)


@given(st.lists(_JSON, max_size=5))
def test_whatever_is_streamed_can_be_logged(events: list[Any]) -> None:
    chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    assert json.loads(whole_answer(chunks, b"", "r-1"))["id"] == "r-1"


def test_what_is_no_json_is_kept_as_text() -> None:
    assert json.loads(whole_answer([b"data: {\xff\n\n"], b"", "r-1"))["predictions"] == [{"value": "{\ufffd"}]
