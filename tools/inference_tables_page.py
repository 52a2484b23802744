"""Writes the columns of the inference tables into docs/inference-tables.md, from rules/tables.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from agent_deploy.rules.tables import DERIVED, PAYLOAD, PAYLOAD_COLUMNS, Column

PAGE = Path(__file__).parent.parent / "docs" / "inference-tables.md"
START, END = "<!-- columns: tools/inference_tables_page.py -->", "<!-- end of columns -->"


def columns() -> str:
    """The part between the marks."""
    parts = [_table(f"`{{prefix}}{PAYLOAD}`", "Every request and its answer, raw.", PAYLOAD_COLUMNS)]
    parts += [_table(f"`{{prefix}}{PAYLOAD}{each.suffix}`", each.comment, each.columns) for each in DERIVED]
    return "\n".join(parts)


def page(text: str) -> str:
    """The page with its columns as the rules have them."""
    pattern = re.compile(f"{re.escape(START)}\n.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{START}\n\n{columns()}\n{END}", text)


def _table(title: str, comment: str, listed: Iterable[Column]) -> str:
    rows = [f"| `{each.name}` | `{each.type}` | {each.comment} |\n" for each in listed]
    return f"### {title}\n\n{comment}\n\n| column | type | |\n|---|---|---|\n{''.join(rows)}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
