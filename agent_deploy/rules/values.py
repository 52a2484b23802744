"""Values that nobody may look at here: secrets, and what a preview does not know yet. Left out is neither: no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Hidden:
    """``source`` is what a resource is given instead of the value: an Output, for whoever declares."""

    source: Any = None


@dataclass(frozen=True, eq=False)
class Secret(Hidden):
    """A value that is nobody's to read."""


@dataclass(frozen=True, eq=False)
class Unknown(Hidden):
    """A value that another resource has yet to give; without a ``source`` when it is made of several."""


def is_known(value: object) -> bool:
    """Whether there is a value to look at; what is left out (None) is known to be."""
    return not isinstance(value, Hidden)


def known(value: T | Hidden | None) -> T | None:
    """The value, or None where there is none to look at."""
    return None if isinstance(value, Hidden) else value


def made_of(function: Callable[[Any], T], value: Any) -> T | Unknown:
    """What ``function`` makes of the value; unknown where that is."""
    if not isinstance(value, Hidden):
        return function(value)
    return Unknown(None if value.source is None else value.source.apply(function))


def holds_unknown(value: object) -> bool:
    """Whether the value, or anything in it, is not known yet."""
    if isinstance(value, Mapping):
        return any(map(holds_unknown, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(map(holds_unknown, value))
    return isinstance(value, Unknown)
