"""Outputs where what is declared depends on the value itself: they are told, as nobody can look into one in time."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from agent_deploy.rules.known_arguments import KNOWN, LISTS, MAPPINGS
from agent_deploy.rules.problems import Problem


@dataclass(frozen=True)
class Early:
    """What has to stand at a place when the program runs, and what to do with an Output instead."""

    expected: str
    remedy: str


def _mapping(example: str) -> Early:
    remedy = "What is declared depends on its names: give each value as an Output instead"
    return Early(f"names and values, such as {example}", remedy)


def _list(example: str) -> Early:
    remedy = "What is declared depends on its entries: give the values in them as Outputs instead"
    return Early(f"a list, such as {example}", remedy)


def _entry(example: str) -> Early:
    remedy = "What is declared depends on its names: give each value in it as an Output instead"
    return Early(f"an entry as in {example}", remedy)


_PLAIN = Early("a plain value", "What is declared depends on it: take it from the stack's configuration, for example")
_READERS = _list('["auditors"]')
_ENTRIES = ("versions", "permissions", "review_app.reviewers")
# Place → what has to stand there. "[]" is each entry of a list. What is not here is known in time as an Output, too.
OF_DEPLOYMENT: Mapping[str, Early] = {
    **{place: _list(LISTS[place]) for place in _ENTRIES},
    **{f"{place}[]": _entry(LISTS[place]) for place in _ENTRIES},
    **{
        place: _mapping(MAPPINGS[place])
        for place in ("environment", "service_principal", "review_app", "inference_tables", "timeouts")
    },
    "versions[].environment": _mapping(MAPPINGS["environment"]),
    "inference_tables.readers": _READERS,
    **{
        f"inference_tables.{name}": _PLAIN
        for name in ("enabled", "derive", "schedule", "schedule_timezone", "retention_days")
    },
    **{f"timeouts.{name}": _PLAIN for name in KNOWN["timeouts"]},
}
OF_TABLES: Mapping[str, Early] = {
    "readers": _READERS,
    **dict.fromkeys(("derive", "schedule", "schedule_timezone", "retention_days"), _PLAIN),
}
OF_PRINCIPAL: Mapping[str, Early] = {
    "resources": _list(LISTS["resources"]),
    "resources[]": _entry(LISTS["resources"]),
    "open_to_all": _list('[{"securable_type": "function", "name": …, "privilege": "EXECUTE"}]'),
    "existing": _mapping(MAPPINGS["service_principal"]),
    **dict.fromkeys(("rotation_days", "secret_lifetime_days"), _PLAIN),
}


def without_late(args: Mapping[str, Any], early: Mapping[str, Early]) -> tuple[dict[str, Any], list[Problem]]:
    """The arguments without Outputs where none can be, and these as problems; never with a value, as it may be secret.

    An entry of a list that is one becomes an empty one, so that the others keep their indices.
    """
    problems: list[Problem] = []
    return _of_mapping("", "", args, early, problems), problems


def _of_mapping(
    place: str, field: str, given: Mapping[str, Any], early: Mapping[str, Early], problems: list[Problem]
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in given.items():
        inner, shown = (f"{at}.{name}" if at else str(name) for at in (place, field))
        if not _told(inner, shown, value, early, problems):
            kept[name] = _within(inner, shown, value, early, problems)
    return kept


def _within(place: str, field: str, value: Any, early: Mapping[str, Early], problems: list[Problem]) -> Any:
    if place not in early:
        return value
    if isinstance(value, Mapping):
        return _of_mapping(place, field, value, early, problems)
    if not isinstance(value, (list, tuple)):
        return value
    each = f"{place}[]"
    return [
        {} if _told(each, shown, entry, early, problems) else _within(each, shown, entry, early, problems)
        for shown, entry in ((f"{field}[{index}]", entry) for index, entry in enumerate(value))
    ]


def _told(place: str, field: str, value: object, early: Mapping[str, Early], problems: list[Problem]) -> bool:
    wanted = early.get(place)
    if wanted is None or not isinstance(value, (pulumi.Output, Awaitable)):
        return False
    problems.append(Problem(field, None, f"{wanted.expected}, and not an Output", wanted.remedy))
    return True
