"""Feedback on an agent's answer: checked first, sent to the endpoint's feedback model, and kept on the answer's trace.

The row in the inference table is what databricks.agents.deploy() had; assessments on traces are what MLflow 3 has.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.client import traces
from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.rules import feedback_withdrawal as withdrawal
from agent_deploy.rules.environment import EXPERIMENT_TAG
from agent_deploy.rules.feedback import problems
from agent_deploy.rules.names import FEEDBACK_ENTITY

# Seconds in which a trace should have come; served models log theirs in the background.
PATIENCE = 30.0
# A feedback model that was scaled to zero answers when it has started.
READ_TIMEOUT = 600.0
# What MLflow calls those who assess, by the types of source that the feedback model knows.
_SOURCE_TYPES = {"ai_judge": "LLM_JUDGE", "llm_judge": "LLM_JUDGE", "code": "CODE"}
_REQUEST_ID = re.compile(r"[\w.-]{1,200}")
Rating = str | float | bool


class FeedbackError(WorkspaceError):
    """Feedback that was not given, or withdrawn; nothing was written unless the text says what."""


@dataclass(frozen=True)
class Given:
    """What was written: the feedback's row by way of the model, and ``assessments`` (names) on the trace."""

    request_id: str
    trace_id: str = ""
    assessments: tuple[str, ...] = ()
    # What could not be checked or written, and why; for people.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Rated:
    """The answer that is rated: its trace, or why there is none to be seen."""

    trace: traces.Trace | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def feedback(
    endpoint: str,
    request_id: str = "",
    *,
    ratings: Mapping[str, Rating] | None = None,
    comment: str = "",
    suggested: str = "",
    retrieval: Mapping[int, Mapping[str, Rating]] | None = None,
    source: str = "",
    source_type: str = "human",
    answer: Mapping[str, Any] | None = None,
    again: bool = False,
    patience: float = PATIENCE,
    workspace: Workspace | None = None,
    on_waiting: Callable[[str], None] = lambda _: None,
) -> Given:
    """Rates the answer with the databricks_request_id ``request_id``, or ``answer``, the JSON that the endpoint sent.

    ``ratings``: name → "positive", "negative", a number or a boolean; ``retrieval``: the same by the place of the
    retrieved document, 0 the first; ``suggested``: what should have been answered; ``source``: who rates, by default
    the caller; ``again``: even where the source has withdrawn earlier feedback on this answer. What the source has said
    on the trace before under the same name is replaced.
    ``on_waiting`` is told what is awaited, once all that needs no waiting has been checked.
    Raises FeedbackError for what means nothing, for an endpoint without a feedback model, and for an answer that is
    unknown, another endpoint's, or withdrawn; WorkspaceError for what the workspace refuses.
    """
    opened = workspace or Workspace()
    id = request_id or _id_of(answer)
    who = source or opened.user_name()
    record = {
        "request_id": id,
        "source": {"id": who, "type": source_type},
        "text_assessments": _text(ratings or {}, comment, suggested) or None,
        "retrieval_assessments": _retrieval(retrieval or {}) or None,
    }
    if found := problems(record):
        raise FeedbackError(f"This is no feedback: {'; '.join(found)}")
    described = _described(opened, endpoint)
    rated = _rated(opened, endpoint, described, id, _trace_of(answer), patience, on_waiting)
    if rated.trace and not again and (moment := rated.trace.tags.get(withdrawal.tag(who))):
        raise FeedbackError(
            f"{who} has withdrawn the feedback on {id} on {moment}. To rate it anew: --again, in Python again=True"
        )
    on_waiting("the feedback model")
    _send(opened, endpoint, record)
    return _assess(opened, record, rated)


def withdraw(
    endpoint: str,
    request_id: str,
    *,
    source: str = "",
    patience: float = PATIENCE,
    workspace: Workspace | None = None,
    on_waiting: Callable[[str], None] = lambda _: None,
) -> Given:
    """Takes back what a source (by default the caller) has said on the trace of an answer.

    Rows of the inference table stay, as nothing is ever taken out of one. Raises FeedbackError when there is no
    trace, nothing to withdraw, or all of it withdrawn already.
    """
    opened = workspace or Workspace()
    who = source or opened.user_name()
    rated = _rated(opened, endpoint, _described(opened, endpoint), request_id, "", patience, on_waiting)
    if rated.trace is None:
        raise FeedbackError(f"There is no trace of {request_id} from which to withdraw: {'; '.join(rated.notes)}")
    trace = rated.trace
    mine = [each for each in trace.assessments if (each.get("source") or {}).get("source_id") == who]
    if not mine:
        moment = trace.tags.get(withdrawal.tag(who))
        earlier = f"was withdrawn on {moment} already" if moment else "was never given"
        raise FeedbackError(f"{who}'s feedback on {request_id} {earlier}")
    for each in mine:
        traces.delete_assessment(opened, trace.id, str(each["assessment_id"]))
    traces.set_tag(opened, trace.id, withdrawal.tag(who), time.strftime(withdrawal.TIME_FORMAT, time.gmtime()))
    return Given(request_id, trace.id, tuple(str(each["assessment_name"]) for each in mine))


def _text(ratings: Mapping[str, Rating], comment: str, suggested: str) -> list[dict[str, Any]]:
    parts = {"ratings": _values(ratings), "free_text_comment": comment, "suggested_output": suggested}
    assessment = {name: part for name, part in parts.items() if part}
    return [assessment] if assessment else []


def _retrieval(by_position: Mapping[int, Mapping[str, Rating]]) -> list[dict[str, Any]]:
    return [{"position": position, "ratings": _values(ratings)} for position, ratings in sorted(by_position.items())]


def _values(ratings: Mapping[str, Rating]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in ratings.items()}


