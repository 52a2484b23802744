"""Clients that call without a pause through a canary's whole life: no request fails, and the shares are as declared."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agent_deploy.provider.plugin.resource import Values
from tests.engine.serving import Site
from tests.engine.support import eventually
from tests.invariants.configurations import MODEL, served
from tests.invariants.engine import Engine, RunFailed

NAME, CALLERS = "busy", 2
COUNTED = 300  # answers from which the split is judged
DEVIATIONS = 4.5  # of a binomial's standard: a right split fails one run in 100,000


class Clients:
    """Threads that ask the endpoint, and one that asks version 1 alone, until they are told to stop."""

    def __init__(self, host: str, token: str) -> None:
        self._host, self._headers = host, {"Authorization": f"Bearer {token}"}
        self._stop = threading.Event()
        self.failures: list[str] = []
        self._answers: Counter[str] = Counter()
        # Answers to questions of before belong to the shares of before.
        self._period = 0
        paths = [f"/serving-endpoints/{NAME}/invocations"] * CALLERS
        paths.append(f"/serving-endpoints/{NAME}/served-models/qa_1/invocations")
        self._threads = [threading.Thread(target=self._ask, args=(path,)) for path in paths]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, path: str) -> None:
        shared = "served-models" not in path
        with httpx.Client(base_url=self._host, headers=self._headers, timeout=60) as http:
            while not self._stop.is_set():
                asked_in = self._period
                answer = http.post(path, json={"inputs": ["you"]})
                if answer.status_code != 200:
                    self.failures.append(f"{path}: {answer.status_code} {answer.text}")
                elif shared and asked_in == self._period:
                    self._answers[answer.headers["served-model-name"]] += 1

    def split(self) -> Counter[str]:
        """By served entity, the next answers to what is asked from now on."""
        self._period += 1
        before = self._answers.copy()

        def enough() -> Counter[str] | None:
            seen = self._answers.copy()
            seen.subtract(before)
            return seen if seen.total() >= COUNTED else None

        found: Counter[str] = eventually(enough, seconds=120)
        return found


@pytest.fixture(scope="module")
def busy(local_workspace_factory: Callable[..., Any]) -> tuple[Site, Engine]:
    """A workspace that really serves, with three versions of a model, and a stack."""
    local = local_workspace_factory()
    site = Site(local)
    site.register(MODEL, 3)
    return site, Engine(local.host, local.token, seconds=120.0)


def run(stack: Engine, entities: Values, traffic: dict[str, int]) -> None:
    """One run of a program with these entities and shares."""
    inputs = {"name": NAME, "ownerMark": "p/s/busy", "servedEntities": entities, "traffic": traffic}
    stack.up({"qa": ("ServingEndpoint", lambda _: inputs)})


def is_split_as(found: Counter[str], traffic: dict[str, int]) -> bool:
    """Whether the answers came from the entities in these shares, as far as chance lets one tell."""
    total = found.total()
    return all(
        abs(found[name] - total * share / 100) <= DEVIATIONS * math.sqrt(total * share / 100 * (1 - share / 100))
        for name, share in traffic.items()
    )


def test_the_judgement_of_a_split_can_fail() -> None:
    assert is_split_as(Counter(qa_1=268, qa_2=32), {"qa_1": 90, "qa_2": 10})
    assert not is_split_as(Counter(qa_1=240, qa_2=60), {"qa_1": 90, "qa_2": 10})
    assert not is_split_as(Counter(qa_1=299, qa_2=1), {"qa_1": 100, "qa_2": 0})


def test_no_request_fails_while_versions_come_share_roll_back_fail_and_leave(busy: tuple[Site, Engine]) -> None:
    site, stack = busy
    one, two, three = served(), served(2), served(3)
    run(stack, {"qa_1": one}, {"qa_1": 100})
    both, before = {"qa_1": one, "qa_2": two}, {}
    with Clients(stack.host, stack.token) as clients:
        for first, second in ((90, 10), (50, 50), (0, 100), (100, 0)):
            traffic = {"qa_1": first, "qa_2": second}
            run(stack, both, traffic)
            assert is_split_as(clients.split(), traffic), traffic
            if first == 90:
                before = processes(site)
            assert processes(site) == before, "shares change without a build"
        run(stack, {**both, "qa_2": served(2, environmentVars={"GREETING": "hi"})}, {"qa_1": 50, "qa_2": 50})
        changed = processes(site)
        assert changed["qa_1"] == before["qa_1"], "only the version that changed is built"
        assert changed["qa_2"] != before["qa_2"]
        fault = site.workspace.post("/_local/faults", {"match": "build", "version": "3", "delay": 0.5, "fail": "full"})
        everything = {**both, "qa_2": served(2, environmentVars={"GREETING": "hi"}), "qa_3": three}
        shares = {"qa_1": 20, "qa_2": 0, "qa_3": 80}
        with pytest.raises(RunFailed, match="Still serving: qa_1 \\(50 %\\), qa_2 \\(50 %\\)"):
            run(stack, everything, shares)
        assert is_split_as(clients.split(), {"qa_1": 50, "qa_2": 50})
        assert processes(site) == changed
        site.workspace.delete(f"/_local/faults/{fault['id']}")
        run(stack, everything, shares)
        assert is_split_as(clients.split(), shares)
        run(stack, {"qa_1": one}, {"qa_1": 100})
        assert is_split_as(clients.split(), {"qa_1": 100})
        assert processes(site) == {"qa_1": changed["qa_1"]}
    assert clients.failures == []
    stack.destroy()


def processes(site: Site) -> dict[str, int]:
    """Served entity → process id, of what is in the config."""
    names = {entity["name"] for entity in site.endpoint(NAME)["config"]["served_entities"]}
    running = site.workspace.get("/_local/serving/processes")["processes"]
    return {process["entity"]: process["pid"] for process in running if process["entity"] in names}
