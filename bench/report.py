"""A row of a benchmark's result, and how rows are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """``ours`` and ``theirs`` in ``unit``; ``goal`` bounds ours/theirs from above, or from below when ``at_least``."""

    what: str
    unit: str
    ours: float
    theirs: float | None = None
    goal: float | None = None
    at_least: bool = False

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
    table = Table(title=title, title_justify="left")
    for column in ("", "ours", "theirs", "unit", "ratio", "goal", "met"):
        table.add_column(column, justify="left" if column in ("", "unit", "met") else "right")
    for row in rows:
        bound = "" if row.goal is None else f"{'≥' if row.at_least else '≤'} {row.goal:g}"
        ratio = "" if row.ratio is None else f"{row.ratio:.{2 if abs(row.ratio) >= 0.1 else 4}f}"
        theirs = "" if row.theirs is None else f"{row.theirs:.4g}"
        met = {None: "", True: "yes", False: "no"}[row.met]
        table.add_row(row.what, f"{row.ours:.4g}", theirs, row.unit, ratio, bound, met)
    console.print(table)
