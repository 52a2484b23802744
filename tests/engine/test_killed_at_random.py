"""Changes of a SERVICE_PRINCIPAL version, killed at random moments: the next `up` mends, `destroy` leaves nothing.

`AGENT_DEPLOY_KILLS=40 pytest tests/engine/test_killed_at_random.py` kills more often than the suite does; a number in
`AGENT_DEPLOY_KILLS_SEED` chooses other moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.engine.serving import PATH
from tests.engine.support import Stack, both_plugins, end_session
from tests.engine.test_cut_at_every_write import MODEL, NAME, program
from tests.engine.test_cut_at_every_write import site as site  # a fixture
from tests.engine.toolbox import Fact, Toolbox

KILLS = int(os.environ.get("AGENT_DEPLOY_KILLS", "4"))
SEED = int(os.environ.get("AGENT_DEPLOY_KILLS_SEED", "15"))
LETTERS = {"1": "a", "2": "b"}
# Between two looks at how far a run has come, and after the write at which it is killed, in seconds.
LOOK, LONGEST = 0.01, 0.3


def test_what_stands_after_the_next_run_is_what_the_program_declares(
    site: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    chance, before = random.Random(SEED), site.standing()
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(program("1", "value"), environment=site.environment, plugins=plugins, warm=False)
    stack.up()
    stands(site, before, "1")
    site.forget_requests()
    stack.write(program("2", "value"))
    stack.up()
    stands(site, before, "2")
    # As many moments between the beginning and the end of a change as it has writes.
    moments, killed = len(writes(site)), Counter[str]()
    for kill in range(KILLS):
        version = "12"[kill % 2]
        stack.write(program(version, "value"))
        at = chance.randint(0, moments)
        running = stack.start("up", "--yes", "--skip-preview")
        killed[kill_after(site, running, at, chance.uniform(0, LONGEST))] += 1
        stack.run("cancel", "--yes", check=False)  # the lock of the run that was killed
        site.settled(NAME)
        stack.up()
        stands(site, before, version)
    print(f"seed {SEED}: {KILLS} kills; the last write before each: {dict(killed)}")  # shown when a test fails
    stack.preview("--refresh", "--expect-no-changes")
    # The same for the end: what a killed destroy leaves is destroyed.
    running = stack.start("destroy", "--yes", "--skip-preview")
    kill_after(site, running, chance.randint(1, moments // 2), 0)
    stack.run("cancel", "--yes", check=False)
    stack.destroy()
    assert site.standing() == before
    assert stack.resources() == {}
    assert NAME not in {each["name"] for each in site.workspace.get(PATH)["endpoints"]}


def kill_after(site: Toolbox, running: subprocess.Popen[str], count: int, seconds: float) -> str:
    """Kills a run, its plugins and program some time after so many writes; returns the last one."""
    site.forget_requests()
    while running.poll() is None and len(writes(site)) < count:
        time.sleep(LOOK)
    time.sleep(seconds)
    end_session(running)
    return (writes(site) or ["none"])[-1]


def writes(site: Toolbox) -> list[str]:
    """What was changed since the recording began."""
    return [f"{each['method']} {shortened(each['path'])}" for each in site.asked("[!G]*", "/api/*")]


def shortened(path: str) -> str:
    """Without ids."""
    return "/".join(part for part in path.split("/")[3:] if not any(c.isdigit() for c in part))


def stands(site: Toolbox, before: Iterable[Fact], version: str) -> None:
    """What the program declares of that version, and nothing of the other one."""
    principal = f"main-default-cut_{version}"
    own = f"{NAME}_{version}"
    found = {without_left_keys(fact) for fact in site.standing() - set(before)}
    assert found == {
        ("principal", principal, "1 secrets"),
        ("list", f"sql/warehouses/{site.objects[LETTERS[version]]['sql_warehouse']}", principal, "CAN_USE"),
        ("scope", own, "client-secret", "admin@local:MANAGE"),
        ("scope", NAME, "KEY", "admin@local:MANAGE"),
    }
    (entity,) = site.endpoint(NAME)["config"]["served_entities"]
    assert (entity["name"], entity["entity_version"]) == (principal, version)
    # Who serves is who is there: its id and its secret's key are those of this version.
    (application,) = [p["applicationId"] for p in site.principals().values() if p["displayName"] == principal]
    assert application in entity["environment_vars"].values()
    assert f"{{{{secrets/{own}/client-secret" in "".join(entity["environment_vars"].values())
    assert f"{MODEL.replace('.', '-')}_{version}" == principal


def without_left_keys(fact: Fact) -> Fact:
    """A key that was stored and not yet noted stays until its scope goes: docs/teardown.md."""
    if fact[0] != "scope":
        return fact
    return (*fact[:2], ",".join(dict.fromkeys(fact[2].split(","))), fact[3])
