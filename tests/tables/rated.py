"""Rules for feedback: assessments in every spelling with the rows they mean, and malformed ones with the reason."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.tables.cases import Case

COLUMNS = ("request_id", "source", "text_assessments", "retrieval_assessments")
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
REQUEST_IDS = st.uuids().map(str)
SCALARS = st.booleans() | st.integers(1, 100) | st.floats(0.5, 100)
NO_JSON = st.sampled_from(["[{", "{", "[", '[{"ratings": {"a": ', "very good", "]", '{"ratings"}'])


# --- Well formed -----------------------------------------------------------------------------------------------------

# A rating as it is sent, and (value, double_value) as it is kept.
VALUES = st.one_of(
    st.sampled_from(["positive", "negative", "4"]).map(lambda text: (text, (text, None))),
    st.booleans().map(lambda flag: (flag, (str(flag).lower(), None))),
    st.integers(-1000, 1000).map(lambda number: (number, (str(number), float(number)))),
    st.none().map(lambda nothing: (nothing, (None, None))),
)


@st.composite
def ratings(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """As sent, and as kept."""
    sent: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        value, (text, number) = draw(VALUES)
        rationale = draw(st.none() | TEXT)
        sent[name] = {"value": value} if rationale is None else {"value": value, "rationale": rationale}
        kept[name] = {"value": text, "double_value": number, "rationale": rationale}
    return sent, kept


@st.composite
def assessments(draw: st.DrawFn, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One of the kind text or retrieval: as sent, and the row of the assessment logs without who sent it."""
    sent_ratings, kept_ratings = draw(ratings())
    sent: dict[str, Any] = {"ratings": sent_ratings}
    kept: dict[str, Any] = {"ratings": kept_ratings}
    fields: dict[str, st.SearchStrategy[Any]] = {"step_id": TEXT, "free_text_comment": TEXT}
    fields |= {"suggested_output": TEXT} if kind == "text" else {"position": st.integers(0, 2**31 - 1)}
    for name, values in fields.items():
        kept[name] = draw(st.none() | values)
        if kept[name] is not None or draw(st.booleans()):
            sent[name] = kept[name]
    row = {"text_assessment": None, "retrieval_assessment": None, "step_id": kept["step_id"]}
    return sent, {**row, f"{kind}_assessment": kept}


@st.composite
def sources(draw: st.DrawFn) -> tuple[Any, Any]:
    """As sent, and as kept."""
    tags = draw(st.none() | st.dictionaries(NAMES, TEXT, max_size=2))
    source = {"type": draw(st.sampled_from(["human", "end_user"])), "id": draw(NAMES), "tags": tags}
    if draw(st.booleans()):
        return draw(st.sampled_from([source, json.dumps(source)])), source
    return draw(st.sampled_from([None, ""])), None


def _spelled(draw: st.DrawFn, listed: list[Any]) -> Any:
    """A list of assessments as clients send it: as it is, as JSON text, one alone without a list, nothing at all."""
    spellings: list[Any] = [listed, json.dumps(listed)]
    if len(listed) == 1:
        spellings += [listed[0], json.dumps(listed[0])]
    if not listed:
        spellings += [None, "", "null"]
    return draw(st.sampled_from(spellings))


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One record of feedback, and its rows of the assessment logs."""
    request_id, (source, kept_source) = draw(REQUEST_IDS), draw(sources())
    counts = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)).filter(any))
    record: dict[str, Any] = {"request_id": request_id, "source": source}
    rows: list[dict[str, Any]] = []
    for kind, count in zip(("text", "retrieval"), counts, strict=True):
        drawn = [draw(assessments(kind)) for _ in range(count)]
        record[f"{kind}_assessments"] = _spelled(draw, [sent for sent, _ in drawn])
        rows += [{"request_id": request_id, "source": kept_source, **row} for _, row in drawn]
    return record, rows


def _dataframe(draw: st.DrawFn, listed: list[dict[str, Any]]) -> dict[str, Any]:
    """Either of MLflow's two spellings."""
    if draw(st.booleans()):
        return {"dataframe_records": listed}
    columns = draw(st.permutations(COLUMNS))
    data = [[record.get(name) for name in columns] for record in listed]
    return {"dataframe_split": {"columns": list(columns), "data": data}}


