"""A row of a benchmark's result, and how rows are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """``ours`` and ``theirs`` in ``unit``; ``goal`` bounds ours/theirs from above, or from below when ``at_least``.

    ``floor`` is what ours would take that did nothing but what cannot be left out; ``floor_goal`` bounds ours/floor.
    """

    what: str
    unit: str
    ours: float
    theirs: float | None = None
    goal: float | None = None
    at_least: bool = False
    floor: float | None = None
    floor_goal: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.ratio is None or self.goal is None:
            return None
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal


Progress = Callable[[str], None]


def show(title: str, rows: Iterable[Row], console: Console) -> None:
    """One table."""
    rows = list(rows)
    table = Table(title=title, title_justify="left")
    columns = ["", "ours", "theirs", "unit", "ratio", "goal", "met"]
    if has_floor := any(row.floor is not None for row in rows):
        columns += ["floor", "of floor", "goal", "met"]
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "unit", "met") else "right")
    for row in rows:
        bound = "" if row.goal is None else f"{'≥' if row.at_least else '≤'} {row.goal:g}"
        cells = [row.what, f"{row.ours:.4g}", _figure(row.theirs), row.unit, _ratio(row.ratio), bound, _MET[row.met]]
        if has_floor:
            above = row.ours / row.floor if row.floor else None
            met = None if above is None or row.floor_goal is None else above <= row.floor_goal
            bound = "" if row.floor_goal is None else f"≤ {row.floor_goal:g}"
            cells += [_figure(row.floor), _ratio(above), bound, _MET[met]]
        table.add_row(*cells)
    console.print(table)


_MET = {None: "", True: "yes", False: "no"}


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.{2 if abs(value) >= 0.1 else 4}f}"
