"""Fields that a request has in its query."""

from __future__ import annotations

from collections.abc import Mapping

from agent_deploy.local.core.errors import invalid


def whole(query: Mapping[str, str], name: str) -> int:
    """A number, 0 or more, and 0 when it is left out; raises 400 that names the field."""
    given = query.get(name) or "0"
    if not given.isdecimal():
        raise invalid(f"{name} {given!r}: expected a whole number, 0 or more.")
    return int(given)
