"""What a piece of feedback may look like: the shape of the feedback model's requests, checked field by field.

Logged with the feedback model as its only code, so it stands on the standard library, and where it is served on MLflow.
Source of the shape: Databricks, "Provide feedback on a deployed agent", and requests of its public templates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = ("request_id", "source", "text_assessments", "retrieval_assessments")
# Seen with deploy()'s feedback model, and MLflow's own names for the same; case does not matter.
SOURCE_TYPES = ("human", "end_user", "expert", "ai_judge", "llm_judge", "code")
_ASSESSMENTS = {"text_assessments": ("suggested_output",), "retrieval_assessments": ("position",)}
_COMMON = ("step_id", "ratings", "free_text_comment")
ACCEPTED = {"result": "ok"}


class ServedModel:
    """The feedback model as MLflow serves it: keeps nothing, as its requests are logged in the inference table."""

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> dict[str, str]:
        """ACCEPTED; raises MLflow's exception for INVALID_PARAMETER_VALUE (HTTP 400) that names each wrong field."""
        records = [parsed(record) for record in model_input.to_dict("records")]
        found = [
            problem if len(records) == 1 else f"record {index}: {problem}"
            for index, record in enumerate(records)
            for problem in problems(record)
        ]
        if not records:
            found = ["dataframe_records: expected at least one record"]
        if found:
            from mlflow.exceptions import MlflowException

            raise MlflowException.invalid_parameter_value(f"This is no feedback: {'; '.join(found)}")
        return dict(ACCEPTED)


def _load_pyfunc(_path: str) -> ServedModel:
    # By this name MLflow finds the model in the module that its MLmodel calls `loader_module`.
    return ServedModel()


def parsed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with JSON-encoded columns decoded; a column that does not parse stays as it is, to be refused."""
    # A table's empty cell is NaN.
    present = {name: value for name, value in record.items() if not (isinstance(value, float) and math.isnan(value))}
    return {name: _decoded(value) if name != "request_id" else value for name, value in present.items()}


def problems(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with one parsed record, each line naming the field; empty when it means something."""
    found = list(_request_id(record.get("request_id")))
    found += _source(record.get("source"))
    counted = 0
    for column in _ASSESSMENTS:
        value = record.get(column)
        if value is None:
            continue
        if not isinstance(value, list):
            found.append(f"{column}: expected a list of assessments, got {_kind(value)}")
            continue
        counted += len(value)
        for index, assessment in enumerate(value):
            found += _assessment(f"{column}[{index}]", column, assessment)
    if not counted and not found:
        found.append("text_assessments, retrieval_assessments: expected at least one assessment in one of them")
    return found


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # the latter: brackets in brackets, thousands of them
        return value


def _request_id(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip():
        yield (
            "request_id: expected the databricks_request_id of the answer that is rated "
            '(ask with {"databricks_options": {"return_trace": true}} to get it)'
        )


def _source(value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f'source: expected an object such as {{"id": "user@company.com", "type": "human"}}, got {_kind(value)}'
        return
    if not isinstance(value.get("id"), str) or not value["id"].strip():
        yield "source.id: expected who gives the feedback, such as an e-mail address"
    kind = value.get("type")
    if not isinstance(kind, str) or kind.lower() not in SOURCE_TYPES:
        yield f"source.type: expected one of {', '.join(SOURCE_TYPES)}, got {kind!r}"


def _assessment(where: str, column: str, value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: expected an object with ratings or a comment, got {_kind(value)}"
        return
    known = (*_COMMON, *_ASSESSMENTS[column])
    if unknown := sorted(set(value) - set(known)):
        yield f"{where}.{unknown[0]}: unknown field, expected {', '.join(known)}"
    for name in ("step_id", "free_text_comment", "suggested_output"):
        if value.get(name) is not None and not isinstance(value[name], str):
            yield f"{where}.{name}: expected a string, got {_kind(value[name])}"
    position = value.get("position")
    if position is not None and (isinstance(position, bool) or not isinstance(position, int) or position < 0):
        yield f"{where}.position: expected the document's place, 0 or more, got {position!r}"
    yield from _ratings(f"{where}.ratings", value.get("ratings"))
    if not value.get("ratings") and not value.get("free_text_comment") and not value.get("suggested_output"):
        yield f"{where}: expected a rating, a free_text_comment or a suggested_output"


def _ratings(where: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield f'{where}: expected an object such as {{"answer_correct": {{"value": "positive"}}}}, got {_kind(value)}'
        return
    # Names are free: any may be added to those of the Review App.
    for name, rating in value.items():
        if not isinstance(rating, Mapping):
            yield f'{where}.{name}: expected an object such as {{"value": "positive"}}, got {_kind(rating)}'
        elif rating.get("value") is None or isinstance(rating["value"], (list, Mapping)) or rating["value"] == "":
            yield f"{where}.{name}.value: expected a string, a number or a boolean, got {_kind(rating.get('value'))}"
        elif rating.get("rationale") is not None and not isinstance(rating["rationale"], str):
            yield f"{where}.{name}.rationale: expected a string, got {_kind(rating['rationale'])}"


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
