"""A workspace as the example needs it: a model with two versions, and an endpoint that something else has made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import PATH, Site
from tests.engine.support import Stack, both_plugins, stack, toolchain
from tests.languages.compiled import ROOT, Go, TypeScript, golang
from tests.languages.compiled import typescript as compile_typescript
from tests.languages.example import MODEL, OWN_ENDPOINT, OWN_MODEL


@pytest.fixture(scope="session", autouse=True)
def _needs_pulumi() -> None:
    if toolchain() is None:
        pytest.fail("no `pulumi` on PATH and none built: run `make toolchain`")


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDKs of schema.json, generated now."""
    sys.path.insert(0, str(ROOT / "tools"))
    from sdk import make

    folder = tmp_path_factory.mktemp("sdk")
    make(folder)
    return folder


@pytest.fixture(scope="session")
def typescript(sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> TypeScript:
    """TypeScript's SDK and the example, compiled."""
    return compile_typescript(sdk, tmp_path_factory.mktemp("typescript"))


@pytest.fixture(scope="session")
def go_program(sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Go:
    """Go's SDK and the example, compiled for the Automation API."""
    return golang(sdk, tmp_path_factory.mktemp("go") / "module", automation=True)


@pytest.fixture
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """Of the test's own: the example's names are fixed."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 2)
    found.register_bare(OWN_MODEL, 1)
    entity = {"entity_name": OWN_MODEL, "entity_version": "1", "workload_size": "Small", "scale_to_zero_enabled": True}
    found.workspace.post(PATH, {"name": OWN_ENDPOINT, "config": {"served_entities": [entity]}})
    found.settled(OWN_ENDPOINT)
    return found


@pytest.fixture
def open_stack(tmp_path: Path, site: Site) -> Iterator[Callable[..., Stack]]:
    """``open_stack(…)`` is a stack of an empty program on the test's workspace, which finds both plugins."""
    with ExitStack() as stacks:

        def make(**options: Any) -> Stack:
            folder = tmp_path / "stack"
            folder.mkdir()
            plugins = both_plugins(tmp_path / "plugins")
            return stacks.enter_context(stack(folder, "", environment=site.environment, plugins=plugins, **options))

        yield make
