"""Which experiments a tracking request is about, and what its caller needs on them.

Source: Databricks, "MLflow experiment ACLs": CAN_READ sees, CAN_EDIT logs, CAN_MANAGE deletes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from agent_deploy.local.core.errors import invalid

READ, EDIT, MANAGE = "CAN_READ", "CAN_EDIT", "CAN_MANAGE"

_MANAGING = ("experiments/delete", "experiments/restore", "experiments/update")
# These of the requests that send a body change nothing.
_READING = re.compile(
    r"(^|/)(search[\w-]*|list|batchGet\w*|get[\w-]*|calculate-filter-correlation|credentials-for-(read|download)|"
    r"traces/metrics|presigned-download-url)$"
)
# Kind of id → the fields that hold one or several of them.
_FIELDS = {
    "experiment": ("experiment_id", "experiment_ids"),
    "run": ("run_id", "run_uuid", "run_ids"),
    "model": ("model_id", "model_ids"),
    "trace": ("trace_id", "request_id", "trace_ids", "request_ids"),
}
_KINDS = {field: kind for kind, fields in _FIELDS.items() for field in fields}
# The caller's own content, where a field may be called anything.
_OPAQUE = frozenset({"tags", "data", "params", "metadata", "trace_metadata", "feedback", "expectation"})
# First segment of a path whose second one is an id → its kind; and the words that stand there instead of an id.
_IN_PATH = {"traces": "trace", "logged-models": "model"}
_NO_IDS = frozenset(
    {"search", "get", "batchGet", "batchGetInfos", "delete-traces", "link-to-run", "link-prompts", "metrics"}
    | {"calculate-filter-correlation"}
)
_CAPITAL = re.compile(r"[A-Z]")


def check_path(path: str) -> None:
    """Raises 400 for segments that a client or server on the way may take out: the rest would be another path."""
    if not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise invalid(f"Path '{path}': expected no segment that is empty, '.' or '..'.")


def level(method: str, path: str) -> str:
    """The level needed for ``method`` on ``path`` (below ``/mlflow/``)."""
    if path in _MANAGING:
        return MANAGE
    return READ if method in ("GET", "HEAD") or (method == "POST" and _READING.search(path)) else EDIT


def subjects(path: str, query: list[tuple[str, str]], body: Any) -> set[tuple[str, str]]:
    """``(kind, id)`` of every experiment, run, logged model and trace that the request names."""
    found = {(_KINDS[field], value) for name, value in query if (field := _field(name)) in _KINDS and value}
    first, *rest = path.split("/")
    if first in _IN_PATH and rest and rest[0] not in _NO_IDS:
        found.add((_IN_PATH[first], rest[0]))
    return found | set(_in_body(body))


def _field(name: str) -> str:
    """As protobuf names it; in JSON it may be written ``experimentId``, too."""
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", name)


def _in_body(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _in_body(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if (field := _field(name)) in _KINDS:
                named = item if isinstance(item, list) else [item]
                yield from ((_KINDS[field], str(each)) for each in named if each not in (None, ""))
            elif field not in _OPAQUE:
                yield from _in_body(item)
