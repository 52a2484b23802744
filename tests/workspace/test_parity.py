"""The ledger of routes says what the application has, and names tests that exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from parity import LEDGER, application_routes, ledger_routes  # noqa: E402


def test_the_ledger_has_the_applications_routes(tmp_path: Path) -> None:
    routes = [route.name for route in application_routes(tmp_path)]
    assert len(set(routes)) == len(routes), "a route that is there twice answers only once"
    assert set(ledger_routes(LEDGER.read_text())) == set(routes), "run tools/parity.py"


def test_the_witnesses_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+(?:::\w+)?)", LEDGER.read_text())
    assert named
    for file, test in set(named):
        assert f"def {test.rpartition('::')[2]}(" in (ROOT / file).read_text(), f"{file}::{test}"
