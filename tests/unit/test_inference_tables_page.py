"""The page of the inference tables lists the columns that the rules declare."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from inference_tables_page import PAGE, page


def test_the_page_has_the_columns_of_the_rules() -> None:
    text = PAGE.read_text()
    assert "| `databricks_request_id` | `string` |" in text
    assert page(text) == text, "run tools/inference_tables_page.py"
