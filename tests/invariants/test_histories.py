"""Random histories of runs, faults, kills and changes by hand end with workspace = program, and with no orphan."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from agent_deploy.client.errors import ApiError
from agent_deploy.provider.endpoint import state as states
from tests.engine.serving import PATH
from tests.invariants.configurations import CONFIGURATIONS, program
from tests.invariants.conftest import Place
from tests.invariants.engine import Cut, Engine, Program, RunFailed

EXAMPLES, STEPS = 40, 10
CALLS = st.integers(1, 20)
FAULTS = st.sampled_from(
    [{"reset": True}, {"lose_answer": True}, {"status": 429, "retry_after": 0}, {"status": 500}, {"status": 403}]
)
BY_HAND = st.sampled_from(["endpoint gone", "key gone", "tag", "description", "gateway", "another version", "traffic"])


class History(RuleBasedStateMachine):
    """One stack in one workspace; the class attributes are set by the test."""

    place: Place
    make: Callable[[], Engine]

    @initialize()
    def begin(self) -> None:
        """An empty stack with a secret scope."""
        self.name = f"h{uuid.uuid4().hex[:10]}"
        self.place.workspace.post("/api/2.0/secrets/scopes/create", {"scope": self.name})
        self.stack = self.make()
        self.wanted: Program = {}
        self.killed = 0

    @rule(configuration=st.sampled_from(list(CONFIGURATIONS)), value=st.sampled_from(["first", "second"]))
    def write(self, configuration: str, value: str) -> None:
        """The program changes."""
        self.wanted = program(self.name, CONFIGURATIONS[configuration], value)

    @rule()
    def up(self) -> None:
        """A run; it may meet what was changed by hand, and says so."""
        with self._serving_goes_on(), suppress(RunFailed):
            self.stack.up(self.wanted)

    @rule(call=CALLS, fault=FAULTS)
    def up_meets_a_fault(self, call: int, fault: dict[str, Any]) -> None:
        """One call of the run fails, or its answer is lost."""
        with self._serving_goes_on(), self._fault(path="/api/*", nth=call, times=1, **fault), suppress(RunFailed):
            self.stack.up(self.wanted)

    @rule(version=st.sampled_from("1234"))
    def up_meets_a_broken_version(self, version: str) -> None:
        """A container does not come up."""
        with self._serving_goes_on(), self._fault(match="build", version=version, fail="broken"), suppress(RunFailed):
            self.stack.up(self.wanted)

    @rule(call=CALLS, after_it_was_done=st.booleans())
    def up_is_killed(self, call: int, after_it_was_done: bool) -> None:
        """The state knows nothing of the call."""
        with self.stack.cut(call, after_it_was_done), suppress(RunFailed):
            try:
                self.stack.up(self.wanted)
            except Cut:
                self.killed += 1

    @rule(call=CALLS, fault=FAULTS)
    def destroy_meets_a_fault(self, call: int, fault: dict[str, Any]) -> None:
        """A destroy that may stop half-way."""
        with self._fault(path="/api/*", nth=call, times=1, **fault), suppress(RunFailed):
            self.stack.destroy()

    @rule()
    def refresh(self) -> None:
        """Takes into the state what is there; changes nothing."""
        before = self.place.endpoints().get(self.name)
        with suppress(RunFailed):
            self.stack.refresh()
        assert self.place.endpoints().get(self.name) == before

    @precondition(lambda self: self.stack.state)
    @rule(what=BY_HAND)
    def somebody_changes(self, what: str) -> None:
        """In the workspace's pages, say; what is not there cannot be changed."""
        url, workspace = f"{PATH}/{self.name}", self.place.workspace
        config = self.place.endpoints().get(self.name, {}).get("config") or {}
        entities = [{**entity, "state": None} for entity in config.get("served_entities") or []]
        with suppress(ApiError):
            if what == "endpoint gone":
                workspace.delete(url)
            elif what == "key gone":
                for key in self.place.keys(self.name):
                    workspace.post("/api/2.0/secrets/delete", {"scope": self.name, "key": key})
            elif what == "tag":
                workspace.patch(f"{url}/tags", {"add_tags": [{"key": "by", "value": "hand"}], "delete_tags": ["team"]})
            elif what == "description":
                workspace.patch(f"{url}/description", {"description": "by hand"})
            elif what == "gateway":
                workspace.put(f"{url}/ai-gateway", {"inference_table_config": {"enabled": False}})
            elif what == "another version" and entities:
                added = {"name": "by_hand", "entity_name": "main.default.qa", "entity_version": "4"}
                shares = [100, *[0] * len(entities)]
                routes = [{"served_model_name": e["name"], "traffic_percentage": s}
                          for e, s in zip([added, *entities], shares, strict=True)]  # fmt: skip
                body = {"served_entities": [added, *entities], "traffic_config": {"routes": routes}}
                workspace.put(f"{url}/config", body)
            elif what == "traffic" and len(entities) > 1:
                shares = [100, *[0] * (len(entities) - 1)]
                routes = [{"served_model_name": e["name"], "traffic_percentage": s}
                          for e, s in zip(entities, shares, strict=True)]  # fmt: skip
                workspace.put(f"{url}/config", {"served_entities": entities, "traffic_config": {"routes": routes}})

    def teardown(self) -> None:
        """A refresh and a run without faults: the workspace is the program. A destroy: nothing is left."""
        if not hasattr(self, "stack"):
            return
        self.stack.refresh()
        self.stack.up(self.wanted)
        assert self.stack.preview(self.wanted) == []
        self.stack.refresh()
        assert self.stack.preview(self.wanted) == []
        found = self.place.endpoints().get(self.name)
        assert (found is not None) is bool(self.wanted)
        assert found is None or states.is_healthy(found)
        used = {held.properties["key"] for held in self.stack.state.values() if held.type == "Secret"}
        assert used <= self.place.keys(self.name)
        assert len(self.place.keys(self.name) - used) <= self.killed
        self.stack.destroy()
        assert self.name not in self.place.endpoints()
        assert len(self.place.keys(self.name)) <= self.killed
        self.place.workspace.post("/api/2.0/secrets/scopes/delete", {"scope": self.name})

    @contextmanager
    def _fault(self, **fault: Any) -> Iterator[None]:
        made = self.place.workspace.post("/_local/faults", fault)
        try:
            yield
        finally:
            self.place.workspace.delete(f"/_local/faults/{made['id']}")

    @contextmanager
    def _serving_goes_on(self) -> Iterator[None]:
        """An endpoint that answered before a run answers after it, unless it was replaced or left the program."""
        before = self.place.endpoints().get(self.name, {})
        yield
        after = self.place.endpoints().get(self.name)
        if after and after["id"] == before.get("id") and states.ready(before) == states.READY:
            assert states.ready(after) == states.READY


def test_random_histories_end_well(place: Place, engine: Callable[[], Engine]) -> None:
    History.place, History.make = place, staticmethod(engine)
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,  # the same histories each time: a failure is ours, not chance
            suppress_health_check=list(HealthCheck),
        ),
    )
