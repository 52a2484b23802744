"""When a credential is renewed: time is cut into periods, and a new period is a new credential."""

from __future__ import annotations

from datetime import date, timedelta

# Periods are counted from here, so that every run on the same day comes to the same one.
_EPOCH = date(2024, 1, 1)


def period(rotation_days: int, today: date) -> str:
    """The first day of the period that ``today`` is in, and its length: ``2026-11-20/30d``."""
    number = (today - _EPOCH).days // rotation_days
    return f"{_EPOCH + timedelta(days=number * rotation_days)}/{rotation_days}d"
