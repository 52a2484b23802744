"""Which experiments a tracking request is about, and what its caller needs on them.

Source: Databricks, "MLflow experiment ACLs": CAN_READ sees, CAN_EDIT logs, CAN_MANAGE deletes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

READ, EDIT, MANAGE = "CAN_READ", "CAN_EDIT", "CAN_MANAGE"

_MANAGING = ("experiments/delete", "experiments/restore", "experiments/update")
_READING = re.compile(
    r"(^|/)(search[\w-]*|list|batchGet\w*|get[\w-]*|calculate-filter-correlation|credentials-for-(read|download)|"
    r"traces/metrics|presigned-download-url)$"
)
# Kind of id → the fields that hold one or several of them.
_FIELDS = {
    "experiment": ("experiment_id", "experiment_ids", "experimentId"),
    "run": ("run_id", "run_uuid", "run_ids"),
    "model": ("model_id", "model_ids"),
    "trace": ("trace_id", "request_id", "trace_ids", "request_ids"),
}
_KINDS = {field: kind for kind, fields in _FIELDS.items() for field in fields}
# The caller's own content, where a field may be called anything.
_OPAQUE = frozenset({"tags", "data", "params", "metrics", "metadata", "trace_metadata", "feedback", "expectation"})
_IN_PATH = re.compile(r"(?:^|/)(?:(traces)/(tr-[^/]+)|(logged-models)/(m-[^/]+))")


def level(method: str, path: str) -> str:
    """The level needed for ``method`` on ``path`` (below ``/mlflow/``)."""
    if path in _MANAGING:
        return MANAGE
    return READ if method in ("GET", "HEAD") or _READING.search(path) else EDIT


def subjects(path: str, query: list[tuple[str, str]], body: Any) -> set[tuple[str, str]]:
    """``(kind, id)`` of every experiment, run, logged model and trace that the request names."""
    found = {(_KINDS[name], value) for name, value in query if name in _KINDS and value}
    for match in _IN_PATH.finditer(path):
        found.add(("trace", match[2]) if match[1] else ("model", match[4]))
    return found | set(_in_body(body))


def _in_body(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _in_body(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name in _KINDS:
                named = item if isinstance(item, list) else [item]
                yield from ((_KINDS[name], str(each)) for each in named if each not in (None, ""))
            elif name not in _OPAQUE:
                yield from _in_body(item)
