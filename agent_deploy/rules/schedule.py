"""When the derivation runs: a user's words, Quartz cron expressions as Databricks' jobs take them, next times."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from agent_deploy.rules.problems import Problem, meant, not_one_of

CONTINUOUS: Final = "continuous"
TRIGGERED: Final = "triggered"
DEFAULT: Final = "hourly"
# Quartz: seconds, minutes, hours, day of month, month, day of week[, year].
NAMED: Final = {"hourly": "0 0 * * * ?", "daily": "0 0 3 * * ?", "weekly": "0 0 3 ? * SUN"}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_LAST_WEEKDAY = re.compile(r"([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)L")
_NTH_WEEKDAY = re.compile(r"([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)#([1-5])")
_NEAREST_WORKDAY = re.compile(r"(\d{1,2}|L)W")
_BEFORE_LAST = re.compile(r"L-(\d{1,2})")
_ANY_MOMENT: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
_HORIZON_DAYS = 366 * 8 + 2  # a 29th of February is at most eight years away


@dataclass(frozen=True)
class Schedule:
    """How a pipeline runs: ``continuous``, or when ``cron`` says, or (neither) only when it is triggered."""

    continuous: bool = False
    cron: str | None = None
    timezone: str = "UTC"

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time later than ``moment`` (aware), in UTC; None when it is never started by the clock."""
        return None if self.cron is None else _next_after(self.cron, self.timezone, moment)


def parse_schedule(value: str | None = None, timezone_id: str | None = None) -> Schedule:
    """``hourly`` (the default), ``daily``, ``weekly``, ``continuous``, ``triggered`` or a Quartz expression."""
    said = DEFAULT if value is None else value.strip()
    if said.lower() in (CONTINUOUS, TRIGGERED):
        return Schedule(continuous=said.lower() == CONTINUOUS)
    return Schedule(cron=NAMED.get(said.lower(), " ".join(said.split())), timezone=timezone_id or "UTC")


def check_schedule(field: str, value: object, timezone_id: object = None) -> list[Problem]:
    """Problems of a schedule and its time zone."""
    problems = _check_timezone(f"{field}_timezone", timezone_id)
    if value is None:
        return problems
    words = (*NAMED, CONTINUOUS, TRIGGERED)
    expected = f"{', '.join(words)}, or a Quartz cron expression such as '0 15 * * * ?' (seconds first)"
    if not isinstance(value, str) or not value.strip():
        return [*problems, Problem(field, value, expected)]
    schedule = parse_schedule(value)
    if schedule.cron is None:
        return problems
    try:
        times = _Times(schedule.cron)
    except ValueError as error:
        near = meant(value.strip(), words)
        return [*problems, Problem(field, value, expected, near or f"{error}{_unix_remedy(schedule.cron)}")]
    # Quartz, and so the creation of the job, refuses what never comes.
    if times.years is None and schedule.next_after(_ANY_MOMENT) is None:
        return [*problems, Problem(field, value, expected, "No year has such a day")]
    return problems


def _check_timezone(field: str, timezone_id: object) -> list[Problem]:
    if timezone_id is None:
        return []
    try:
        ZoneInfo(str(timezone_id))
    except (LookupError, ValueError, OSError):  # unknown; malformed; a folder of zones
        expected = "a time zone's name such as Europe/Berlin or UTC"
        return [not_one_of(field, timezone_id, available_timezones(), expected)]
    return []


def _unix_remedy(cron: str) -> str:
    if len(cron.split()) != 5:
        return ""
    minute, hour, day, month, weekday = cron.split()
    day, weekday = ("?", weekday) if day == "*" and weekday != "*" else (day, "?")
    return f". This looks like a Unix cron expression; in Quartz it may be '0 {minute} {hour} {day} {month} {weekday}'"


