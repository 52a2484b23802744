"""What the team's page counts, for each version: requests, failures, latency, ratings; and requests by day or hour."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent_deploy.local.pages.logged import Turn, version_order
from agent_deploy.local.pages.ratings import NEGATIVE, POSITIVE

_HOURS_BELOW_DAYS = 2  # a shorter time is counted by the hour
_MOST_STEPS = 60  # of a time axis; the last ones are shown


@dataclass(frozen=True)
class VersionNumbers:
    """``version`` is empty for entities that are not known any more; shares are 0 to 1, durations milliseconds."""

    version: str
    requests: int
    users: int
    failed: int
    median_ms: float | None
    p95_ms: float | None
    positive: int
    negative: int

    @property
    def failed_share(self) -> float | None:
        """Of all requests."""
        return self.failed / self.requests if self.requests else None

    @property
    def positive_share(self) -> float | None:
        """Of the ratings that say positive or negative."""
        judged = self.positive + self.negative
        return self.positive / judged if judged else None


def by_version(turns: Sequence[Turn]) -> list[VersionNumbers]:
    """One for each version, in their order."""
    versions = sorted({turn.version for turn in turns}, key=version_order)
    return [_numbers(version, [turn for turn in turns if turn.version == version]) for version in versions]


def _numbers(version: str, turns: Sequence[Turn]) -> VersionNumbers:
    durations = sorted(turn.duration_ms for turn in turns if not turn.failed)
    said = Counter(rating.value for turn in turns for rating in turn.ratings if rating.is_judgement)
    return VersionNumbers(
        version=version,
        requests=len(turns),
        users=len({turn.user for turn in turns}),
        failed=sum(turn.failed for turn in turns),
        median_ms=percentile(durations, 0.5),
        p95_ms=percentile(durations, 0.95),
        positive=said[POSITIVE],
        negative=said[NEGATIVE],
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank; None of nothing."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else None


def by_rating(turns: Sequence[Turn]) -> list[tuple[str, int, int, int]]:
    """Name of a rating, how often it was positive, negative, something else; the commonest first."""
    counts: dict[str, Counter[str]] = {}
    for turn in turns:
        for rating in turn.ratings:
            if rating.is_judgement:
                name = rating.name.partition(": ")[2] or rating.name  # all sources together
                counts.setdefault(name, Counter())[rating.value] += 1
    rows = [(name, c[POSITIVE], c[NEGATIVE], c.total() - c[POSITIVE] - c[NEGATIVE]) for name, c in counts.items()]
    return sorted(rows, key=lambda row: (-sum(row[1:]), row[0]))


def by_time(turns: Sequence[Turn]) -> tuple[list[str], dict[str, list[int]]]:
    """Steps of the time axis, and for each version the requests in each step; days, or hours of a short time."""
    if not turns:
        return [], {}
    times = [datetime.datetime.fromtimestamp(turn.time_ms / 1000, datetime.timezone.utc) for turn in turns]
    is_short = max(times) - min(times) < datetime.timedelta(days=_HOURS_BELOW_DAYS)
    step = datetime.timedelta(hours=1) if is_short else datetime.timedelta(days=1)
    last = _floor(max(times), is_short)
    first = max(_floor(min(times), is_short), last - step * (_MOST_STEPS - 1))
    moments = [first + step * number for number in range((last - first) // step + 1)]
    at = {moment: index for index, moment in enumerate(moments)}
    counts = {version: [0] * len(moments) for version in sorted({t.version for t in turns}, key=version_order)}
    for turn, time in zip(turns, times, strict=True):
        if (index := at.get(_floor(time, is_short))) is not None:
            counts[turn.version][index] += 1
    return [moment.strftime("%m-%d %H:00" if is_short else "%Y-%m-%d") for moment in moments], counts


def _floor(time: datetime.datetime, to_hour: bool) -> datetime.datetime:
    whole = time.replace(minute=0, second=0, microsecond=0)
    return whole if to_hour else whole.replace(hour=0)
