"""How long to wait for an endpoint: durations as Pulumi takes them, which are those of the language Go.

Source: Pulumi, "customTimeouts"; Go, `time.ParseDuration`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agent_deploy.rules.problems import Problem

_DURATION = re.compile(r"\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)


def check_timeouts(prefix: str, timeouts: Mapping[str, object]) -> Iterator[Problem]:
    """Those that Pulumi would refuse, or that leave no time at all."""
    for name, value in timeouts.items():
        if not _is_duration(value):
            expected = 'a duration above zero of hours, minutes and seconds, such as "45m", "1h30m" or "90s"'
            yield Problem(f"{prefix}{name}", value, expected)


def _is_duration(value: object) -> bool:
    return isinstance(value, str) and bool(_DURATION.fullmatch(value)) and bool(re.search("[1-9]", value))
