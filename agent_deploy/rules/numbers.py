"""Whole numbers, which cross the engine's wire as doubles."""

from __future__ import annotations


def whole(value: object) -> int | None:
    """The value as an int where it is a whole number; True and False are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return None
