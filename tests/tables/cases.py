"""A row of the payload table as a case: what was logged, and what is derived from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

TRACE_3 = {
    "info": {"trace_id": "tr-1", "state": "OK", "trace_metadata": {"mlflow.trace_schema.version": "3"}},
    "data": {"spans": [{"name": "predict", "start_time_unix_nano": 1763900000000000001, "status": {"code": "OK"}}]},
}
TRACE_2 = {
    "mlflow.trace_schema.version": 2,
    "spans": [{"name": "predict", "context": {"span_id": "s", "trace_id": "t"}, "attributes": '{"a": 1}'}],
    "start_timestamp": "2025-01-01 00:00:00",
    "is_truncated": False,
}
ASKED = {"messages": [{"role": "user", "content": "What is Delta?"}]}
ANSWERED = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "A table format."}}]}


@dataclass(frozen=True)
class Case:
    """A payload row; ``place`` is requests, assessments or quarantine; ``expected`` names columns of its row there."""

    name: str
    request: Any
    response: Any = field(default_factory=lambda: ANSWERED)
    place: str = "requests"
    expected: dict[str, Any] = field(default_factory=dict)
    status: int | None = 200
    codes: tuple[str, ...] = ()
    entity: str | None = "entity-1"
    client_request_id: str | None = None
    perhaps: dict[str, Any] = field(default_factory=dict)
    """Further columns, which are as here or null."""
    elements: int = 0
    """Rows in the assessment logs."""
    assessed: tuple[dict[str, Any], ...] = ()
    """Those rows, but for the time; maps as dictionaries."""

    @property
    def request_text(self) -> str | None:
        """The body as it is logged."""
        return self.request if self.request is None or isinstance(self.request, Raw) else json.dumps(self.request)

    @property
    def response_text(self) -> str | None:
        """The answer as it is logged."""
        return self.response if self.response is None or isinstance(self.response, Raw) else json.dumps(self.response)


class Raw(str):
    """Text that is logged as it is."""


def sse(*chunks: Any, done: bool = True) -> Raw:
    """A streamed answer, as it was sent."""
    lines = [f"data: {json.dumps(chunk)}" for chunk in chunks] + (["data: [DONE]"] if done else [])
    return Raw("\n\n".join(lines) + "\n\n")


def answer(text: str | None, **columns: Any) -> dict[str, Any]:
    """What most cases expect: this answer to the usual question."""
    return {"request": "What is Delta?", "response": text, **columns}


def message(text: str, kind: str = "output_text") -> dict[str, Any]:
    """An item of a Responses API's output."""
    return {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": kind, "text": text}]}


def feedback(**record: Any) -> dict[str, Any]:
    """A feedback request of one record."""
    whole = {
        "request_id": "rated-1",
        "source": {"id": "user@company.com", "type": "human"},
        "text_assessments": [],
        "retrieval_assessments": [],
    }
    return {"dataframe_records": [{**whole, **record}]}
