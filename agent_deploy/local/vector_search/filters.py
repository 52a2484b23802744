"""Filters of a query on an index: ``{"price <": 5, "kind": ["a", "b"], "a OR b": [1, 2]}``.

Source: Databricks, "Query a vector search index", filters on standard endpoints.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from agent_deploy.local.core import json_text
from agent_deploy.local.core.errors import invalid

Row = Mapping[str, Any]
Filter = Callable[[Row], bool]

_COMPARED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_OR = " OR "


def parse(filters_json: object, columns: list[str]) -> Filter:
    """Whether a row passes all of them; raises 400 for an unknown column or operator."""
    if filters_json in (None, "", {}):
        return lambda _row: True
    given = json_text.parse_field(filters_json, "filters_json") if isinstance(filters_json, str) else filters_json
    if not isinstance(given, dict):
        raise invalid('filters_json: expected a JSON object such as {"id <": 5}.')
    filters = [_filter(key, value, columns) for key, value in given.items()]
    return lambda row: all(passes(row) for passes in filters)


def _filter(key: str, value: Any, columns: list[str]) -> Filter:
    if _OR in key:
        parts = key.split(_OR)
        if not isinstance(value, list) or len(value) != len(parts):
            raise invalid(f"filters_json {key!r}: expected a list of {len(parts)} values, one for each alternative.")
        filters = [_filter(part, item, columns) for part, item in zip(parts, value, strict=True)]
        return lambda row: any(passes(row) for passes in filters)
    name, _, word = key.strip().partition(" ")
    word = word.strip().upper()
    if name not in columns:
        raise invalid(f"filters_json {key!r}: the index has no column {name!r}; it has {', '.join(columns)}.")
    if word in ("", "NOT"):
        return _among(name, value, wanted=not word)
    if word == "LIKE":
        tokens = str(value).lower()
        return lambda row: tokens in re.findall(r"\w+", str(row[name] or "").lower())
    if word in _COMPARED:
        return _comparison(name, _COMPARED[word], value)
    known = ", ".join(("NOT", "LIKE", *_COMPARED))
    raise invalid(f"filters_json {key!r}: unknown operator {word!r}; known are {known}.")


def _among(name: str, value: Any, wanted: bool) -> Filter:
    values = value if isinstance(value, list) else [value]
    return lambda row: (row[name] in values) == wanted


def _comparison(name: str, compare: Callable[[Any, Any], Any], value: Any) -> Filter:
    def passes(row: Row) -> bool:
        held = row[name]
        if held is None:
            return False
        try:
            return bool(compare(held, value))
        except TypeError:
            return bool(compare(str(held), str(value)))  # dates are compared as they are written

    return passes
