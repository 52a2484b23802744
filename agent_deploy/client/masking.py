"""What no text of ours may show: credentials, in every form in which a library's message may quote them.

A library quotes what it was given: the header that it refuses, the URL, the line that it cannot parse. Whoever takes up
a credential tells it here, and whatever leaves us (errors, log lines) is masked here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from agent_deploy.rules.redaction import redacted

MASK = "[secret]"
# Nothing shorter is a credential; blotting it out would only make messages unreadable.
LEAST_HIDDEN = 6

_lock = threading.Lock()
_hidden: frozenset[str] = frozenset()


def hide(*values: str | None) -> None:
    """From now on these values are masked in all texts of this process: one connection may quote another's."""
    global _hidden
    with _lock:
        _hidden = _hidden.union(value for value in values if value)


def masked(text: str, more: Iterable[str] = ()) -> str:
    """The text without any credential that this process has taken up, nor any of ``more``."""
    return redacted(text, filter(None, map(_sought, _hidden.union(more))), MASK)


def cause(error: BaseException) -> str:
    """A library's exception for our own message: its class and its masked text."""
    return masked(f"{type(error).__name__}: {error}".rstrip(": "))


def without(value: str, text: str) -> str:
    """The text without one value, in whatever way it is quoted there."""
    return redacted(text, filter(None, [_sought(value)]), MASK)


def _sought(value: str) -> str:
    """The value as it may stand in a text; empty when it is too short to be looked for."""
    return found if len(found := value.strip()) >= LEAST_HIDDEN else ""
