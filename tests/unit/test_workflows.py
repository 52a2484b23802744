"""The workflows of this repository and its ready ones, judged by actionlint and by zizmor, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent_deploy.policies.judging import choose

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
READY = ROOT / "agent_deploy" / "templates"
TEMPLATES = sorted((READY / "github").glob("*.yml"))
WORKFLOWS = [*TEMPLATES, *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
BIN = ROOT / ".cache" / "actionlint"


@pytest.fixture(scope="module")
def actionlint() -> Path:
    """Built once; Go's proxy and sums are the user's."""
    found = BIN / "actionlint"
    if not found.exists():
        subprocess.run(["go", "install", ACTIONLINT], env={**os.environ, "GOBIN": str(BIN)}, check=True)
    return found


def test_actionlint_finds_nothing(actionlint: Path) -> None:
    done = subprocess.run([str(actionlint), *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there is no zizmor for Python 3.10")
def test_zizmor_finds_nothing() -> None:
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-progress", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_given_job_by_job_and_actions_are_pinned_by_commit(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used
        assert all(len(each.partition("@")[2]) == 40 for each in used), used
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_stores_no_credential_of_databricks(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    for job in workflow["jobs"].values():
        assert job["env"]["DATABRICKS_AUTH_TYPE"] == "github-oidc"
        assert job["permissions"]["id-token"] == "write"
        assert job["timeout-minutes"] <= 90
        stored = [value for value in job["env"].values() if "secrets." in value]
        assert stored in ([], ["${{ secrets.PULUMI_CONFIG_PASSPHRASE }}"])


def test_a_fork_gets_no_credentials() -> None:
    (job,) = yaml.safe_load((READY / "github" / "agents-preview.yml").read_text())["jobs"].values()
    assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


def test_gitlabs_jobs_sign_in_by_an_id_token_and_say_the_same_commands() -> None:
    jobs = yaml.safe_load((READY / "gitlab" / "agents.gitlab-ci.yml").read_text())
    assert jobs[".agents"]["variables"]["DATABRICKS_AUTH_TYPE"] == "env-oidc"
    github = yaml.safe_load((READY / "github" / "agents-preview.yml").read_text())["jobs"]["preview"]["steps"]
    assert github[-1]["run"].splitlines() == jobs["agents-preview"]["script"]


def test_the_policies_are_settings_that_there_are() -> None:
    assert choose(json.loads((READY / "policies.json").read_text()))