class _Times:
    """The moments that an expression names; raises ValueError that tells what is wrong with it."""

    def __init__(self, cron: str) -> None:
        fields = cron.upper().split()
        if len(fields) not in (6, 7):
            raise ValueError(f"It has {len(fields)} fields, not six or seven")
        self.seconds = _numbers("seconds", fields[0], 0, 59)
        self.minutes = _numbers("minutes", fields[1], 0, 59)
        self.hours = _numbers("hours", fields[2], 0, 23)
        self.months = _numbers("month", fields[4], 1, 12, _MONTHS)
        self.years = _numbers("year", fields[6], 1970, 2099) if len(fields) == 7 else None
        self.day, self.weekday = fields[3], fields[5]
        if (self.day == "?") == (self.weekday == "?"):
            raise ValueError("Exactly one of day of month and day of week is '?'")
        self._check_days()

    def _check_days(self) -> None:
        if self.day == "?":
            if not (_LAST_WEEKDAY.fullmatch(self.weekday) or _NTH_WEEKDAY.fullmatch(self.weekday)):
                _numbers("day of week", "7" if self.weekday == "L" else self.weekday, 1, 7, _WEEKDAYS)
        elif not (self.day == "L" or _NEAREST_WORKDAY.fullmatch(self.day) or _BEFORE_LAST.fullmatch(self.day)):
            _numbers("day of month", self.day, 1, 31)

    def has_day(self, year: int, month: int, day: int) -> bool:
        """Whether something is due on that day."""
        if month not in self.months or (self.years is not None and year not in self.years):
            return False
        last = calendar.monthrange(year, month)[1]
        weekday = calendar.weekday(year, month, day)  # 0 is Monday
        return self._on_day(year, month, day, last) if self.weekday == "?" else self._on_weekday(day, weekday, last)

    def _on_day(self, year: int, month: int, day: int, last: int) -> bool:
        if self.day == "L":
            return day == last
        if before := _BEFORE_LAST.fullmatch(self.day):
            return day == last - int(before[1])
        if workday := _NEAREST_WORKDAY.fullmatch(self.day):
            wanted = last if workday[1] == "L" else int(workday[1])
            return wanted <= last and day == _nearest_workday(year, month, wanted, last)
        return day in _numbers("day of month", self.day, 1, 31)

    def _on_weekday(self, day: int, weekday: int, last: int) -> bool:
        number = (weekday + 1) % 7 + 1  # Quartz: 1 is Sunday
        if final := _LAST_WEEKDAY.fullmatch(self.weekday):
            return number == _number(final[1], _WEEKDAYS) and day > last - 7
        if nth := _NTH_WEEKDAY.fullmatch(self.weekday):
            return number == _number(nth[1], _WEEKDAYS) and (day - 1) // 7 + 1 == int(nth[2])
        return number in _numbers("day of week", "7" if self.weekday == "L" else self.weekday, 1, 7, _WEEKDAYS)


def _next_after(cron: str, timezone_id: str, moment: datetime) -> datetime | None:
    times, zone = _Times(cron), ZoneInfo(timezone_id)
    hours, minutes, seconds = sorted(times.hours), sorted(times.minutes), sorted(times.seconds)

    def at(day: date, hour: int, minute: int, second: int) -> datetime:
        due = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
        return due.astimezone(timezone.utc)

    local = (moment.astimezone(zone) + timedelta(seconds=1)).replace(microsecond=0)
    for days in range(_HORIZON_DAYS):
        day = local.date() + timedelta(days=days)
        if not times.has_day(day.year, day.month, day.day):
            continue
        for hour in hours:
            if at(day, hour, minutes[-1], seconds[-1]) <= moment:
                continue  # all of it is over: a day has 86,400 seconds
            for minute in minutes:
                if at(day, hour, minute, seconds[-1]) <= moment:
                    continue
                for second in seconds:
                    if (due := at(day, hour, minute, second)) > moment:
                        return due
    return None


def _nearest_workday(year: int, month: int, day: int, last: int) -> int:
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < last else day - 2
    return day


def _numbers(field: str, text: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    chosen: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if "/" in part and not (step.isdecimal() and int(step) > 0):
            raise ValueError(f"{field}: {part!r} has no step after '/'")
        try:
            first, last = _span(span, low, high, names or {}, stepped=bool(step))
        except ValueError:
            raise ValueError(f"{field}: {part!r} is not understood") from None
        if not (low <= first <= high and low <= last <= high):
            raise ValueError(f"{field}: {part!r} is not within {low} to {high}")
        # A span may go over the end: FRI-MON, 22-2.
        numbers = range(first, last + 1) if first <= last else [*range(first, high + 1), *range(low, last + 1)]
        chosen.update(list(numbers)[:: int(step or 1)])
    return chosen


def _span(text: str, low: int, high: int, names: dict[str, int], stepped: bool) -> tuple[int, int]:
    if text == "*":
        return low, high
    first, dash, last = text.partition("-")
    start = _number(first, names)
    return start, (_number(last, names) if dash else high if stepped else start)


def _number(text: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)
