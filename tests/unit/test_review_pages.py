"""What the team's page counts and draws, and which ratings it reads out of logged requests."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.pages import plots, ratings, statistics
from agent_deploy.local.pages.formats import duration
from agent_deploy.local.pages.logged import Turn, conversations
from agent_deploy.local.pages.pages import local_path
from agent_deploy.local.pages.ratings import Rating
from agent_deploy.local.pages.team import Filters
from agent_deploy.rules import feedback_withdrawal as withdrawal

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc).timestamp() * 1000
DAY = 86_400_000.0


def turn(number: int, version: str = "1", **more: Any) -> Turn:
    """A turn of its own conversation."""
    facts = {"time_ms": NOON + number, "status": 200, "duration_ms": 10.0 * number, "user": "ann"}
    facts |= {"entity": f"qa_{version}", "conversation": f"c{number}", "question": f"question {number}"}
    return Turn(request_id=f"r{number}", version=version, **{**facts, **more})


def rating(value: str, name: str = "answer_correct", user: str = "ann", time_ms: float = 1.0) -> Rating:
    """Of request r1."""
    return Rating("r1", user, name, value, time_ms)


def test_the_last_rating_of_a_user_counts() -> None:
    said = [rating("negative", time_ms=2), rating("positive", time_ms=1), rating("positive", user="bob")]
    assert {(each.user, each.value) for each in ratings.latest(said)} == {("ann", "negative"), ("bob", "positive")}


def test_ratings_are_read_from_logged_feedback_nested_or_encoded_and_broken_rows_say_nothing() -> None:
    record = {
        "request_id": "r1",
        "source": json.dumps({"id": "ann", "type": "human"}),
        "text_assessments": json.dumps([{"ratings": {"accurate": {"value": True}}, "free_text_comment": "fine"}]),
        "retrieval_assessments": [{"position": 1, "ratings": {"relevant": {"value": "no"}}}],
    }
    read = ratings.of_feedback(json.dumps({"dataframe_records": [record, {"request_id": ""}, "x"]}), 5.0)
    assert [(each.name, each.value, each.user) for each in read] == [
        ("accurate", "positive", "ann"),
        ("comment", "fine", "ann"),
        ("source 2: relevant", "negative", "ann"),
    ]
    assert ratings.of_feedback('{"dataframe_records": [{"request_id": "r1", "sou', 5.0) == []
    assert ratings.of_feedback('{"dataframe_records": 7}', 5.0) == []


def test_numbers_of_a_version() -> None:
    judged = (rating("positive"), rating("negative", "accurate"), rating("3", "stars"), rating("text", "comment"))
    turns = [turn(n) for n in range(1, 21)] + [turn(21, status=500, ratings=judged), turn(1, "10"), turn(2, "9")]
    first, ninth, tenth = statistics.by_version(turns)
    assert (first.version, ninth.version, tenth.version) == ("1", "9", "10")
    assert (first.requests, first.failed, first.users) == (21, 1, 1)
    assert (first.median_ms, first.p95_ms) == (100.0, 190.0)  # of the answers that did not fail
    assert (first.positive, first.negative, first.positive_share) == (1, 1, 0.5)
    assert (ninth.positive_share, ninth.failed_share) == (None, 0.0)
    assert statistics.by_rating(turns) == [("accurate", 0, 1, 0), ("answer_correct", 1, 0, 0), ("stars", 0, 0, 1)]


def test_requests_are_counted_by_the_hour_or_by_the_day() -> None:
    steps, counts = statistics.by_time([turn(0), turn(1, time_ms=NOON + 2 * 3_600_000)])
    assert (steps, counts) == (["03-01 12:00", "03-01 13:00", "03-01 14:00"], {"1": [1, 0, 1]})
    steps, counts = statistics.by_time([turn(0), turn(1, "2", time_ms=NOON + 3 * DAY)])
    assert steps == ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"]
    assert counts == {"1": [1, 0, 0, 0], "2": [0, 0, 0, 1]}
    many, _ = statistics.by_time([turn(0), turn(1, time_ms=NOON + 400 * DAY)])
    assert len(many) == 60
    assert statistics.by_time([]) == ([], {})


def test_two_users_are_never_in_one_conversation() -> None:
    found = conversations([turn(1, conversation="same"), turn(2, conversation="same", user="bob")])
    assert [each.users for each in found] == [["bob"], ["ann"]]


def test_plots_escape_what_they_show_and_say_it_in_words() -> None:
    bar = plots.Bar("<b>", [plots.Part(1, "good", '"><script>')], "1 & 2")
    drawn = str(plots.rows("Ratings", [bar]))
    assert "<b>" not in drawn
    assert "<script>" not in drawn
    assert 'aria-label="Ratings. &lt;b&gt;: 1 &amp; 2."' in drawn
    assert "from 03-01 to 03-02, at most 3" in str(plots.columns("R", ["03-01", "03-02"], [("1", [3, 1])]))
    assert "none" in str(plots.columns("R", [], []))


@pytest.mark.parametrize(("given", "named"), [({"rating": "5"}, "rating"), ({"since": "today"}, "since")])
def test_a_wrong_filter_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(ApiError, match=f"{named} '"):
        Filters.of(given)


@pytest.mark.parametrize(
    "foreign", ["https://example.com/ml/", "//example.com/ml/", "/\\example.com", "/ml\\..//x", "/api/2.0/x", ""]
)
def test_signing_in_leads_to_pages_of_the_workspace_only(foreign: str) -> None:
    assert local_path(foreign) == "/ml/deployments"
    assert local_path("/ml/review-v2/chat?endpoint=a") == "/ml/review-v2/chat?endpoint=a"


def test_durations() -> None:
    told = [duration(ms) for ms in (0, 0.4, 340, 1200, 125_000, None)]
    assert told == ["0 ms", "<1 ms", "340 ms", "1.2 s", "2 min 5 s", "–"]


def test_a_withdrawn_rating_does_not_stand_a_later_one_does() -> None:
    said = ratings.OnTraces(withdrawn={("r1", withdrawal.tag("ann")): 5000.0})
    assert not said.stands(rating("positive", time_ms=5500))  # the tag's time has whole seconds
    assert said.stands(rating("positive", time_ms=6000))
    assert said.stands(rating("positive", user="bob", time_ms=1))
