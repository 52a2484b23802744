"""The ledger of routes says what the application has, and names tests that exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from parity import LEDGER, application_routes, coverage, ledger_routes  # noqa: E402

# Raised whenever there are more: a new route needs an unmodified client for its witness, or takes this down.
LEAST_WITNESSED = 0.72


def test_the_share_of_witnessed_routes_is_told_and_does_not_fall() -> None:
    told = coverage(LEDGER.read_text())
    assert f"**{told}**" in LEDGER.read_text(), "run tools/parity.py"
    witnessed, routes = map(int, re.findall(r"\d+", told)[:2])
    assert witnessed / routes >= LEAST_WITNESSED


def test_the_ledger_has_the_applications_routes(tmp_path: Path) -> None:
    routes = [route.name for route in application_routes(tmp_path)]
    assert len(set(routes)) == len(routes), "a route that is there twice answers only once"
    assert set(ledger_routes(LEDGER.read_text())) == set(routes), "run tools/parity.py"


def test_the_witnesses_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+(?:::\w+)?)", LEDGER.read_text())
    assert named
    for file, test in set(named):
        assert f"def {test.rpartition('::')[2]}(" in (ROOT / file).read_text(), f"{file}::{test}"
