"""How commands show tables and what they wait for: on a terminal as wide as it is, in a pipe without folding."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

UNFOLDED = 10_000  # columns of what is no terminal: lines there are for programs and pagers


def output() -> Console:
    """Standard output; in a pipe, a line is as long as what it says."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = UNFOLDED
    return console


def show_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str | Text]], title: str = "") -> None:
    """A table whose words stay whole; where the terminal is too narrow for it, a line for each cell."""
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, "bold") if title else None
    table = Table(title=heading, title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    natural = console.measure(table, options=console.options.update(max_width=UNFOLDED)).maximum
    if natural <= console.width:
        console.print(table)
        return
    if heading:
        console.print(heading)
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            console.print(Text.assemble("  ", (f"{column}: ", "dim"), cell))
        console.print()


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Says on standard error what is awaited and since when; on a terminal, until it has come."""
    from rich.console import Console
    from rich.markup import escape

    said = f"{what} (since {time.strftime('%H:%M:%S')})…"
    console = Console(stderr=True)
    if not console.is_terminal:
        typer.echo(said, err=True)
        yield
        return
    with console.status(escape(said)):
        yield
