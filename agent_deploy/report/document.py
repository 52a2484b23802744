"""The report as a JSON document with a versioned schema, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from agent_deploy.report.structure import SCHEMA_VERSION, Report
from agent_deploy.rules.records import camel_case


def document(report: Report) -> dict[str, Any]:
    """Fields as in `structure`, in camelCase; a field may be added within a version, none changes or goes."""
    verdict = {**asdict(report.verdict), "kinds": report.verdict.kinds}
    found = {"schema_version": SCHEMA_VERSION, **asdict(report), "verdict": verdict}
    plain: dict[str, Any] = json.loads(json.dumps(_camel(found)))
    return plain


def json_text(report: Report) -> str:
    """The document as text."""
    return json.dumps(document(report), indent=2, ensure_ascii=False)


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {camel_case(key): _camel(each) for key, each in value.items()}
    return [_camel(each) for each in value] if isinstance(value, (list, tuple)) else value
