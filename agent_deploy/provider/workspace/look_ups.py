"""What look-ups share: one workspace's answers, remembered for a moment, so that all agents of a program ask once."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar, cast

from agent_deploy.client.errors import ConnectionLost, Unreachable
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.workspace.connection import host_of

# Long enough for all agents of one program, short enough that a grant made meanwhile is seen by the next run.
MEMORY_SECONDS = 20.0
# For how long nobody else asks one that was not there: those whose look-ups were queued meanwhile would wait in turn.
GONE_SECONDS = 1.0
# How many look-ups are under way at once, for all agents together.
THREADS = 32

T = TypeVar("T")


# For all operations: starting threads anew costs each agent more than its look-ups. What runs here must not wait for
# anything else that is submitted here.
_POOL = ThreadPoolExecutor(THREADS, "look-up")


def begin(ask: Callable[..., T], *arguments: object) -> Future[T]:
    """A look-up that runs beside others; it may not begin further ones and wait for them."""
    return _POOL.submit(ask, *arguments)


class Memory:
    """Remembers answers for a moment; two who ask the same thing at once are answered by one look-up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[object, tuple[float, Future[Any]]] = {}
        # Until when nobody asks, and why.
        self._gone: tuple[float, Exception] = (0.0, Exception())

    def once(self, key: object, ask: Callable[[], T]) -> T:
        """The answer to ``key``; an exception is for those who waited for it, and not remembered.

        That there is no workspace is for those as well who ask for anything else right after.
        """
        with self._lock:
            now = time.monotonic()
            until, future = self._known.get(key) or (0.0, Future())
            if is_mine := until < now:
                if now < self._gone[0]:
                    raise self._gone[1]
                future = Future()
                self._known[key] = (now + MEMORY_SECONDS, future)
        if is_mine:
            try:
                future.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait must get it
                with self._lock:
                    self._known.pop(key, None)
                    if isinstance(error, Unreachable | ConnectionLost):
                        self._gone = (time.monotonic() + GONE_SECONDS, error)
                future.set_exception(error)
        return cast(T, future.result())

    def forget(self, is_outdated: Callable[[object], bool]) -> None:
        """Lets go of answers that others may not be given."""
        with self._lock:
            for key, (_, future) in list(self._known.items()):
                if future.done() and not future.exception() and is_outdated(future.result()):
                    del self._known[key]


_MEMORIES: weakref.WeakKeyDictionary[Workspace, Memory] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def memory_of(context: Context) -> Memory:
    """What everybody remembers who uses this context's workspace."""
    with _LOCK:
        return _MEMORIES.setdefault(host_of(context), Memory())
