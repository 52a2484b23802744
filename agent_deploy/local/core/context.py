"""What every service of a workspace is built with: its settings, its state, who asks and who may."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.requests import Request

from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.faults import Faults
from agent_deploy.local.core.principals import Principal, Principals
from agent_deploy.local.core.recording import Recording
from agent_deploy.local.core.store import Store
from agent_deploy.local.core.transitions import Transitions
from agent_deploy.local.core.vault import Vault
from agent_deploy.local.private import make_private

Hook = Callable[[], Awaitable[None] | None]


@dataclass
class Workspace:
    """``folder`` holds all state; ``host`` is ``http://127.0.0.1:<port>``, known once the socket is bound.

    ``on_start`` and ``on_stop`` are called (and awaited) in the server's event loop: before the first request in their
    order, after the last one in reverse. ``options`` are the settings that the server was started with.
    """

    folder: Path
    store: Store
    vault: Vault
    principals: Principals
    authorization: Authorization
    faults: Faults
    recording: Recording
    transitions: Transitions
    host: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    on_start: list[Hook] = field(default_factory=list)
    on_stop: list[Hook] = field(default_factory=list)

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
        make_private(folder)
        store = Store(folder / "workspace.db")
        principals = Principals(store)
        return cls(
            folder=folder,
            store=store,
            vault=Vault(folder / "workspace.key"),
            principals=principals,
            authorization=Authorization(store, principals),
            faults=Faults(store),
            recording=Recording(),
            transitions=Transitions(),
        )


def caller(request: Request) -> Principal:
    """FastAPI dependency: who sent this request, as authenticated by the middleware."""
    principal: Principal = request.state.principal
    return principal
