"""The page of what the verification finds says what the rules say, and no id is given twice."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from verification_page import PAGE, page

from agent_deploy.rules.findings import RULES


def test_the_page_is_what_the_rules_say() -> None:
    assert PAGE.read_text() == page(), "run tools/verification_page.py"


def test_ids_are_well_formed_in_order_and_each_of_one_rule() -> None:
    ids = [rule.id for rule in RULES]
    assert all(re.fullmatch(r"AGV\d{3}", each) for each in ids)
    assert ids == sorted(set(ids))
