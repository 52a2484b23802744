"""Which resource of a run wants what: an entry that moves from one resource to another must not go with the first.

The engine checks every resource that a program declares, those that stay as they are included, and deletes last what it
no longer declares. So what another resource wants by then is left alone.
"""

from __future__ import annotations

import threading

from agent_deploy.provider.plugin.resource import Context


class Claims:
    """By workspace and entry, the URN that this run's program wants it for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urns: dict[tuple[str, object], str] = {}

    def claim(self, context: Context, entry: object) -> None:
        """The resource of ``context`` wants it."""
        with self._lock:
            self._urns[_key(context, entry)] = context.urn

    def is_anothers(self, context: Context, entry: object) -> bool:
        """Whether another resource of the program wants it, so that it stays."""
        with self._lock:
            return self._urns.get(_key(context, entry), context.urn) != context.urn


def _key(context: Context, entry: object) -> tuple[str, object]:
    return str(getattr(context.configuration, "host", "")), entry
