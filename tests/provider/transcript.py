"""A workspace that follows a script: each request must be the next one of a golden file, and gets the answer there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from typing import Any

import httpx

from agent_deploy.client.configuration import Settings
from agent_deploy.client.workspace import Workspace

FOLDER = Path(__file__).parent / "golden" / "stand_in"
SETTINGS = Settings(host="https://ws.example.com", method="pat", token="a-token")


@dataclass(frozen=True)
class Step:
    """One request as it must be, and its answer."""

    method: str
    path: str
    body: Any
    status: int
    answer: Any


def load(name: str, section: str) -> list[Step]:
    """The steps of one section; ``(recorded)`` in its title may be left out."""
    titled = re.split(r"^## ", (FOLDER / f"{name}.txt").read_text(), flags=re.MULTILINE)
    sections = {part.partition("\n")[0].removesuffix(" (recorded)"): part.partition("\n")[2] for part in titled if part}
    lines = [line for line in sections[section].splitlines() if line and not line.startswith("#")]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [_step(request, answer) for request, answer in pairs]


def _step(request: str, answer: str) -> Step:
    assert request.startswith("> ")
    assert answer.startswith("< ")
    method, path, body = [*request[2:].split(" ", 2), ""][:3]
    status, _, document = answer[2:].partition(" ")
    return Step(
        method, path, json.loads(body) if body else None, int(status), json.loads(document) if document else None
    )


@contextmanager
def playing(name: str, section: str) -> Iterator[Workspace]:
    """A connection to the script; at the end every step must have been asked for."""
    steps = load(name, section)
    done: list[Step] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked = (request.method, request.url.raw_path.decode(), _body(request))
        assert len(done) < len(steps), f"a request after the end of the script: {asked}"
        step = steps[len(done)]
        done.append(step)
        assert asked == (step.method, step.path, step.body), f"request {len(done)} of {name}: {section}"
        assert request.headers["Authorization"] == "Bearer a-token"
        return httpx.Response(step.status, json=step.answer) if step.answer is not None else httpx.Response(step.status)

    yield Workspace(SETTINGS, httpx.MockTransport(answer))
    assert len(done) == len(steps), f"never asked: {steps[len(done) :]}"


def _body(request: httpx.Request) -> Any:
    content = request.read()
    kind = request.headers.get("Content-Type", "")
    if not content:
        return None
    if not kind.startswith("multipart/form-data"):
        return json.loads(content)
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content, policy=HTTP)
    parts: dict[str, Any] = {}
    for part in message.iter_parts():
        name, payload = part.get_param("name", header="Content-Disposition"), part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(payload, bytes)
        parts[name] = payload.decode()
    return parts
