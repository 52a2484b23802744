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


@pytest.fixture(scope="session", autouse=True)
def _needs_pulumi() -> None:
    if toolchain() is None:
        pytest.skip("no `pulumi` on PATH and none built: run `make toolchain`")


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
