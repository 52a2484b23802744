"""The page of known failures names tests that exist; and the one of its rows that has no other test."""

from __future__ import annotations

import re
from pathlib import Path

from agent_deploy.rules.traffic import check_count

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "known-failures.md"


def test_the_tests_that_it_names_are_there() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "|---" not in line]
    failures = [row for row in rows if not row.endswith("| shown by |")]
    assert len(failures) >= 30
    for row in failures:
        named = re.fullmatch(r".*\| `(tests/[\w/]+\.py)::(\w+)` \|", row)
        assert named, row
        assert f"def {named[2]}(" in (ROOT / named[1]).read_text(), row


def test_fifteen_served_entities_are_allowed() -> None:
    assert check_count("servedEntities", 15) == []
    assert check_count("servedEntities", 16) != []
