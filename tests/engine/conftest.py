"""Engine tests run where a Pulumi toolchain is at hand, and say so where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

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
