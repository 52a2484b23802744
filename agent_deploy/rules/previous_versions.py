"""Which versions stay behind an endpoint at 0 % after they have left the program, so that a rollback needs no build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agent_deploy.rules.problems import Problem
from agent_deploy.rules.traffic import MAX_SERVED_ENTITIES


def check_keep_previous(value: object) -> list[Problem]:
    """Problems of ``keep_previous``; None is the default and passes."""
    limit = MAX_SERVED_ENTITIES - 1
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if value is None or (whole and not isinstance(value, bool) and 0 <= int(value) <= limit):  # type: ignore[call-overload]
        return []
    return [Problem("keep_previous", value, f"a whole number from 0 to {limit}")]


def kept(
    served: Mapping[str, Mapping[str, Any]],
    traffic: Mapping[str, int],
    model_name: str,
    declared: Collection[str],
    keep: int,
) -> dict[str, Mapping[str, Any]]:
    """The ``keep`` newest of the served entities that the program no longer names, as they are served now.

    What had traffic until now counts as newest: it is what a rollback goes back to. ``served`` is in ServingEndpoint's
    words (``entityName``, ``entityVersion``); entities of other models are not this deployment's to keep.
    """
    candidates = [n for n, entity in served.items() if entity["entityName"] == model_name and n not in declared]
    candidates.sort(key=lambda name: (-traffic.get(name, 0), -int(served[name]["entityVersion"])))
    return {name: served[name] for name in candidates[: max(0, min(keep, MAX_SERVED_ENTITIES - len(declared)))]}
