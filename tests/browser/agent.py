"""A ResponsesAgent with which the pages are driven: it answers in words, names documents, waits and fails as told."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Document, SpanType
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

_HANDBOOK = "Holidays are thirty days a year. Carry-over is possible until the end of March."


class Handbook(ResponsesAgent):
    """A question may hold commands: ``wait:FILE`` (until the file exists), ``fail``, ``die``, ``say:TEXT``."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """The whole answer."""
        text = "".join(self._words(_asked(request)))
        return ResponsesAgentResponse(output=[self.create_text_output_item(text, "message")])

    def predict_stream(self, request: ResponsesAgentRequest) -> Generator[ResponsesAgentStreamEvent, None, None]:
        """Word by word."""
        said = []
        for word in self._words(_asked(request)):
            said.append(word)
            yield ResponsesAgentStreamEvent(**self.create_text_delta(word, "message"))
        annotations: list[dict[str, Any]] = [{"type": "file_citation", "file_id": "handbook.md", "index": 0}]
        item = self.create_text_output_item("".join(said), "message", annotations=annotations)
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)

    def _words(self, question: str) -> Iterator[str]:
        quoted = question.partition("say:")[2]
        self._search(question)
        yield from ("From ", "the ", "**handbook**: ")
        for command in question.split():
            if command == "fail":
                raise RuntimeError("the handbook is locked")
            if command == "die":
                os._exit(3)
            if command.startswith("wait:"):
                _wait_for(Path(command.removeprefix("wait:")))
        yield from (f"{word} " for word in (quoted or _HANDBOOK).split(" "))

    def _search(self, question: str) -> None:
        with mlflow.start_span("search_handbook", span_type=SpanType.RETRIEVER) as span:
            span.set_inputs({"query": question})
            quoted = question.partition("say:")[2]
            span.set_outputs(
                [
                    Document(
                        page_content=_HANDBOOK, metadata={"doc_uri": "handbook.md", "heading": "Holidays"}, id="1"
                    ),
                    Document(
                        page_content=quoted or "Travel is booked by the office.", metadata={"doc_uri": "travel.md"}
                    ),
                ]
            )


def _asked(request: ResponsesAgentRequest) -> str:
    return str(request.input[-1].model_dump()["content"])


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


mlflow.models.set_model(Handbook())
