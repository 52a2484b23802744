"""How a program ends of which several parts fail beside each other."""

from __future__ import annotations

from typing import TypeVar
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

E = TypeVar("E", bound=pulumi.RunError)
# The first error of each program, by its engine.
_FIRST: WeakKeyDictionary[object, pulumi.RunError] = WeakKeyDictionary()


def program_error(error: E) -> E | pulumi.RunError:
    """The error to raise where others of the program may fail beside it: the first ends it, further ones are logged.

    Which of several failures the engine sees first is chance: all end with the same error, so that none is lost.
    """
    engine = get_monitor()
    if isinstance(engine, MockMonitor):
        return error  # many programs, one after the other, each with a failure of its own
    first = _FIRST.setdefault(engine, error)
    if first is not error:
        pulumi.log.error(str(error))
    return first
