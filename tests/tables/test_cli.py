"""`agent-deploy tables` against a local workspace, and what it says without Java or jars."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent_deploy.local import LocalWorkspace
from agent_deploy.tables import jars, java
from agent_deploy.tables.refresh import Target
from tests.tables.cases import ASKED, Case, Raw, feedback
from tests.tables.corpus import POSITIVE
from tests.tables.payload import append, row

TABLE = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "my-agent"}


@pytest.fixture(scope="module")
def workspace() -> Iterator[LocalWorkspace]:
    with LocalWorkspace() as workspace:
        yield workspace


def command(workspace: LocalWorkspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from agent_deploy.cli import main; main()"
    whole = [sys.executable, "-c", program, "tables", *arguments, "--folder", str(workspace.folder)]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def test_refresh_and_show(workspace: LocalWorkspace) -> None:
    body = {"name": "agents_qa", "ai_gateway": {"inference_table_config": TABLE}}
    headers = {"Authorization": f"Bearer {workspace.token}"}
    httpx.post(f"{workspace.host}/api/2.0/serving-endpoints", json=body, headers=headers).raise_for_status()
    early = command(workspace, "show", "agents_qa")
    assert (early.returncode, early.stdout) == (1, "")
    assert "agent-deploy tables refresh agents_qa" in early.stderr
    rated = feedback(text_assessments=[POSITIVE, POSITIVE])
    cases = [Case("asked", ASKED), Case("broken", Raw("{")), Case("rated", rated)]
    target = Target(workspace.folder, "main.default.my-agent_payload")
    append(target, [row(case, case.name, seconds) for seconds, case in enumerate(cases)])
    done = command(workspace, "refresh", "agents_qa")
    assert done.stdout == "requests: 1 row added\nassessments: 2 rows added\nquarantine: 1 row added\n", done.stderr
    [request] = map(json.loads, command(workspace, "show", "agents_qa", "--json").stdout.splitlines())
    assert (request["request"], request["timestamp"]) == ("What is Delta?", "2026-11-01T12:00:00+00:00")
    assert request["request_metadata"] == {"endpoint_name": "agents_qa"}
    assert len(command(workspace, "show", "agents_qa", "payload", "--json").stdout.splitlines()) == 3
    since = command(workspace, "show", "agents_qa", "payload", "--json", "--since", "2026-11-01T12:00:01")
    assert len(since.stdout.splitlines()) == 2
    [broken] = map(json.loads, command(workspace, "show", "agents_qa", "quarantine", "--json").stdout.splitlines())
    assert (broken["databricks_request_id"], broken["reason"]) == ("broken", "request is not valid JSON")
    assert "broken" in command(workspace, "show", "agents_qa", "quarantine").stdout
    anew = command(workspace, "refresh", "agents_qa", "--start-over")
    assert anew.stdout == done.stdout, anew.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "agents_qa", "answers"), "expected one of requests, assessments, payload, quarantine"),
        (("show", "nobody"), "There is no serving endpoint 'nobody' at http"),
        (("refresh", "nobody"), "SELECT * FROM CATALOG.SCHEMA.PREFIX_payload"),
        (("show", "agents_qa", "--since", "never"), "90m, 12h, 7d"),
    ],
)
def test_mistakes_are_one_line(workspace: LocalWorkspace, arguments: tuple[str, ...], told: str) -> None:
    done = command(workspace, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert told in done.stderr


def test_without_java_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(java.JavaMissing, match="apt-get install openjdk-17-jre-headless"):
        java.find_java()
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(java.JavaMissing, match="is version 11"):
        java.find_java()


def test_a_folder_without_the_jars_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(jars.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(jars.JarsMissing, match=r"lacks delta-spark_4\.2_2\.13"):
        jars.delta_jars(tmp_path)
