"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK, WARNING, ERROR = "ok", "warning", "error"
STATUSES: Final = (OK, WARNING, ERROR)


@dataclass(frozen=True)
class Line:
    """``about`` what, its ``status`` (one of STATUSES), what was ``found``, and what to do where that is not well."""

    about: str
    status: str
    found: str
    remedy: str = ""
