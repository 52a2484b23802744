"""A streamed answer put together again, as the payload table keeps it."""

from __future__ import annotations

import json
from typing import Any

Event = dict[str, Any]

_PREFIX = b"data: "


def whole_answer(chunks: list[bytes], trace: bytes, request_id: str) -> bytes:
    """The answer that the model would have given without `stream`, as far as the events tell it."""
    events = _events(chunks)
    try:
        answer = _joined(events)
    except Exception:  # noqa: BLE001 - an agent of one's own may stream anything: then its events are kept as they came
        answer = _predictions(_events(chunks))
    errors = [event["error"] for event in events if "error" in event and "type" not in event]
    if errors:
        answer["error"] = errors[-1]
    answer["id"] = request_id
    output: Event = {"databricks_request_id": request_id}
    if trace:
        output = {"trace": json.loads(trace), **output}
    return json.dumps({**answer, "databricks_output": output}).encode()


def _joined(events: list[Event]) -> Event:
    if any(str(event.get("type", "")).startswith("response.") for event in events):
        return _responses(events)
    if any("choices" in event for event in events):
        return _chat_completion(events)
    if any("delta" in event for event in events):
        return _chat_agent(events)
    return _predictions(events)


def _predictions(events: list[Event]) -> Event:
    return {"predictions": [event for event in events if "error" not in event]}


def _events(chunks: list[bytes]) -> list[Event]:
    events = []
    for line in b"".join(chunks).splitlines():
        content = line.removeprefix(_PREFIX)
        if not line.startswith(_PREFIX) or content == b"[DONE]":
            continue
        event = _parsed(content)
        if not isinstance(event, dict):
            events.append({"value": event})
        elif event.get("type") != "databricks_output":
            event.pop("databricks_output", None)
            events.append(event)
    return events


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


def _responses(events: list[Event]) -> Event:
    """Items that are done; text of items that the stream broke off."""
    for event in events:
        if event.get("type") == "response.completed" and isinstance(event.get("response"), dict):
            return dict(event["response"])
    output: list[Any] = []
    open_texts: dict[Any, list[str]] = {}
    for event in events:
        if event.get("type") == "response.output_item.done":
            item = event.get("item") or {}
            output.append(item)
            # A message that is done holds the text before it, even when the agent gave its parts other ids.
            if item.get("type") == "message":
                open_texts.clear()
        elif event.get("type") == "response.output_text.delta":
            open_texts.setdefault(event.get("item_id"), []).append(str(event.get("delta", "")))
    for item_id, texts in open_texts.items():
        content = [{"type": "output_text", "text": "".join(texts), "annotations": []}]
        output.append({"type": "message", "id": item_id, "role": "assistant", "content": content})
    return {"object": "response", "output": output}


def _chat_completion(events: list[Event]) -> Event:
    messages: dict[int, Event] = {}
    reasons: dict[int, Any] = {}
    answer: Event = {"object": "chat.completion"}
    for event in events:
        answer.update({key: event[key] for key in ("model", "created", "usage") if event.get(key)})
        for choice in event.get("choices", ()):
            index, delta = choice.get("index", 0), choice.get("delta") or {}
            _merge(messages.setdefault(index, {"role": "assistant", "content": ""}), delta)
            reasons[index] = choice.get("finish_reason") or reasons.get(index)
    choices = [
        {"index": index, "message": message, "finish_reason": reasons[index]} for index, message in messages.items()
    ]
    return {**answer, "choices": choices}


def _merge(message: Event, delta: Event) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            _merge_calls(message.setdefault("tool_calls", []), value or [])
        elif key == "content" and isinstance(value, str):
            message["content"] = (message.get("content") or "") + value
        elif value is not None:
            message[key] = value


def _merge_calls(calls: list[Event], deltas: list[Event]) -> None:
    for delta in deltas:
        index = delta.get("index", len(calls))
        known = next((call for call in calls if call.get("index") == index), None)
        if known is None:
            calls.append({**delta, "index": index})
            continue
        function, more = known.setdefault("function", {}), delta.get("function") or {}
        function["arguments"] = function.get("arguments", "") + (more.get("arguments") or "")


def _chat_agent(events: list[Event]) -> Event:
    messages: dict[Any, Event] = {}
    answer: Event = {}
    for event in events:
        answer.update({key: event[key] for key in ("finish_reason", "usage", "custom_outputs") if event.get(key)})
        delta = event.get("delta") or {}
        known = messages.get(delta.get("id"))
        if known is None:
            messages[delta.get("id")] = dict(delta)
        else:
            _merge(known, delta)
    return {"messages": list(messages.values()), **answer}
