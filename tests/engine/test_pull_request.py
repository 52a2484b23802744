"""A pull request played with the shell steps of the ready workflows: real engine, GitHub's API on 127.0.0.1."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from agent_deploy.pull_requests.marker import found_in
from tests.engine.serving import Site
from tests.engine.support import BIN, Stack, both_plugins
from tests.pull_requests.forges import TOKEN, State, github, served

TEMPLATES = Path(__file__).parents[2] / "agent_deploy" / "templates"
PROGRAM = """
from agent_deploy import AgentDeployment

allowed = {{"group_name": "{group}", "level": "CAN_VIEW"}}
AgentDeployment("qa", model_name="main.default.echo", versions=[{{"version": "{version}"}}], endpoint_name="qa",
                feedback_model=False, scale_to_zero=True, permissions=[allowed])
"""


def program(version: str, group: str = "reviewers") -> str:
    return PROGRAM.format(version=version, group=group)


def step(workflow: str, job: str, name: str) -> str:
    """The shell of one step, as the file has it."""
    steps = yaml.safe_load((TEMPLATES / "github" / workflow).read_text("utf-8"))["jobs"][job]["steps"]
    (found,) = [str(each["run"]) for each in steps if each.get("name") == name]
    return found


def run(stack: Stack, state: State, shell: str, commit: str, **more: str) -> tuple[int, str]:
    """Runs it as a workflow's runner does, for a commit of the pull request; ``more`` variables."""
    event = stack.folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12, "head": {"sha": commit}}}))
    environment = {
        **stack.environment(),
        "STACK": "test",
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_API_URL": state.url,
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_STEP_SUMMARY": str(stack.folder / "summary.md"),
        **more,
    }
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", shell]
    done = subprocess.run(
        command, cwd=stack.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_opened_pushed_merged_and_rolled_back(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare("main.default.echo", 2)
    site.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": "reviewers"})
    preview = step("agents-preview.yml", "preview", "Preview and comment")
    # Of one stack here; in the file each job has its own, and prod waits for approval.
    deploys = [step("agents-deploy.yml", job, "Deploy") for job in ("staging", "prod")]
    drift = step("agents-drift.yml", "drift", "Look for drift")

    def served_version() -> list[str]:
        return [each["entity_version"] for each in site.endpoint("qa")["config"]["served_entities"]]

    state = State(commits=["c1"])
    with served(github(state), state):
        for number in range(300):
            state.add(f"review {number}", "somebody")
        plugins = both_plugins(tmp_path / "plugins")
        stack = open_stack(program("1"), environment=site.environment, plugins=plugins)
        shutil.copy(TEMPLATES / "policies.json", stack.folder)

        code, said = run(stack, state, preview, "c1")
        assert (code, "Created: " in said) == (0, True), said
        (comment,) = state.own()
        assert "main.default.echo" in comment
        code, said = run(stack, state, deploys[0], "c1")
        assert (code, served_version()) == (0, ["1"]), said

        state.commits.append("c2")
        stack.write(program("2"))
        code, said = run(stack, state, preview, "c2")
        assert (code, "Updated: " in said) == (0, True), said
        (comment,) = state.own()
        assert comment != (stack.folder / "summary.md").read_text()
        assert "not served → 100 %" in comment
        assert "Gave way: " in run(stack, state, preview, "c1")[1]
        assert [marker.commit for body in state.own() if (marker := found_in(body))] == ["c2"]

        # What cannot be deployed is told on the pull request, and the check is red.
        state.commits.append("c3")
        stack.write(program("9"))
        code, said = run(stack, state, preview, "c3")
        assert (code != 0, "Updated: " in said) == (True, True), said
        assert "Cannot be told before the update" in state.own()[0]
        assert served_version() == ["1"]
        # Everybody may ask: a mandatory policy is against it.
        state.commits.append("c4")
        stack.write(program("2", "users"))
        code, said = run(stack, state, preview, "c4")
        assert (code, "AGD012" in state.own()[0]) == (5, True), said

        state.commits.append("c5")
        for version in ("2", "1"):  # merged, then reverted
            stack.write(program(version))
            assert [run(stack, state, deploy, "c5")[0] for deploy in deploys] == [0, 0]
            assert served_version() == [version]
        assert run(stack, state, drift, "c5")[0] == 0
        site.workspace.patch("/api/2.0/serving-endpoints/qa/tags", {"add_tags": [{"key": "by", "value": "hand"}]})
        assert run(stack, state, drift, "c5")[0] != 0
        assert "<code>tags.by</code>" in (stack.folder / "summary.md").read_text()
    stack.destroy()
