"""What the registry's routes are sent: fields in the query or in a JSON body, filters, pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import Request

from agent_deploy.local.core.body import json_body
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.query import is_whole

Item = TypeVar("Item")

_COMPARISON = re.compile(r"""\s*(?:attributes?\.)?`?(name|run_id|source_path)`?\s*=\s*(?:'([^']*)'|"([^"]*)")\s*""")
_AND = re.compile(r"\band\b", re.IGNORECASE)


async def sent(request: Request) -> dict[str, Any]:
    """The fields of a request: MLflow sends GET in the query and all else, DELETE included, in the body."""
    return {**request.query_params, **await json_body(request)}


def required(fields: dict[str, Any], name: str) -> str:
    """The field's value; raises 400 when it is missing."""
    if fields.get(name) in (None, ""):
        raise invalid(f"Missing value for required parameter '{name}'.")
    return str(fields[name])


def tags(fields: dict[str, Any]) -> dict[str, str]:
    """``[{key, value}]`` as a mapping."""
    given = fields.get("tags") or []
    if not isinstance(given, list) or not all(isinstance(tag, dict) and "key" in tag for tag in given):
        raise invalid("tags: expected a list of {key, value}.")
    return {str(tag["key"]): str(tag.get("value", "")) for tag in given}


def conditions(filter_string: str | None) -> dict[str, str]:
    """``name = 'x' and run_id = 'y'`` by the document's fields; raises 400 for what the registry does not filter by."""
    found: dict[str, str] = {}
    for part in _AND.split(filter_string or "") if (filter_string or "").strip() else ():
        if not (match := _COMPARISON.fullmatch(part)):
            raise invalid(f"filter {filter_string!r}: expected name = '…', run_id = '…' or source_path = '…'.")
        field = "source" if match[1] == "source_path" else match[1]
        found[field] = match[2] if match[2] is not None else match[3]
    return found


def page(items: Sequence[Item], fields: dict[str, Any], default: int) -> tuple[Sequence[Item], str | None]:
    """The items of one page, and the next page's token."""
    first, size = str(fields.get("page_token") or "0"), str(fields.get("max_results") or default)
    if not is_whole(first) or not is_whole(size):
        raise invalid("page_token and max_results: expected what an earlier answer gave, and a whole number.")
    last = int(first) + max(1, int(size))
    return items[int(first) : last], str(last) if last < len(items) else None