@st.composite
def rated(draw: st.DrawFn) -> Case:
    """A feedback request that can be read."""
    drawn = draw(st.lists(records(), min_size=1, max_size=2))
    rows = [row for _, of_record in drawn for row in of_record]
    body = _dataframe(draw, [record for record, _ in drawn])
    ok = {"predictions": {"result": "ok"}}
    return Case("rated", body, ok, "assessments", assessed=tuple(rows), elements=len(rows))


RATED = rated()


# --- Malformed -------------------------------------------------------------------------------------------------------


def _no_list(kind: str) -> str:
    return f"{kind}_assessments is no list of assessments"


NO_ASSESSMENT, NO_REQUEST = "feedback without an assessment", "feedback names no request that it rates"


@st.composite
def spoiled_records(draw: st.DrawFn) -> Case:
    """Sound records of which one is spoiled; the reason says how."""
    listed = [record for record, _ in draw(st.lists(records(), min_size=1, max_size=2))]
    victim = draw(st.integers(0, len(listed) - 1))
    kind = draw(st.sampled_from(["text", "retrieval"]))
    no_list = SCALARS | NO_JSON | st.just([5]) | st.just(["good"]) | st.just([None]) | st.just({"ratings": [1]})
    ways: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        NO_REQUEST: st.sampled_from([{"request_id": None}, {"request_id": ""}]),
        _no_list(kind): no_list.map(lambda value: {f"{kind}_assessments": value}),
        NO_ASSESSMENT: st.just({"text_assessments": [], "retrieval_assessments": None}),
    }
    reason = draw(st.sampled_from(list(ways)))
    # A record without an assessment is a fault only where there is no other record.
    if reason == NO_ASSESSMENT:
        listed, victim = [listed[victim]], 0
    listed[victim] = {**listed[victim], **draw(ways[reason])}
    return _quarantined(_dataframe(draw, listed), reason)


@st.composite
def spoiled_tables(draw: st.DrawFn) -> Case:
    """A split dataframe that has columns of assessments, and no table below them."""
    data, reason = draw(
        st.one_of(
            st.tuples(SCALARS | st.just("good") | st.none() | st.just({}) | st.just([]), st.just(NO_ASSESSMENT)),
            st.tuples(st.lists(SCALARS | st.none() | st.just({}), min_size=1, max_size=2), st.just(NO_REQUEST)),
            st.tuples(st.just([[]]), st.just(NO_REQUEST)),
            # The first cell alone is there.
            st.tuples(REQUEST_IDS.map(lambda id: [[id]]), st.just(NO_ASSESSMENT)),
        )
    )
    return _quarantined({"dataframe_split": {"columns": list(COLUMNS), "data": data}}, reason)


@st.composite
def no_objects(draw: st.DrawFn) -> Case:
    """Sound records, and among them what is no object."""
    listed: list[Any] = [record for record, _ in draw(st.lists(records(), min_size=1, max_size=2))]
    listed.insert(draw(st.integers(0, len(listed))), draw(SCALARS | st.just("good") | st.just([]) | st.just([5])))
    return _quarantined({"dataframe_records": listed}, NO_REQUEST)


@st.composite
def refused(draw: st.DrawFn) -> Case:
    """Sound feedback that the endpoint did not take."""
    status = draw(st.sampled_from([400, 404, 429, 500, 503]))
    record, _ = draw(records())
    case = _quarantined(_dataframe(draw, [record]), f"feedback was refused with status {status}")
    return Case(**{**vars(case), "status": status, "response": {"error_code": "BAD_REQUEST", "message": "no"}})


def _quarantined(body: dict[str, Any], reason: str) -> Case:
    return Case("malformed feedback", body, {"predictions": {"result": "ok"}}, "quarantine", {"reason": reason})


MALFORMED = st.one_of(spoiled_records(), spoiled_tables(), no_objects(), refused())
