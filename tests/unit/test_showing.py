"""How commands show tables in a pipe and in a narrow terminal, and what they wait for."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agent_deploy.cli.showing import output, show_table, waiting

COLUMNS = ("endpoint", "declared by")
ROWS = [("agents_main-default-docs_agent", f"agents/dev/docs-{number}" * 4) for number in (1, 2)]


def test_a_row_in_a_pipe_is_one_line_with_whole_words(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(output(), COLUMNS, ROWS, title="main.default.docs_agent")
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.strip() == "main.default.docs_agent"
    assert len(lines) == 4 + len(ROWS)
    for line, row in zip(lines[3:], ROWS, strict=False):
        assert all(cell in line for cell in row)


@pytest.mark.parametrize(("width", "lines"), [(200, 4 + len(ROWS)), (60, 3 * len(ROWS))])
def test_where_a_table_is_too_wide_each_cell_is_a_line_of_its_own(width: int, lines: int) -> None:
    written = io.StringIO()
    show_table(Console(file=written, width=width, soft_wrap=True), COLUMNS, ROWS)
    shown = written.getvalue()
    assert len(shown.splitlines()) == lines
    assert all(cell in shown for row in ROWS for cell in row)


def test_brackets_in_a_cell_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(output(), ("request",), [("[red]what?[/red]",)])
    assert "[red]what?[/red]" in capsys.readouterr().out


def test_what_is_awaited_is_said_once_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("Waiting for the trace"):
        pass
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("Waiting for the trace (since ")
