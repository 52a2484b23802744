"""The state of every release is gone on with: nothing to do, no drift, and all of it can be destroyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.fixtures import recorded
from tests.engine.serving import Site
from tests.engine.support import Stack

STATES = sorted(recorded.FOLDER.glob("state-*.json"))


@pytest.mark.parametrize("file", STATES, ids=[file.stem for file in STATES])
def test_a_recorded_state_has_nothing_to_do(
    file: Path, local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    recorded.prepare(site)
    state = recorded.replay(site, json.loads(file.read_text()))
    stack = open_stack(recorded.PROGRAM, environment=recorded.environment(site), passphrase=recorded.PASSPHRASE)
    filled = tmp_path / "state.json"
    filled.write_text(json.dumps(state))
    stack.run("stack", "import", "--file", str(filled))
    of_agent = {"qa", "qa-feedback", "qa-registration-v1", "qa-registration-v2"}
    assert set(stack.resources()) == {*of_agent, "secret", "grant", "permission", "table", "derived"}
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    stack.destroy()
    assert not site.exists(recorded.NAME)
    assert stack.resources() == {}


def test_there_is_a_state_of_the_first_release() -> None:
    assert "state-0.1.0" in {file.stem for file in STATES}
