"""Schedules: the words, Quartz expressions and their next times, mistakes told with the way out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules.schedule import Schedule, check_schedule, parse_schedule

NOW = datetime(2026, 11, 23, 12, 5, tzinfo=timezone.utc)  # a Monday


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("hourly", None, "2026-11-23T13:00"),
        ("daily", "Europe/Berlin", "2026-11-24T02:00"),
        ("weekly", None, "2026-11-29T03:00"),
        ("0 15 * * * ?", None, "2026-11-23T12:15"),
        ("0 0/20 8-10 ? * MON-FRI", "Europe/Berlin", "2026-11-24T07:00"),
        ("0 0 3 ? * 6L", None, "2026-11-27T03:00"),
        ("0 0 1 ? * 2#1", None, "2026-12-07T01:00"),
        ("0 0 0 LW * ?", None, "2026-11-30T00:00"),
        ("0 0 9 L-3 * ?", None, "2026-11-27T09:00"),
        ("0 0 0 15W * ?", None, "2026-12-15T00:00"),
        ("0 0 0 29 2 ?", None, "2028-02-29T00:00"),
        ("30 5 12 23 NOV ? 2026", None, "2026-11-23T12:05:30"),
    ],
)
def test_next_time(cron: str, zone: str | None, expected: str) -> None:
    assert check_schedule("schedule", cron, zone) == []
    found = parse_schedule(cron, zone).next_after(NOW)
    assert found is not None
    assert found.isoformat().startswith(expected)


def test_never_again() -> None:
    assert parse_schedule("0 0 0 1 1 ? 2020").next_after(NOW) is None
    assert parse_schedule("triggered").next_after(NOW) is None


def test_hourly_is_the_default_and_continuous_has_no_clock() -> None:
    assert parse_schedule() == Schedule(cron="0 0 * * * ?")
    assert parse_schedule("Continuous") == Schedule(continuous=True)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("*/5 * * * *", "'0 */5 * * * ?'"),
        ("0 0 * * * *", "Exactly one of"),
        ("61 0 * * * ?", "0 to 59"),
        ("0 0 0 ? * XYZ", "not understood"),
        ("0 0/0 * * * ?", "no step"),
        ("0 0 0 31 2 ?", "No year has such a day"),
        ("soon", "hourly"),
        (5, "hourly"),
        ("", "hourly"),
    ],
)
def test_mistakes(value: object, told: str) -> None:
    [problem] = check_schedule("inference_tables.schedule", value)
    assert told in str(problem)
    assert problem.field == "inference_tables.schedule"


def test_an_unknown_time_zone() -> None:
    [problem] = check_schedule("schedule", "hourly", "Mars/Olympus")
    assert (problem.field, problem.value) == ("schedule_timezone", "Mars/Olympus")


@given(
    st.sampled_from(
        ["* * * * * ?", "5/20 0/7 * * * ?", "30 59 23 * * ?", "0 30 2 * * ?", "59 59 * ? * SUN", "0 0 0 1 1 ?"]
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2026, 3, 28), datetime(2026, 11, 2), timezones=st.just(timezone.utc)),
)
def test_hours_and_minutes_that_are_over_are_passed_over_and_nothing_else(
    cron: str, zone: str, moment: datetime
) -> None:
    found = Schedule(cron=cron, timezone=zone).next_after(moment)
    assert found is not None
    assert found > moment
    due = Schedule(cron=cron, timezone=zone).next_after
    assert due(max(moment, found - timedelta(hours=2))) == found
    assert due(found - timedelta(seconds=1)) == found
