"""What previews say of traffic and replacements, in the user's words."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.provider.endpoint.messages import kept_line, replacement_warning, traffic_line
from agent_deploy.provider.plugin.resource import UNKNOWN, Values
from agent_deploy.rules.traffic import shown_change


def served(**versions: str) -> Values:
    """Served entities of one model."""
    return {name: {"entityName": "main.default.qa", "entityVersion": version} for name, version in versions.items()}


def inputs(traffic: Any, **versions: str) -> Values:
    """Inputs with traffic said for each entity."""
    return {"servedEntities": served(**versions), "traffic": traffic}


ONE = inputs({"qa_3": 100}, qa_3="3")


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (inputs({"qa_3": 90, "qa_4": 10}, qa_3="3", qa_4="4"), "traffic: v3 100 % → 90 %, v4 new 10 %"),
        (inputs({"qa_4": 100}, qa_4="4"), "traffic: v3 100 % → gone, v4 new 100 %"),
        (inputs({"qa_3": 100, "qa_4": 0}, qa_3="3", qa_4="4"), "traffic: v3 stays 100 %, v4 new 0 %"),
        (ONE, ""),
        # Numbers cross the engine's wire as doubles.
        (inputs({"qa_3": 100.0}, qa_3="3"), ""),
        # Where versions do not tell the entities apart, their names do.
        (inputs({"qa_3": 50, "other": 50}, qa_3="3", other="3"), "traffic: qa_3 100 % → 50 %, other new 50 %"),
        (inputs({"qa_3": 50, "qa_4": 50}, qa_3="4", qa_4="5"), "traffic: qa_3 100 % → 50 %, qa_4 new 50 %"),
        # What is not known yet is not guessed.
        (inputs(UNKNOWN, qa_3="3"), ""),
        (inputs({"qa_3": UNKNOWN}, qa_3="3"), ""),
        ({"servedEntities": UNKNOWN, "traffic": {"qa_3": 50, "qa_4": 50}},
         "traffic: qa_3 100 % → 50 %, qa_4 new 50 %"),
    ],
)  # fmt: skip
def test_traffic_is_told_as_it_was_and_will_be(after: Values, said: str) -> None:
    assert traffic_line(ONE, after) == said


@pytest.mark.parametrize("order", [("v2", "v10", "v1"), ("v10", "v1", "v2")])
def test_the_order_of_versions_does_not_depend_on_how_they_came(order: tuple[str, ...]) -> None:
    before = {version: {"v2": 90, "v10": 10, "v1": 0}[version] for version in order}
    after = {version: {"v2": 80, "v10": 10, "v1": 0}[version] for version in reversed(order)}
    said = "v1 stays 0 %, v2 90 % → 80 %, v10 stays 10 %, v9 new 10 %"
    assert shown_change(before, {"v9": 10, **after}) == said


def test_the_feedback_model_does_not_hide_the_versions() -> None:
    feedback = {"entityName": "main.default.feedback", "entityVersion": "3"}
    before, after = ({**found, "traffic": {**found["traffic"], "feedback": 0}} for found in (
        ONE, inputs({"qa_3": 50, "qa_4": 50}, qa_3="3", qa_4="4")))  # fmt: skip
    for found in (before, after):
        found["servedEntities"] = {**found["servedEntities"], "feedback": feedback}
    assert traffic_line(before, after) == "traffic: v3 100 % → 50 %, v4 new 50 %"


def test_equal_shares_are_no_change() -> None:
    assert shown_change({"v1": 50, "v2": 50}, {"v2": 50, "v1": 50}) == ""


def test_a_replacement_says_why_and_who_goes_first() -> None:
    same = replacement_warning("e", "e", [("routeOptimized",)], emptied=False)
    assert "routeOptimized of an endpoint cannot be changed (no route changes it" in same
    assert same.endswith("It is deleted first, and answers nothing until the new one is ready.")
    renamed = replacement_warning("e", "f", [("name",)], emptied=False)
    assert renamed.endswith("The new one is made first, as f, and then e is deleted: move its callers.")
    emptied = replacement_warning("e", "e", [("servedEntities", "a"), ("servedEntities", "b")], emptied=True)
    assert emptied.count("the API takes no endpoint back to serving nothing") == 1
    assert "under another name" in replacement_warning("e", UNKNOWN, [("name",)], emptied=False)


def test_what_is_kept_comes_with_the_statement_that_removes_it() -> None:
    assert kept_line("main.a-b.c_payload").endswith("DROP TABLE `main`.`a-b`.`c_payload`")
