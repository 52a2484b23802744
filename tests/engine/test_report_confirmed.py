"""What a report says that an agent may newly touch, and no longer, against what its served process is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_deploy.report.build import report_of
from agent_deploy.report.preview import read
from agent_deploy.report.structure import Access
from tests.engine.support import Stack, both_plugins
from tests.engine.test_identity import program
from tests.engine.toolbox import ALL_KINDS, REFUSALS, Toolbox

# The agent's SQL goes through a's warehouse, which it keeps, and so does what it asks a's Genie space.
KEPT = ("sql_warehouse", "genie_space")
MOVED = tuple(kind for kind in ALL_KINDS if kind not in KEPT)


def declared(site: Toolbox, letter: str) -> dict[str, Any]:
    """A service principal that may use one set of objects."""
    objects = {**site.objects[letter], **{kind: site.objects["a"][kind] for kind in KEPT}}
    resources = [{"kind": kind, "name": objects[kind]} for kind in ALL_KINDS]
    identity = {"auth": "SERVICE_PRINCIPAL", "resources": resources, "replace_resources": True}
    return {**identity, "versions": [{"version": "1"}]}


def kinds(site: Toolbox, letter: str, told: tuple[Access, ...]) -> set[str]:
    """The kinds of the set's objects that are told of."""
    names = {each.object.partition(" ")[2] for each in told}
    return {kind for kind, name in site.objects[letter].items() if name in names}


def test_every_line_is_confirmed_by_calls_that_are_allowed_and_refused(
    toolbox: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    site, plugins = toolbox, both_plugins(tmp_path / "plugins")
    stack = open_stack(program("told", **declared(site, "a")), environment=site.environment, plugins=plugins)
    stack.up()
    stack.write(program("told", **declared(site, "b")))
    (agent,) = report_of(read(stack.run("preview", "--json", "--show-sames", "--non-interactive").output)).agents
    newly, no_longer = kinds(site, "b", agent.touches), kinds(site, "a", agent.touches_no_more)
    assert newly == no_longer == set(MOVED)
    # No line is about anything else.
    assert len(agent.touches) == len(agent.touches_no_more) == len(MOVED), json.dumps([str(t) for t in agent.touches])
    before = {letter: site.ask_all("told", "1", letter) for letter in "ab"}
    stack.up()
    after = {letter: site.ask_all("told", "1", letter) for letter in "ab"}
    for kind in MOVED:
        assert (before["b"][kind], after["b"][kind]) == (REFUSALS[kind], "200"), kind
        assert (before["a"][kind], after["a"][kind]) == ("200", REFUSALS[kind]), kind
    for kind in KEPT:  # what the report does not name is as it was; a Genie space whose table is out of reach fails
        refused = [answers[letter][kind] == REFUSALS[kind] for answers in (before, after) for letter in "ab"]
        assert refused == [False, True] * 2, kind
    stack.destroy()
