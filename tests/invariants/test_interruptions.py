"""A run cut at any of its calls, then run again, ends as if it had not been cut: nothing is missing, nothing is left.

Two kinds: the run is killed (engine and plugin are gone, the state knows nothing of the operation under way), and a
call that fails or whose answer is lost while the run lives on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agent_deploy.client import workspace as client
from tests.engine.serving import PATH
from tests.invariants.configurations import CONFIGURATIONS, program, served
from tests.invariants.conftest import Place
from tests.invariants.engine import Cut, Engine, Program, RunFailed

Make = Callable[[], Engine]
Scope = Callable[[], str]
# The loop ends when the run was not cut any more: no operation has more calls, and none has fewer.
MOST_CALLS, LEAST_CALLS = 60, 3
CHANGED: dict[str, Any] = {
    "servedEntities": {"qa_1": served(environmentVars={"KEY": "SECRET"}), "qa_4": served(4)},
    "traffic": {"qa_1": 60, "qa_4": 40},
    "tags": {"team": "z", "new": "1"},
    "description": "Changed.",
    "budgetPolicyId": "p-2",
    "aiGateway": {},
}
# Operation → what is there before, what is wanted (None: nothing), whether the secret's value changes.
OPERATIONS: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]] = {
    "create": (None, CONFIGURATIONS["everything"]),
    "update": (CONFIGURATIONS["everything"], CHANGED),
    "replace": (CONFIGURATIONS["logged"], {**CONFIGURATIONS["logged"], "routeOptimized": True}),
    "destroy": (CONFIGURATIONS["everything"], None),
}


@pytest.mark.parametrize("after_it_was_done", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_every_call(
    place: Place, engine: Make, scope: Scope, operation: str, after_it_was_done: bool
) -> None:
    before, after = OPERATIONS[operation]
    for call in range(1, MOST_CALLS):
        stack, name = engine(), scope()
        if before is not None:
            stack.up(program(name, before))
        wanted: Program = {} if after is None else program(name, after, value="second")
        with stack.cut(call, after_it_was_done):
            try:
                stack.up(wanted)
            except Cut:
                was_cut = True
            else:
                was_cut = False
        stack.up(wanted)
        ends_right(place, stack, name, wanted, f"{operation}, killed at call {call}")
        if not was_cut:
            assert call > LEAST_CALLS
            return
    raise AssertionError(f"{operation} makes more than {MOST_CALLS} calls")


FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"reset": True},
    "answer lost": {"lose_answer": True},
    "busy": {"status": 429, "retry_after": 0},
    "away": {"status": 503, "retry_after": 0},
    "broken": {"status": 500},
    "not yet visible": {"method": "GET", "status": 404},
    "limit reached": {"status": 400, "error_code": "RESOURCE_LIMIT_EXCEEDED", "message": "No more than 10."},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_call_fails(place: Place, engine: Make, scope: Scope, operation: str, fault: str) -> None:
    before, after = OPERATIONS[operation]
    for call in range(1, MOST_CALLS):
        stack, name = engine(), scope()
        if before is not None:
            stack.up(program(name, before))
        wanted: Program = {} if after is None else program(name, after, value="second")
        rule = place.workspace.post("/_local/faults", {"path": "/api/*", "nth": call, "times": 1, **FAULTS[fault]})
        with suppress(RunFailed):
            stack.up(wanted)
        happened = fired(place)
        place.workspace.delete(f"/_local/faults/{rule['id']}")
        stack.up(wanted)
        ends_right(place, stack, name, wanted, f"{operation}, {fault} at call {call}", keys_too=True)
        if not happened:
            assert call > 1
            return
    raise AssertionError(f"{operation} makes more than {MOST_CALLS} calls")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PATH), ("PUT", f"{PATH}/*/config"), ("POST", "/api/2.0/secrets/put")]
)
def test_an_answer_comes_later_than_the_client_waits(
    place: Place, engine: Make, scope: Scope, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 1.0)
    stack, name = engine(), scope()
    if method == "PUT":
        stack.up(program(name, CONFIGURATIONS["canary"]))
    wanted = program(name, CHANGED, value="second")
    rule = place.workspace.post("/_local/faults", {"method": method, "path": path, "times": 1, "delay": 1.5})
    with suppress(RunFailed):
        stack.up(wanted)
    assert fired(place)
    place.workspace.delete(f"/_local/faults/{rule['id']}")
    stack.up(wanted)
    ends_right(place, stack, name, wanted, f"{method} {path}", keys_too=True)


def test_a_new_endpoint_that_is_not_visible_yet_is_waited_for(place: Place, engine: Make, scope: Scope) -> None:
    stack, name = engine(), scope()
    wanted = program(name, CONFIGURATIONS["one version"])
    lag = {"method": "GET", "path": f"{PATH}/{name}", "status": 404, "times": 3}
    rule = place.workspace.post("/_local/faults", lag)
    assert stack.up(wanted) == ["create key", "create qa"]
    assert fired(place)
    place.workspace.delete(f"/_local/faults/{rule['id']}")
    ends_right(place, stack, name, wanted, "lag", keys_too=True)


def fired(place: Place) -> bool:
    """Whether the one fault that is set has happened."""
    (rule,) = place.workspace.get("/_local/faults")["faults"]
    return bool(rule["fired"])


def ends_right(place: Place, stack: Engine, name: str, wanted: Program, told: str, keys_too: bool = False) -> None:
    """The workspace is what the program says, the state knows it, and destroy leaves nothing."""
    assert stack.preview(wanted) == [], told
    assert stack.old == [], told
    stack.refresh()
    assert stack.preview(wanted) == [], told
    endpoints = place.endpoints()
    assert (name in endpoints) is bool(wanted), told
    used = {held.properties["key"] for held in stack.state.values() if held.type == "Secret"}
    if keys_too:
        assert place.keys(name) == used, told
    else:
        # The key of a run that was killed before the engine noted it stays until its scope goes: docs/teardown.md.
        assert used <= place.keys(name), told
        assert len(place.keys(name) - used) <= 1, told
    stack.destroy()
    assert name not in place.endpoints(), told