def _output(answer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    output = (answer or {}).get("databricks_output")
    return output if isinstance(output, Mapping) else {}


def _id_of(answer: Mapping[str, Any] | None) -> str:
    if answer is None:
        return ""
    found = str(_output(answer).get("databricks_request_id") or "")
    if not found:
        raise FeedbackError(
            "The answer has no databricks_output.databricks_request_id. Ask with "
            '{"databricks_options": {"return_trace": true}}, or set RETURN_REQUEST_ID_IN_RESPONSE=true for the agent'
        )
    return found


def _trace_of(answer: Mapping[str, Any] | None) -> str:
    trace = _output(answer).get("trace")
    info = trace.get("info") if isinstance(trace, Mapping) else None
    return str(info.get("trace_id") or "") if isinstance(info, Mapping) else ""


def _described(workspace: Workspace, endpoint: str) -> Mapping[str, Any]:
    """The endpoint; raises FeedbackError when it takes no feedback."""
    try:
        described = workspace.get(f"/api/2.0/serving-endpoints/{segment(endpoint)}")
    except ApiError as error:
        if error.is_missing:
            raise FeedbackError(f"There is no serving endpoint '{endpoint}' at {workspace.host}") from error
        raise
    entities = (described.get("config") or {}).get("served_entities") or ()
    if not entities:
        raise FeedbackError(f"The endpoint '{endpoint}' serves no version yet: there is no answer of it to rate")
    if not any(entity.get("name") == FEEDBACK_ENTITY for entity in entities):
        raise FeedbackError(
            f"The endpoint '{endpoint}' takes no feedback: it serves no entity '{FEEDBACK_ENTITY}'. AgentDeployment "
            "serves one unless feedback_model is False; mlflow.log_feedback writes on traces without it"
        )
    return described


def _experiment(described: Mapping[str, Any]) -> str:
    """Where the endpoint's traces are: by the tag, as deploy() writes it, or by a served entity's environment."""
    for tag in described.get("tags") or ():
        if tag.get("key") == EXPERIMENT_TAG:
            return str(tag.get("value") or "")
    for entity in (described.get("config") or {}).get("served_entities") or ():
        if experiment := (entity.get("environment_vars") or {}).get("MLFLOW_EXPERIMENT_ID"):
            return str(experiment)
    return ""


def _rated(
    workspace: Workspace,
    endpoint: str,
    described: Mapping[str, Any],
    id: str,
    trace_id: str,
    patience: float,
    on_waiting: Callable[[str], None],
) -> _Rated:
    """The trace of the answer; raises FeedbackError when the answer is unknown or another endpoint's."""
    unknown = FeedbackError(
        f"{id!r} is no answer of '{endpoint}': there is no trace of it in the endpoint's experiment. Take the "
        "databricks_request_id of an answer; traces of the last seconds may still be on their way"
    )
    experiment = _experiment(described)
    if not experiment and not trace_id:
        return _Rated(notes=("the endpoint names no MLflow experiment: whether the answer exists was not checked",))
    if not _REQUEST_ID.fullmatch(id):
        raise unknown
    on_waiting(f"the answer's trace, {patience:.0f} s at most")
    try:
        trace = traces.find(workspace, experiment, id, trace_id, patience)
    except ApiError as error:
        return _Rated(notes=(f"the answer's trace may not be looked at, and was not checked: {error.message}",))
    if trace is None:
        raise unknown
    if trace.endpoint and trace.endpoint != endpoint:
        raise FeedbackError(f"{id} is an answer of '{trace.endpoint}', not of '{endpoint}': rate it there")
    if trace.request_id and trace.request_id != id:
        raise FeedbackError(f"The trace {trace.id} is that of the answer {trace.request_id}, not of {id}")
    return _Rated(trace)


def _send(workspace: Workspace, endpoint: str, record: Mapping[str, Any]) -> None:
    path = f"/serving-endpoints/{segment(endpoint)}/served-models/{FEEDBACK_ENTITY}/invocations"
    try:
        with workspace.stream(path, {"dataframe_records": [record]}, READ_TIMEOUT) as response:
            response.read()
    except ApiError as error:
        if error.status != 403:
            raise
        hint = f"You may not ask '{endpoint}', and so not rate its answers: {error.message}"
        raise FeedbackError(f"{hint} Its owner can grant CAN_QUERY") from error


def _assess(workspace: Workspace, record: Mapping[str, Any], rated: _Rated) -> Given:
    """The same on the trace; what fails here leaves the feedback's row, and says so."""
    request_id, written = str(record["request_id"]), list[str]()
    if rated.trace is None:
        return Given(request_id, notes=rated.notes)
    wanted = list(traces.as_assessments(record, _SOURCE_TYPES.get(record["source"]["type"].lower(), "HUMAN")))
    for assessment in wanted:
        try:
            traces.write_assessment(workspace, rated.trace, assessment)
        except ApiError as error:
            if not written and error.status == 403:
                note = f"not written on the trace, as you may not edit its experiment: {error.message}"
                return Given(request_id, rated.trace.id, notes=(note,))
            raise _half(request_id, written, wanted, error) from error
        except WorkspaceError as error:
            raise _half(request_id, written, wanted, error) from error
        written.append(str(assessment["assessment_name"]))
    return Given(request_id, rated.trace.id, tuple(written), rated.notes)


def _half(
    request_id: str, written: Sequence[str], wanted: Sequence[Mapping[str, Any]], error: WorkspaceError
) -> FeedbackError:
    missing = ", ".join(str(each["assessment_name"]) for each in wanted[len(written) :])
    return FeedbackError(
        f"The feedback on {request_id} is in the inference table, but not all of it on the trace: {missing} may be "
        f"missing ({error}). Do not send it again: add what is missing with mlflow.log_feedback"
    )
