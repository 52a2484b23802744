"""An agent that answers questions about agent_deploy from its documentation, and names where the answer stands.

MLflow logs this file as the model (models from code) and runs it in the endpoint. Environment: ANSWER_STYLE ``short``
(default) or ``long``; TOP_K, how many passages are read (default 4).
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Document, SpanType
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

from stacks.agents.docs_agent.search import DocsIndex, Passage, sentences

_STYLES = ("short", "long")
_ENOUGH = 0.34  # of what is asked about must be mentioned, else the documentation does not say
_SHORT_SENTENCES = 3
_PIECE = re.compile(r"\S+\s*|\s+")  # what is streamed at a time


class DocsAgent(ResponsesAgent):
    """Search, then quote: every sentence of an answer stands in the documentation."""

    def __init__(self) -> None:
        self._index: DocsIndex | None = None
        self._style, self._top_k = "short", 4

    def load_context(self, context: Any) -> None:
        """Read the documentation that was packaged with the model, and the settings of the served entity."""
        self._index = DocsIndex.of_folder(Path(context.artifacts["docs"]))
        self._style = os.environ.get("ANSWER_STYLE", "short").lower()
        if self._style not in _STYLES:
            raise ValueError(f"ANSWER_STYLE {self._style!r}: expected one of {', '.join(_STYLES)}.")
        top_k = os.environ.get("TOP_K", "4")
        if not top_k.isdigit() or not 1 <= int(top_k) <= 20:
            raise ValueError(f"TOP_K {top_k!r}: expected a whole number from 1 to 20.")
        self._top_k = int(top_k)

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """The whole answer at once."""
        text, passages = self._answer(request)
        item = self.create_text_output_item(text, f"msg_{uuid.uuid4().hex}", annotations=_annotations(passages))
        return ResponsesAgentResponse(output=[item], custom_outputs=self._custom_outputs(passages))

    def predict_stream(self, request: ResponsesAgentRequest) -> Generator[ResponsesAgentStreamEvent, None, None]:
        """The answer word by word, then the whole item with its sources."""
        text, passages = self._answer(request)
        item_id = f"msg_{uuid.uuid4().hex}"
        for piece in _PIECE.findall(text):
            yield ResponsesAgentStreamEvent(**self.create_text_delta(piece, item_id))
        item = self.create_text_output_item(text, item_id, annotations=_annotations(passages))
        yield ResponsesAgentStreamEvent(
            type="response.output_item.done", item=item, custom_outputs=self._custom_outputs(passages)
        )

    def _answer(self, request: ResponsesAgentRequest) -> tuple[str, list[Passage]]:
        asked = [text for message in request.input if (text := _user_text(message))]
        if not asked:
            return "Ask me something about agent_deploy: what it does, how to start, what an argument means.", []
        question, before = asked[-1], " ".join(asked[-3:-1])
        found = self._retrieve(question, before)
        used = _together(found) if self._style == "short" else _telling(found)
        return self._compose(question, used), used

    def _retrieve(self, question: str, before: str) -> list[Passage]:
        with mlflow.start_span("search_docs", span_type=SpanType.RETRIEVER) as span:
            span.set_inputs({"question": question, "before": before, "top_k": self._top_k})
            assert self._index is not None, "load_context was not called"
            found = self._index.search(question, self._top_k, before)
            relevant = [passage for passage in found if passage.coverage >= _ENOUGH]
            span.set_outputs([_document(passage) for passage in relevant])
            return relevant

    def _compose(self, question: str, passages: list[Passage]) -> str:
        with mlflow.start_span("compose_answer", span_type=SpanType.CHAIN) as span:
            span.set_inputs({"question": question, "style": self._style, "passages": len(passages)})
            text = self._text(question, passages) if passages else self._nothing_found()
            span.set_outputs(text)
            return text

    def _text(self, question: str, passages: list[Passage]) -> str:
        numbers = {source: number for number, source in enumerate(_sources(passages), start=1)}
        if self._style == "long":
            parts = [_shown(f"{passage.text} [{numbers[passage.source]}]", passage.code) for passage in passages]
        elif len(passages) > 1:
            parts = ["\n".join(f"- {passage.text}" for passage in passages)]
        else:
            parts = [self._quote(question, passages[0])]
        named = "\n".join(["Sources:", *(f"[{number}] {source}" for source, number in numbers.items())])
        return "\n\n".join([*parts, f"Source: {passages[0].source}" if len(numbers) == 1 else named])

    def _quote(self, question: str, passage: Passage) -> str:
        """The sentences of the passage that the question is about, in their order."""
        assert self._index is not None
        said = sentences(passage.text)
        weights = [self._index.weight(question, sentence) for sentence in said]
        best = sorted(range(len(said)), key=lambda number: -weights[number])[:_SHORT_SENTENCES]
        # When only the heading has the words, the passage begins with what they mean.
        chosen = [number for number in sorted(best) if weights[number]] or sorted(best)
        return _shown(" ".join(said[number] for number in chosen), passage.code)

    def _nothing_found(self) -> str:
        assert self._index is not None
        topics = ", ".join(self._index.headings()[:8])
        return f"The documentation does not say. It is about: {topics}."

    def _custom_outputs(self, passages: list[Passage]) -> dict[str, Any]:
        sources = [{"file": p.file, "heading": p.heading, "score": round(p.score, 3)} for p in passages]
        return {"answer_style": self._style, "top_k": self._top_k, "sources": sources}


def _user_text(message: Any) -> str:
    if getattr(message, "role", "") != "user":
        return ""
    content = message.content
    if isinstance(content, str):
        return content.strip()
    parts = (part if isinstance(part, dict) else part.model_dump() for part in content)
    return " ".join(str(part.get("text", "")) for part in parts).strip()


def _together(passages: list[Passage]) -> list[Passage]:
    """The best passage; of a list or a table, the other found parts of it as well."""
    if not passages:
        return []
    best = passages[0]
    if best.kind not in ("item", "row"):
        return [best]
    return [passage for passage in passages if (passage.kind, passage.source) == (best.kind, best.source)]


def _telling(passages: list[Passage]) -> list[Passage]:
    """Those that say something by themselves: a list's first line does not, a table's row only if it is the best."""
    said = [passage for passage in passages if passage.code or not passage.text.endswith(":")] or passages
    return [passage for number, passage in enumerate(said) if number == 0 or passage.kind != "row"]


def _shown(text: str, code: str) -> str:
    return f"{text}\n\n```\n{code}\n```".lstrip() if code else text


def _sources(passages: list[Passage]) -> list[str]:
    return list(dict.fromkeys(passage.source for passage in passages))


def _document(passage: Passage) -> Document:
    metadata = {"doc_uri": passage.file, "heading": passage.heading, "score": round(passage.score, 3)}
    return Document(page_content=_shown(passage.text, passage.code), metadata=metadata, id=passage.source)


def _annotations(passages: list[Passage]) -> list[dict[str, Any]]:
    return [{"type": "file_citation", "file_id": p.source, "index": index} for index, p in enumerate(passages)]


set_model(DocsAgent())
