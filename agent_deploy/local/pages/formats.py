"""How pages write times, durations and shares."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping


def moment(milliseconds: float) -> str:
    """Milliseconds since 1970 → ``2026-11-24 15:03`` (UTC)."""
    return _time(milliseconds).strftime("%Y-%m-%d %H:%M")


def machine_time(milliseconds: float) -> str:
    """For the ``datetime`` attribute of a ``<time>``."""
    return _time(milliseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(milliseconds: float | None) -> str:
    """``340 ms``, ``1.2 s``, ``2 min 5 s``; an en dash for none."""
    if milliseconds is None:
        return "–"
    if 0 < milliseconds < 1:
        return "<1 ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 60_000:.0f} min {milliseconds % 60_000 / 1000:.0f} s"


def percent(share: float | None) -> str:
    """``0.934`` → ``93 %``; an en dash for none."""
    return "–" if share is None else f"{share * 100:.0f} %"


def _time(milliseconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)


FILTERS: Mapping[str, Callable[..., str]] = {
    "moment": moment,
    "machine_time": machine_time,
    "duration": duration,
    "percent": percent,
}
