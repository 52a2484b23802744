"""Values planted anywhere in a preview, outside of the names that a report quotes, are in no form of the report."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agent_deploy.report.build import report_of
from agent_deploy.report.document import json_text
from agent_deploy.report.markdown import markdown
from agent_deploy.report.plain import show
from agent_deploy.report.preview import PreviewError, read
from tests.unit.test_report import LOGGED, VERDICTS, text

pytestmark = pytest.mark.long

SECRET = "s3cr3tplantedvalue"
# Fields whose text is a name that a reviewer has to read.
_NAMES = (
    "name entityName entityVersion principal privileges level objectType objectId objectName securableType fullName "
    "permission permissionLevel userName groupName servicePrincipalName scope displayName catalog schema table volume "
    "function model modelService mcpService foreignConnection catalogName schemaName tableNamePrefix "
    "tableNamePrefixHint payloadTable reference auth access version "
    "servingEndpointId sqlEndpointId vectorSearchEndpointId appName experimentId jobId pipelineId workspaceFileId "
    "workspaceFilePath directoryPath op urn type parent"
)
QUOTED = frozenset(_NAMES.split())

Place = tuple[Any, Any]  # the object or list, and the key or index in it


def places(value: Any, field: str = "") -> Iterator[Place]:
    """Where a text stands that is not to be quoted."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        its_field = key if isinstance(key, str) else field
        if its_field in ("detailedDiff", "changeSummary"):
            continue
        if isinstance(each, str) and its_field not in QUOTED:
            yield value, key
        yield from places(each, its_field)


def forms(preview: str) -> str:
    """All that a report prints, or the one line that refuses the preview."""
    try:
        found = report_of(read(preview))
    except PreviewError as error:
        return str(error)
    written = io.StringIO()
    show(found, Console(file=written, width=10_000))
    return "\n".join([markdown(found), json_text(found), written.getvalue()])


def planted(documents: list[Any], data: st.DataObject) -> list[Any]:
    """The documents with the secret in some of their texts, and in new fields of states and diagnostics."""
    found = [place for document in documents for place in places(document)]
    for at in data.draw(st.lists(st.integers(0, len(found) - 1), max_size=6)) if found else ():
        holder, key = found[at]
        holder[key] = data.draw(st.sampled_from((SECRET, f"Bearer {SECRET}", f"https://u:{SECRET}@host", f"@{SECRET}")))
    documents[0]["diagnostics"] = [{"message": SECRET, "severity": data.draw(st.sampled_from(("info", "error")))}]
    documents[0]["config"] = {"project:token": SECRET}
    return documents


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(VERDICTS)), st.data())
def test_secrets_planted_in_a_preview_never_show(kind: str, data: st.DataObject) -> None:
    (document,) = planted([json.loads(text(kind))], data)
    for step in document["steps"]:
        for state in filter(None, (step.get("oldState"), step.get("newState"))):
            state.setdefault("inputs", {})["added"] = {"deeper": [SECRET]}
            for entity in (state["inputs"].get("servedEntities") or {}).values():
                entity.setdefault("environmentVars", {})["PLANTED"] = SECRET
            state["inputs"].setdefault("tags", {})["planted"] = SECRET
            state["inputs"]["description"] = SECRET
    assert SECRET not in forms(json.dumps(document))


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(LOGGED), st.data())
def test_secrets_planted_in_an_event_log_never_show(kind: str, data: st.DataObject) -> None:
    events = [json.loads(line) for line in text(kind, ".events.json").splitlines()]
    events = planted(events, data)
    events.append({"diagnosticEvent": {"message": SECRET, "severity": "info"}})
    assert SECRET not in forms("\n".join(map(json.dumps, events)))
