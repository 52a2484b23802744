"""In a model's process: the caller's token, where the vendor's clients look for it in a serving container.

databricks-ai-bridge calls a module of the platform's; older clients and databricks-sdk read an attribute of the main
thread. Both get the token of the request that this very thread answers, and nothing besides.
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_TOKEN: ContextVar[str | None] = ContextVar("invokers_token", default=None)
_ATTRIBUTE = "invokers_token"


@contextmanager
def invoked_with(token: str | None) -> Iterator[None]:
    """Within, it is the caller's."""
    before = _TOKEN.set(token)
    try:
        yield
    finally:
        _TOKEN.reset(before)


def offer() -> None:
    """To be called once, before the model's code is loaded."""
    for name in ("mlflowserving", "mlflowserving.scoring_server", "mlflowserving.scoring_server.agent_utils"):
        module = sys.modules[name] = types.ModuleType(name)
        module.__path__ = []
    module.fetch_obo_token = _TOKEN.get  # type: ignore[attr-defined]
    main = threading.main_thread()
    main.__dict__ = _WithToken(main.__dict__)


class _WithToken(dict[str, Any]):
    """The main thread's attributes, and the token of whichever request is answered by the thread that asks."""

    def __contains__(self, key: object) -> bool:
        return _TOKEN.get() is not None if key == _ATTRIBUTE else super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        return _TOKEN.get() if key == _ATTRIBUTE else super().__getitem__(key)
