"""Code that is not ours may raise what no `except Exception` sees: it becomes an exception like any other.

A Rust library panics with a BaseException of its own; a library or a user's file may call `sys.exit()`. In a thread
these end the thread and nothing else: whoever waits for it waits for ever. What calls such code calls it `contained`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Escaped(Exception):
    """Other code raised SystemExit, KeyboardInterrupt, CancelledError, a Rust panic…; the text says which, and why."""


def contained(call: Callable[P, T]) -> Callable[P, T]:
    """The same call, to be made in a thread: whatever it raises is an Exception.

    Not around code that awaits or yields: there CancelledError and GeneratorExit come from outside, and must go on.
    """

    @wraps(call)
    def calling(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            raise Escaped(described(error)) from error

    return calling


def described(error: BaseException) -> str:
    """``SystemExit: 1``; the name alone of one that says nothing."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - a class of users' own may fail at that as well
        text = f"(its text raises {type(failure).__name__})"
    return f"{name}: {text}" if text else name


def explained(error: Exception) -> str:
    """What whoever waits is told of a failure that nobody expected."""
    if isinstance(error, Escaped):
        return f"What ran raised {error}. The local workspace's log has the trace."
    return f"The local workspace failed: {type(error).__name__}. Its log has the trace."
