"""ServingEndpoint under the real engine: builds that fail, time that runs out, runs that are killed, lost answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.engine.serving import PATH, Site, entity, program, spec, table
from tests.engine.support import Stack, end_session, eventually
from tests.processes import descendants


def test_a_failing_version_is_told_and_mended(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    stack = deployed(spec(name))
    both = {"served_entities": {"qa_1": entity(), "qa_2": entity(2)}, "traffic": {"qa_1": 0, "qa_2": 100}}
    stack.write(program(spec(name, **both)))
    with site.fault(match="build", entity="qa_2", fail="no space left on device"):
        failed = stack.up(check=False)
        assert failed.code != 0
        assert "served entity qa_2 is DEPLOYMENT_FAILED" in failed.output
        assert "no space left on device" in failed.output
        assert "build log of qa_2" in failed.output
        assert "Still serving: qa_1 (100 %)" in failed.output
        state = stack.resources()["qa"]
        assert set(state["outputs"]["servedEntities"]) == {"qa_1"}
        assert state["outputs"]["configUpdate"] == "UPDATE_FAILED"
        # The preview says what is still to be done; the same program tries again.
        assert "servedEntities.qa_2" in stack.preview().changed_paths["qa"]
        assert "is unhealthy" in stack.refresh().messages or stack.resources()["qa"]["initErrors"]
        site.forget_requests()
        assert stack.up(check=False).code != 0
        assert len(site.asked("PUT", f"{PATH}/{name}/config")) == 1
    assert stack.up().operations == {"qa": "update"}
    assert site.endpoint(name)["config"]["traffic_config"]["routes"][1]["traffic_percentage"] == 100
    stack.preview("--expect-no-changes")


def test_a_failed_creation_is_kept_and_mended_or_removed(
    site: Site, open_stack: Callable[..., Stack], name: str
) -> None:
    stack = open_stack(program(spec(name)), environment=site.environment)
    with site.fault(match="build", entity="qa_1", fail="broken"):
        failed = stack.up(check=False)
        assert "Nothing serves" in failed.output
        assert stack.resources()["qa"]["id"] == name
    assert stack.up().operations == {"qa": "update"}
    assert site.endpoint(name)["state"]["ready"] == "READY"
    stack.preview("--expect-no-changes")
    stack.destroy()
    with site.fault(match="build", entity="qa_1", fail="broken"):
        assert stack.up(check=False).code != 0
        stack.destroy()
    assert not site.exists(name)


def test_after_a_timeout_the_next_run_goes_on_waiting(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    stack = deployed(spec(name))
    changed = spec(name, served_entities={"qa_1": entity(environment_vars={"GREETING": "changed"})})
    site.forget_requests()
    with site.stepped():
        stack.write(program(changed, custom_timeouts="pulumi.CustomTimeouts(update='2s')"))
        late = stack.up(check=False)
        assert "not ready within the time allowed" in late.output
        assert "custom_timeouts" in late.output
        assert site.waits_for_step(name)
        stack.write(program(changed))
        running = stack.start("up", "--yes", "--skip-preview")
        eventually(lambda: site.asked("GET", f"{PATH}/{name}") and site.waits_for_step(name))
        site.step()
        assert running.wait(timeout=120) == 0, stack.started_output
    assert len(site.asked("PUT", f"{PATH}/{name}/config")) == 1
    stack.preview("--expect-no-changes")


# What is killed → what its command line has; the engine is what the test started.
VICTIMS = {"engine": "", "plugin": "pulumi-resource-agent-deploy", "program": "pulumi-language-python-exec"}


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_in_the_middle_of_an_update(site: Site, deployed: Callable[..., Stack], name: str, victim: str) -> None:
    stack = deployed(spec(name))
    changed = spec(name, served_entities={"qa_1": entity(environment_vars={"GREETING": victim})}, tags={"after": "it"})
    stack.write(program(changed))
    with site.stepped():
        running = stack.start("up", "--yes", "--skip-preview")
        eventually(lambda: site.waits_for_step(name))
        [pid] = descendants(running.pid, VICTIMS[victim]) if VICTIMS[victim] else [running.pid]
        os.kill(pid, signal.SIGKILL)
        if victim == "program":
            site.step()  # the engine ends what is under way
        assert running.wait(timeout=60) != 0
        end_session(running)
        site.step()
    site.settled(name)
    stack.run("cancel", "--yes", check=False)  # the lock of the run that was killed
    stack.up()
    remote = site.endpoint(name)
    assert remote["config"]["served_entities"][0]["environment_vars"] == {"GREETING": victim}
    assert {"key": "after", "value": "it"} in remote["tags"]
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")


def test_killed_while_creating_the_endpoint_is_taken_over(
    site: Site, open_stack: Callable[..., Stack], name: str
) -> None:
    arguments = spec(name, ai_gateway=table(table_name_prefix_hint=name))
    stack = open_stack(program(arguments), environment=site.environment)
    with site.stepped():
        running = stack.start("up", "--yes", "--skip-preview")
        eventually(lambda: site.waits_for_step(name))
        end_session(running)
        site.step()
    first = site.settled(name)
    stack.run("cancel", "--yes", check=False)
    stack.up()
    assert site.endpoint(name)["id"] == first["id"]
    assert stack.resources()["qa"]["outputs"]["payloadTable"] == f"main.default.{name}_payload"
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert not site.exists(name)


def test_an_answer_lost_after_the_creation_makes_no_orphan(
    site: Site, open_stack: Callable[..., Stack], name: str
) -> None:
    stack = open_stack(program(spec(name)), environment=site.environment)
    with site.fault(method="POST", path=PATH, lose_answer=True, times=1):
        stack.up()
    assert stack.resources()["qa"]["id"] == name
    stack.preview("--expect-no-changes")


def test_a_workspace_that_asks_to_wait_is_waited_for(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    stack = deployed(spec(name))
    with (
        site.fault(method="DELETE", path=f"{PATH}/*", status=503, times=2),
        site.fault(method="GET", path=f"{PATH}/*", status=429, times=1, retry_after=1),
    ):
        stack.destroy()
    assert not site.exists(name)
