"""Fields that a request has in its query."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent_deploy.local.core.errors import invalid

# `str.isdigit` takes ², which no int() reads, and digits without end.
_WHOLE = re.compile(r"[0-9]{1,18}")


def is_whole(text: str) -> bool:
    """Whether the text is a whole number, 0 or more, that any client can read: at most 18 digits."""
    return _WHOLE.fullmatch(text) is not None


def whole(query: Mapping[str, str], name: str) -> int:
    """A number, 0 or more, and 0 when it is left out; raises 400 that names the field."""
    given = query.get(name) or "0"
    if not is_whole(given):
        raise invalid(f"{name} {given!r}: expected a whole number, 0 or more.")
    return int(given)
