"""How a mistake in the user's input is told: the field, the value, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake: ``field`` as the user wrote it (``versions[1].workload_size``), its ``value``, and the way out."""

    field: str
    value: object
    expected: str
    remedy: str = ""

    def __str__(self) -> str:
        shown = "" if self.value is None else f" {self.value!r}"
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{self.field}{shown}: expected {self.expected}{remedy}"


def not_one_of(field: str, value: object, allowed: Collection[str], expected: str = "", otherwise: str = "") -> Problem:
    """A value that is not in a closed set; the remedy is the one that may be meant, ``otherwise`` where none is."""
    return Problem(field, value, expected or "one of " + ", ".join(allowed), meant(value, allowed) or otherwise)


def meant(value: object, allowed: Iterable[str]) -> str:
    """A remedy that names the value of a closed set that may be meant; empty where none is."""
    near = nearest(str(value), allowed)
    if near is None:
        return ""
    if near.lower() == str(value).lower():
        return f"Names are case-sensitive: write {near!r}"
    return f"Did you mean {near!r}?"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like another one, in any case of letters; None where none is."""
    by_lower = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


class InvalidInput(ValueError):
    """All mistakes found in one look at the input, so that one run shows them all."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
