"""What answers for a foundation model that is not here: each question always gets the same answer, which says so."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document

DESCRIPTION = (
    "A stand-in of the local workspace, and no language model: it repeats what it is asked, calls a tool that is named "
    "in the question, and embeds texts by their words. `agent-deploy local start --foundation-model` names another."
)
_DIMENSION = 1024  # of gte-large, bge-large and qwen3-embedding-0.6b
_WORD = re.compile(r"\w+")


def embeddings(name: str, asked: Document) -> Document:
    """OpenAI's answer: unit vectors that are near each other where texts share words."""
    given = asked.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "BAD_REQUEST", "input: expected a text or a list of texts.")
    data = [{"object": "embedding", "index": n, "embedding": embedded(text)} for n, text in enumerate(texts)]
    tokens = sum(map(_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": _called(name), "usage": usage}


def embedded(text: str) -> list[float]:
    """The text's words, each in eight places and with the signs that its digest tells: two words rarely share one."""
    vector = [0.0] * _DIMENSION
    for word in _WORD.findall(text.lower()) or [""]:
        for place, sign in struct.iter_unpack(">HH", hashlib.blake2b(word.encode(), digest_size=32).digest()):
            vector[place % _DIMENSION] += 1.0 if sign % 2 else -1.0
    length = math.sqrt(sum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]


def completion(name: str, asked: Document) -> Document:
    """OpenAI's answer, to a chat or to a prompt."""
    if isinstance(prompt := asked.get("prompt"), str):
        said = _text(name, prompt)
        choice: Document = {"index": 0, "text": said, "finish_reason": "stop"}
        return _answer(name, asked, "text_completion", choice, _tokens(prompt), _tokens(said))
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise ApiError(400, "BAD_REQUEST", "messages: expected a list of objects with role and content.")
    last = messages[-1]
    question = _content(last)
    call = _called_tool(asked, question) if last.get("role") == "user" else None
    message: Document = {"role": "assistant", "content": None if call else _text(name, question)}
    if call:
        message["tool_calls"] = [call]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
    prompts = sum(_tokens(_content(each)) for each in messages)
    return _answer(name, asked, "chat.completion", choice, prompts, _tokens(str(message["content"] or "")))


async def streamed(answer: Document) -> AsyncIterator[bytes]:
    """The same as server-sent events, a word each."""
    [choice] = answer["choices"]
    is_chat = "message" in choice
    whole = choice["message"]["content"] if is_chat else choice["text"]
    pieces = [{"content": piece} if is_chat else piece for piece in re.findall(r"\S+\s*|\s+", whole or "")]
    if is_chat and (calls := choice["message"].get("tool_calls")):
        pieces.append({"tool_calls": [{"index": number, **call} for number, call in enumerate(calls)]})
    if is_chat and pieces:
        pieces[0] = {"role": "assistant", **pieces[0]}
    field = "delta" if is_chat else "text"
    pieces.append({} if is_chat else "")
    head = {**answer, "object": f"{answer['object']}.chunk" if is_chat else answer["object"]}
    usage = head.pop("usage")
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        event = {"index": 0, field: piece, "finish_reason": choice["finish_reason"] if last else None}
        yield _event({**head, "choices": [event], **({"usage": usage} if last else {})})
    yield b"data: [DONE]\n\n"


def _event(value: Document) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _answer(name: str, asked: Document, kind: str, choice: Document, prompts: int, said: int) -> Document:
    id = hashlib.blake2b(json.dumps(asked, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
    usage = {"prompt_tokens": prompts, "completion_tokens": said, "total_tokens": prompts + said}
    head = {"id": f"chatcmpl-{id}", "object": kind, "created": int(time.time()), "model": _called(name)}
    return {**head, "choices": [choice], "usage": usage}


def _called_tool(asked: Document, question: str) -> Document | None:
    """The first of the tools that the question names, its texts filled with the question."""
    for tool in asked.get("tools") or []:
        function: Any = (tool or {}).get("function") or {}
        if not (name := str(function.get("name") or "")) or name.lower() not in question.lower():
            continue
        schema = function.get("parameters") or {}
        wanted = {field: (schema.get("properties") or {}).get(field) or {} for field in schema.get("required") or []}
        values = {field: _argument(shape, question) for field, shape in wanted.items()}
        id = hashlib.blake2b(f"{name} {question}".encode(), digest_size=8).hexdigest()
        return {"id": f"call_{id}", "type": "function", "function": {"name": name, "arguments": json.dumps(values)}}
    return None


def _argument(shape: Document, question: str) -> Any:
    numbers = re.findall(r"-?\d+(?:\.\d+)?", question)
    match shape.get("type"):
        case "integer":
            return int(float(numbers[0])) if numbers else 0
        case "number":
            return float(numbers[0]) if numbers else 0.0
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
    return question


def _content(message: Document) -> str:
    """A message's text, whichever of both ways it is given in."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def _text(name: str, question: str) -> str:
    return f"[{_called(name)}] {question}"


def _called(name: str) -> str:
    return f"stand-in for {name}"


def _tokens(text: str) -> int:
    return len(_WORD.findall(text))
