"""What people said about answers: from requests to the feedback model, and from assessments on MLflow's traces."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.local.core.json_text import parse_or_none
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.tracking.experiments import Experiments
from agent_deploy.rules import feedback
from agent_deploy.rules import feedback_withdrawal as withdrawal

POSITIVE, NEGATIVE = "positive", "negative"
_WORDS = {
    POSITIVE: frozenset({"positive", "yes", "true", "good", "correct", "1"}),
    NEGATIVE: frozenset({"negative", "no", "false", "bad", "incorrect", "0"}),
}
_MOST_TRACES = 2000  # whose assessments are looked at, newest first
_PAGE = 500
COMMENT, SUGGESTED = "comment", "suggested answer"


@dataclass(frozen=True)
class Rating:
    """``request_id`` is the rated answer's; ``value`` is POSITIVE, NEGATIVE, or whatever else was said."""

    request_id: str
    user: str
    name: str
    value: str
    time_ms: float

    @property
    def is_judgement(self) -> bool:
        """Whether it is a rating with a value, not a text."""
        return not self.name.endswith((COMMENT, SUGGESTED))


def latest(ratings: Iterable[Rating]) -> list[Rating]:
    """Of each user's ratings with one name for one answer, the last one: who changes his mind says it again."""
    found: dict[tuple[str, str, str], Rating] = {}
    for rating in sorted(ratings, key=lambda each: each.time_ms):
        found[rating.request_id, rating.user, rating.name] = rating
    return list(found.values())


def of_feedback(request: str, time_ms: float) -> list[Rating]:
    """The ratings in one logged request to the feedback model; none in one that cannot be read."""
    body = parse_or_none(request)  # it may be cut off at the payload table's limit
    records = body.get("dataframe_records") if isinstance(body, dict) else None
    found: list[Rating] = []
    for given in records if isinstance(records, list) else ():
        record = feedback.parsed(given) if isinstance(given, dict) else {}
        if not feedback.problems(record):
            found += (Rating(record["request_id"], record["source"]["id"], *said, time_ms) for said in _said(record))
    return found


def _said(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for column, part in (("text_assessments", ""), ("retrieval_assessments", "source")):
        for index, assessment in enumerate(record.get(column) or ()):
            where = f"{part} {assessment.get('position', index) + 1}: " if part else ""
            for name, rating in (assessment.get("ratings") or {}).items():
                yield where + name, _value(rating["value"])
            for text, name in (("free_text_comment", COMMENT), ("suggested_output", SUGGESTED)):
                if assessment.get(text):
                    yield where + name, str(assessment[text])


@dataclass(frozen=True)
class OnTraces:
    """What traces say: ratings, and when what was said before was taken back, by request and `withdrawal.tag`."""

    ratings: list[Rating] = field(default_factory=list)
    withdrawn: dict[tuple[str, str], float] = field(default_factory=dict)

    def stands(self, rating: Rating) -> bool:
        """Whether the rating was not withdrawn since; the tag's time has whole seconds."""
        withdrawn = self.withdrawn.get((rating.request_id, withdrawal.tag(rating.user)))
        return withdrawn is None or rating.time_ms >= withdrawn + 1000


def of_traces(experiments: Experiments, principal: Principal, experiment_id: str) -> OnTraces:
    """Assessments by people on the traces of an experiment; none for who may not read it. Runs in a thread."""
    found = OnTraces()
    if not experiment_id or not experiments.readable(principal, experiment_id):
        return found
    for trace in experiments.traces(experiment_id, _MOST_TRACES, _PAGE):
        if not (request_id := trace.get("client_request_id")):
            continue
        for assessment in trace.get("assessments") or ():
            source = assessment.get("source") or {}
            if source.get("source_type") == "HUMAN" and assessment.get("valid", True):
                found.ratings.extend(_of_assessment(request_id, str(source.get("source_id")), assessment))
        for key, value in (trace.get("tags") or {}).items():
            if key.startswith(withdrawal.PREFIX):
                found.withdrawn[request_id, key] = _milliseconds(str(value).removesuffix(" UTC") + "+00:00")
    return found


def _of_assessment(request_id: str, user: str, assessment: dict[str, Any]) -> Iterator[Rating]:
    """In the names that the same has as feedback, so that what was sent both ways counts once."""
    time_ms = _milliseconds(assessment.get("last_update_time") or assessment.get("create_time"))
    name, position = assessment["assessment_name"], str((assessment.get("metadata") or {}).get("position", ""))
    where = f"source {int(position) + 1}: " if is_whole(position) else ""
    if "value" in (assessment.get("feedback") or {}):
        given = assessment["feedback"]["value"]
        said = (COMMENT, str(given)) if name == "free_text_comment" else (name, _value(given))
        yield Rating(request_id, user, where + said[0], said[1], time_ms)
        if assessment.get("rationale"):
            yield Rating(request_id, user, f"{where}{COMMENT}", assessment["rationale"], time_ms)
    elif "value" in (assessment.get("expectation") or {}):
        yield Rating(request_id, user, where + SUGGESTED, str(assessment["expectation"]["value"]), time_ms)


def _value(value: Any) -> str:
    said = str(value).strip()
    return next((meaning for meaning, words in _WORDS.items() if said.lower() in words), said)


def _milliseconds(time: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() * 1000
    except ValueError:
        return 0.0
