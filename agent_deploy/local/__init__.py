"""The local workspace: Databricks' REST API on 127.0.0.1, really serving models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_deploy.local.workspace import LocalWorkspace

__all__ = ["LocalWorkspace"]


def __getattr__(name: str) -> object:
    # Lazy: whoever imports this package for its folder alone does not pay for the server.
    if name == "LocalWorkspace":
        from agent_deploy.local.workspace import LocalWorkspace

        return LocalWorkspace
    raise AttributeError(name)
