"""The calls that each operation on an AgentDeployment makes, against committed lists: no call more than needed.

After a wanted change: `AGENT_DEPLOY_RENEW_GOLDEN=1 pytest tests/engine/test_golden_requests.py`, and look at the diff.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, Site
from tests.engine.support import Stack

FOLDER = Path(__file__).parent / "golden"
RENEW = "AGENT_DEPLOY_RENEW_GOLDEN"
NAME = "golden-agent"
PROGRAM = "import json\nfrom agent_deploy import AgentDeployment\nAgentDeployment('qa', json.loads(ARGS))\n"
ONE: dict[str, Any] = {"model_version": "1", "environment": {"MODE": "short"}}
BOTH: dict[str, Any] = {"versions": [{"version": "1"}, {"version": "2"}], "environment": {"MODE": "short"}}
# What is derived from the tables is made by the vendor's plugin.
FIXED: dict[str, Any] = {"model_name": MODEL, "endpoint_name": NAME, "inference_tables": {"derive": False}}
# Operation → the arguments that it brings about; None destroys. In this order, each after the one before it.
OPERATIONS: dict[str, dict[str, Any] | None] = {
    "create": ONE,
    "no_op": ONE,
    "version_change": {**ONE, "model_version": "2"},
    "canary": {**BOTH, "traffic": {"1": 10, "2": 90}},
    "traffic_change": {**BOTH, "traffic": {"1": 50, "2": 50}},
    "environment_change": {**BOTH, "traffic": {"1": 50, "2": 50}, "environment": {"MODE": "long"}},
    "destroy": None,
}


def test_each_operation_makes_the_calls_of_its_list(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Stack]
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare(MODEL, 2)
    stack = open_stack(program(ONE), environment=site.environment)
    made = {}
    for operation, args in OPERATIONS.items():
        if args is not None:
            stack.write(program(args))
        site.forget_requests()
        if args is None:
            stack.destroy()
        else:
            stack.up()
        made[operation] = "\n".join(calls(site)) + "\n"
    if os.environ.get(RENEW):
        for operation, text in made.items():
            (FOLDER / f"{operation}.txt").write_text(text)
        pytest.skip("the golden lists were written anew")
    for operation, text in made.items():
        assert text == (FOLDER / f"{operation}.txt").read_text(), f"{operation}: renew with {RENEW}=1 if this is wanted"
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(OPERATIONS)


def program(args: dict[str, Any]) -> str:
    """A program with one AgentDeployment."""
    return PROGRAM.replace("ARGS", repr(json.dumps({**FIXED, **args})))


def calls(site: Site) -> list[str]:
    """The plugin's requests: changes in their order; looks between two changes counted, as they may run side by side.

    How often an endpoint is looked at until it is ready is a matter of time, and not counted.
    """
    asked = [each for each in site.asked("*", "/api/*") if each["client"].startswith("agent-deploy/")]
    lines: list[str] = []
    looks: Counter[str] = Counter()
    for request in sorted(asked, key=lambda each: each["time_ms"]):
        line = f"{request['method']} {request['path'].replace(NAME, '{endpoint}')}"
        if request["method"] == "GET":
            looks[line] += 1
            continue
        lines += [*_counted(looks), line]
        looks.clear()
    return [*lines, *_counted(looks)]


def _counted(looks: Counter[str]) -> Iterator[str]:
    for line, count in sorted(looks.items()):
        polled = line == "GET /api/2.0/serving-endpoints/{endpoint}"
        yield line if polled or count == 1 else f"{line} ×{count}"
