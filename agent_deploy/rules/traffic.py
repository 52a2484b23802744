"""How requests are shared out among the versions of an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent_deploy.rules.numbers import whole
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.values import is_known

MAX_SERVED_ENTITIES = 15  # source: databricks-sdk-py#1496; older documentation says 10
_SHARE = "a whole number from 0 to 100"


def check_traffic(field: str, traffic: Mapping[str, object], served: Sequence[str]) -> list[Problem]:
    """Problems of percentages by version; ``served`` are the versions of the endpoint."""
    problems: list[Problem] = []
    for version, percentage in traffic.items():
        where = f"{field}[{version!r}]"
        if version not in served:
            known = ", ".join(served) or "none"
            problems.append(
                Problem(
                    where, percentage, f"a version that is served ({known})", "Add it to versions, or take it out here"
                )
            )
        if percentage is None:
            remedy = "Give it one (config.get_int() has None for a key that is not set), or take the version out here"
            problems.append(Problem(where, None, _SHARE, remedy))
        problems += check_percentage(where, percentage)
    if problems or not served or not all(map(is_known, traffic.values())):
        return problems
    if (total := sum(whole(share) or 0 for share in traffic.values())) != 100:
        shares = ", ".join(f"{version}: {percentage}" for version, percentage in traffic.items()) or "nothing"
        problems.append(Problem(field, total, "percentages that sum to 100", f"They are {shares}. {_way_out(total)}"))
    return problems


def _way_out(total: int) -> str:
    return f"Add {100 - total} to one of them" if total < 100 else f"Take {total - 100} from them"


def check_percentage(field: str, value: object) -> list[Problem]:
    """Problems of one percentage; None is not said, and passes."""
    if value is None or not is_known(value) or 0 <= (-1 if (number := whole(value)) is None else number) <= 100:
        return []
    return [Problem(field, value, _SHARE)]


def shown_change(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """``v3 100 % → 90 %, v4 new 10 %``: who had, has and loses how much; empty when nothing changes."""
    if dict(before) == dict(after):
        return ""
    parts = []
    # What was there first, and in an order of its own: mappings that have crossed the engine's wire come in any.
    for version in sorted({*before, *after}, key=lambda version: (version not in before, _natural(version))):
        old, new = before.get(version), after.get(version)
        if old is None:
            parts.append(f"{version} new {new} %")
        elif new is None:
            parts.append(f"{version} {old} % → gone")
        else:
            parts.append(f"{version} {old} % → {new} %" if old != new else f"{version} stays {new} %")
    return ", ".join(parts)


def check_count(field: str, count: int, feedback: bool = False) -> list[Problem]:
    """The platform's limit of served entities; ``feedback``: whether the feedback model comes to ``count``."""
    if count + feedback <= MAX_SERVED_ENTITIES:
        return []
    expected = f"at most {MAX_SERVED_ENTITIES} served entities on an endpoint"
    if feedback:
        return [
            Problem(field, count, f"{expected}, the feedback model included", "Take old versions or feedback_model out")
        ]
    return [Problem(field, count, expected, "Take old versions out")]


def _natural(name: str) -> list[str | int]:
    """``v9`` before ``v10``: text and numbers in turn."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
