"""Feedback where the workspace has no traces to check it against, or does not say who asks."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from agent_deploy.client import feedback
from agent_deploy.client.configuration import Settings
from agent_deploy.client.give_feedback import FeedbackError
from agent_deploy.client.workspace import Workspace

ENDPOINT = {"name": "docs", "config": {"served_entities": [{"name": "docs_1"}, {"name": "feedback"}]}}
TRACES = "/api/3.0/mlflow/traces/search"


class Service:
    """A workspace with one endpoint behind httpx.MockTransport; keeps what was sent to the feedback model."""

    def __init__(self, **described: Any) -> None:
        self.described = {**ENDPOINT, **described}
        self.sent: list[Any] = []
        settings = Settings(host="https://w.example.com", method="pat", token="t")
        self.workspace = Workspace(settings, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/2.0/serving-endpoints/docs":
            return httpx.Response(200, json=self.described)
        if request.url.path == "/api/2.0/preview/scim/v2/Me":
            return httpx.Response(200, json={"userName": "ann@example.com"})
        if request.url.path == TRACES:
            return httpx.Response(404, json={"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"})
        assert request.url.path == "/serving-endpoints/docs/served-models/feedback/invocations"
        self.sent.append(json.loads(request.content))
        return httpx.Response(200, json={"predictions": {"result": "ok"}})


@pytest.mark.parametrize(
    ("described", "note"),
    [
        ({}, "the endpoint names no MLflow experiment: whether the answer exists was not checked"),
        ({"tags": [{"key": "MONITOR_EXPERIMENT_ID", "value": "7"}]}, "was not checked: No API found"),
    ],
)
def test_an_answer_that_cannot_be_looked_up_is_rated_and_that_is_said(described: dict[str, Any], note: str) -> None:
    service = Service(**described)
    given = feedback("docs", "r-1", ratings={"accurate": "positive"}, workspace=service.workspace)
    assert note in given.notes[0]
    assert (given.trace_id, given.assessments) == ("", ())
    [record] = service.sent[0]["dataframe_records"]
    assert record == {
        "request_id": "r-1",
        "source": {"id": "ann@example.com", "type": "human"},
        "text_assessments": [{"ratings": {"accurate": {"value": "positive"}}}],
        "retrieval_assessments": None,
    }


def test_an_endpoint_ahead_of_its_first_version_is_told_as_such() -> None:
    service, awaited = Service(config={}), list[str]()
    with pytest.raises(FeedbackError, match="serves no version yet"):
        feedback(
            "docs", "r-1", ratings={"accurate": "positive"}, workspace=service.workspace, on_waiting=awaited.append
        )
    assert (service.sent, awaited) == ([], [])


def test_what_is_awaited_is_told_one_after_the_other() -> None:
    service, awaited = Service(tags=[{"key": "MONITOR_EXPERIMENT_ID", "value": "7"}]), list[str]()
    feedback("docs", "r-1", ratings={"accurate": "positive"}, workspace=service.workspace, on_waiting=awaited.append)
    assert awaited == ["the answer's trace, 30 s at most", "the feedback model"]
