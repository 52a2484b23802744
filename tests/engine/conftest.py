"""Engine tests run where a Pulumi toolchain is at hand, and say so where it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import MODEL, Site, program
from tests.engine.support import Stack, stack, toolchain
from tests.engine.toolbox import Toolbox


@pytest.fixture(scope="session", autouse=True)
def _needs_pulumi() -> None:
    if toolchain() is None:
        pytest.fail("no `pulumi` on PATH and none built: run `make toolchain`")


@pytest.fixture
def open_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """``open_stack(program, environment=…, config=…)`` makes a stack in a folder of its own."""
    with ExitStack() as stacks:
        count = 0

        def make(program: str, **options: Any) -> Stack:
            nonlocal count
            count += 1
            folder = tmp_path / f"stack{count}"
            folder.mkdir()
            return stacks.enter_context(stack(folder, program, **options))

        yield make


@pytest.fixture(scope="session")
def toolbox(local_workspace_factory: Callable[..., Any]) -> Toolbox:
    """Two objects of each kind; version 1 of the toolbox declares the first ones, version 2 the second ones.

    MLflow logs both, which takes long: what asks them shares them, and leaves nothing else there.
    """
    found = Toolbox(local_workspace_factory())
    found.log_agents()
    found.serve_callees()
    return found


@pytest.fixture(scope="module")
def site(local_workspace: Any) -> Site:
    """A workspace with three versions of a model."""
    made = Site(local_workspace)
    made.register(MODEL, 3)
    return made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An endpoint's name of the test's own."""
    return re.sub(r"\W", "_", request.node.name)[-50:].strip("_")


@pytest.fixture
def deployed(site: Site, open_stack: Callable[..., Stack]) -> Callable[..., Stack]:
    """``deployed(arguments)`` is a stack with one ServingEndpoint, which is up."""

    def make(arguments: dict[str, Any], **opts: Any) -> Stack:
        stack = open_stack(program(arguments, **opts), environment=site.environment)
        stack.up()
        return stack

    return make
