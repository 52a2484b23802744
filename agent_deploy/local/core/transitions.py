"""How long things take: state changes of endpoints, warehouses, pipelines are immediate, timed or stepped by hand."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase

IMMEDIATE, TIMED, MANUAL = "immediate", "timed", "manual"
MODES = (IMMEDIATE, TIMED, MANUAL)


class Transitions:
    """``pause(what)`` is awaited at each change of state; ``what`` reads like ``serving-endpoints/<name>/build``."""

    def __init__(self) -> None:
        self.mode = IMMEDIATE
        self.seconds = 0.0
        self._waiting: dict[asyncio.Future[None], str] = {}

    async def pause(self, what: str) -> None:
        """Return when the change may happen."""
        if self.mode == TIMED:
            await asyncio.sleep(self.seconds)
        elif self.mode == MANUAL:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = what
            try:
                await future
            finally:
                self._waiting.pop(future, None)

    def waiting(self) -> list[str]:
        """What waits for a step."""
        return list(self._waiting.values())

    def step(self, pattern: str = "*") -> list[str]:
        """Let what matches go on; returns it. To be called in the event loop."""
        stepped = [(future, what) for future, what in self._waiting.items() if fnmatchcase(what, pattern)]
        for future, _ in stepped:
            if not future.done():
                future.set_result(None)
        return [what for _, what in stepped]

    def set(self, mode: str, seconds: float = 0.0) -> None:
        """Change the mode; leaving `manual` lets everything that waits go on. To be called in the event loop."""
        self.mode, self.seconds = mode, seconds
        if mode != MANUAL:
            self.step()
