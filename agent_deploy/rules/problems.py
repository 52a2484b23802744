"""How a mistake in the user's input is told: the field, the value, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
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


class InvalidInput(ValueError):
    """All mistakes found in one look at the input, so that one run shows them all."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
