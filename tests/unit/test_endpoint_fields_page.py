"""The page of an endpoint's fields says what the rules say, each with a source."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from endpoint_fields import PAGE, page

from agent_deploy.rules.endpoint_fields import FIELDS


def test_the_page_is_what_the_rules_say() -> None:
    assert PAGE.read_text() == page(), "run tools/endpoint_fields.py"


def test_every_rule_has_a_source_and_none_is_there_twice() -> None:
    assert all(rule.source for rule in FIELDS)
    assert len({rule.path for rule in FIELDS}) == len(FIELDS)
