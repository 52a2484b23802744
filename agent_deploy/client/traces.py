"""Traces of answers, and the assessments on them, over MLflow's REST API: what feedback takes of it, without MLflow.

Source: MLflow's REST store for traces, API 3.0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, segment

_TRACES = "/api/3.0/mlflow/traces"
_ENDPOINT = "mlflow.databricks.modelServingEndpointName"
_PAUSE = 0.5  # seconds between two looks


@dataclass(frozen=True)
class Trace:
    """``request_id`` is the databricks_request_id of the answer that it belongs to."""

    id: str
    request_id: str = ""
    endpoint: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    assessments: tuple[Mapping[str, Any], ...] = ()


def find(workspace: Workspace, experiment: str, request_id: str, trace_id: str, patience: float) -> Trace | None:
    """The trace of an answer, by its own id if that is known.

    Served models log their traces in the background: one that is not there yet is waited for, ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        if id := trace_id or _search(workspace, experiment, request_id):
            try:
                return _get(workspace, id)
            except ApiError as error:
                if not error.is_missing:
                    raise
        if time.monotonic() > deadline:
            return None
        threading.Event().wait(_PAUSE)


def _search(workspace: Workspace, experiment: str, request_id: str) -> str:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    body = {"locations": [place], "filter": f"client_request_id = '{request_id}'", "max_results": 1}
    found = workspace.post(f"{_TRACES}/search", body, repeatable=True).get("traces") or [{}]
    return str(found[0].get("trace_id") or "")


def _get(workspace: Workspace, trace_id: str) -> Trace:
    answer = workspace.get(f"{_TRACES}/{segment(trace_id)}")
    info = (answer.get("trace") or {}).get("trace_info") or {}
    return Trace(
        id=trace_id,
        request_id=str(info.get("client_request_id") or ""),
        endpoint=str((info.get("trace_metadata") or {}).get(_ENDPOINT) or ""),
        tags=info.get("tags") or {},
        assessments=tuple(info.get("assessments") or ()),
    )


def write_assessment(workspace: Workspace, trace: Trace, assessment: Mapping[str, Any]) -> None:
    """Writes one assessment, sent once; it replaces what the same source has said of the same before.

    Replaced as the Review App replaces: MLflow's `overrides` is for feedback alone, not for expectations.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path, body = f"{_TRACES}/{segment(trace.id)}/assessments", {"trace_id": trace.id, "last_update_time": now}
    if earlier := _standing(trace, assessment):
        changed = {**body, **assessment, "assessment_id": earlier}
        mask = "expectation" if "expectation" in assessment else "feedback"
        workspace.patch(f"{path}/{segment(earlier)}", {"assessment": changed, "update_mask": mask})
        return
    workspace.post(path, {"assessment": {**body, "create_time": now, "valid": True, **assessment}})


def _standing(trace: Trace, assessment: Mapping[str, Any]) -> str:
    """The id of the last valid assessment of the same subject by the same source, if there is one."""
    same = (each for each in reversed(trace.assessments) if _subject(each) == _subject(assessment))
    return next((str(each["assessment_id"]) for each in same if each.get("valid", True)), "")


def _subject(assessment: Mapping[str, Any]) -> tuple[Any, ...]:
    about = assessment.get("metadata") or {}
    source = assessment.get("source") or {}
    said = assessment.get("assessment_name"), "expectation" in assessment
    return (source.get("source_id"), *said, about.get("position"), about.get("step_id"))


def delete_assessment(workspace: Workspace, trace_id: str, assessment_id: str) -> None:
    """Removes one assessment."""
    workspace.delete(f"{_TRACES}/{segment(trace_id)}/assessments/{segment(assessment_id)}")


def set_tag(workspace: Workspace, trace_id: str, key: str, value: str) -> None:
    """Writes one tag of a trace."""
    workspace.patch(f"{_TRACES}/{segment(trace_id)}/tags", {"key": key, "value": value})


def as_assessments(record: Mapping[str, Any], source_type: str) -> Iterator[dict[str, Any]]:
    """A feedback record as assessments in MLflow's words: a rating each, the comments, the suggested answers."""
    source = {"source_type": source_type, "source_id": record["source"]["id"]}
    for column in ("text_assessments", "retrieval_assessments"):
        for assessment in record.get(column) or ():
            about = {
                name: str(assessment[name]) for name in ("position", "step_id") if assessment.get(name) is not None
            }
            common = {"source": source, "metadata": about} if about else {"source": source}
            for name, rating in (assessment.get("ratings") or {}).items():
                reason = {"rationale": rating["rationale"]} if rating.get("rationale") else {}
                yield {**common, **reason, "assessment_name": name, "feedback": {"value": rating["value"]}}
            if comment := assessment.get("free_text_comment"):
                yield {**common, "assessment_name": "free_text_comment", "feedback": {"value": comment}}
            if suggested := assessment.get("suggested_output"):
                # MLflow's own name for what should have been answered.
                yield {**common, "assessment_name": "expected_response", "expectation": {"value": suggested}}
