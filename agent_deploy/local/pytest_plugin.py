"""Pytest fixtures that run local workspaces, so that users test their own Pulumi programs against one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agent_deploy.local.workspace import LocalWorkspace


_SECONDS = 10.0


@pytest.fixture(scope="session")
def local_workspace_factory() -> Iterator[Callable[..., LocalWorkspace]]:
    """``local_workspace_factory(**options)`` starts a workspace of its own; all are stopped when the tests end."""
    # Here, not at the top: this plugin is loaded by every pytest on the machine.
    from agent_deploy.local.workspace import LocalWorkspace

    with ExitStack() as running:

        def start(**options: Any) -> LocalWorkspace:
            return running.enter_context(LocalWorkspace(**options))

        yield start


@pytest.fixture(scope="session")
def local_workspace(local_workspace_factory: Callable[..., LocalWorkspace]) -> LocalWorkspace:
    """One workspace for all tests of the session (of the worker, under xdist); it has `.host`, `.token`, `.env()`."""
    return local_workspace_factory()


@pytest.fixture
def local_fault(local_workspace: LocalWorkspace) -> Iterator[Callable[..., str]]:
    """``local_fault(method="PUT", path="/api/*", status=503, times=2)`` lasts until the test ends; returns its number.

    The fields are those of `agent-deploy local faults add`; for builds: ``match="build", entity="qa_*", fail="…"``.
    """
    import httpx

    url, headers = f"{local_workspace.host}/_local/faults", {"Authorization": f"Bearer {local_workspace.token}"}
    made: list[str] = []

    def inject(**rule: Any) -> str:
        answer = httpx.post(url, json=rule, headers=headers, timeout=_SECONDS)
        if answer.is_error:
            raise ValueError(str(answer.json()["message"]))
        made.append(str(answer.json()["id"]))
        return made[-1]

    yield inject
    for number in made:
        httpx.delete(f"{url}/{number}", headers=headers, timeout=_SECONDS)
