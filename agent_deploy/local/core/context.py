"""What an API's routes are built with: one workspace's settings, state and services."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.requests import Request

from agent_deploy.local.core.principals import Principal, Principals
from agent_deploy.local.core.store import Store
from agent_deploy.local.core.vault import Vault


@dataclass
class Workspace:
    """``folder`` holds all state; ``host`` is ``http://127.0.0.1:<port>``, known once the socket is bound.

    ``services`` holds what other APIs may use (``serving``, ``catalog``, …), by name, put there by each API's `install`.
    """

    folder: Path
    store: Store
    vault: Vault
    principals: Principals
    host: str = ""
    services: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def workspace_id(self) -> str:
        """Stable across restarts: clients replace resources when it changes."""
        document = self.store.get("settings", "workspace_id")
        if document is None:
            number = 7_000_000_000_000_000 + secrets.randbelow(10**12)
            document = self.store.put("settings", "workspace_id", {"value": str(number)})
        return str(document["value"])

    @classmethod
    def open(cls, folder: Path) -> Workspace:
        """The workspace whose state lies in ``folder``; a new one when there is none."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = Store(folder / "workspace.db")
        return cls(folder, store, Vault(folder / "workspace.key"), Principals(store))


def caller(request: Request) -> Principal:
    """FastAPI dependency: who sent this request, as authenticated by the middleware."""
    principal: Principal = request.state.principal
    return principal
