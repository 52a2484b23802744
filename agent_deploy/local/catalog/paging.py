"""Pages of a list: ``max_results`` (0: the server chooses) and an opaque ``page_token``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.query import whole

_PAGE = 1000  # what the server chooses


def page(key: str, items: list[dict[str, Any]], max_results: int = 0, page_token: str = "") -> dict[str, Any]:
    """``{key: […], "next_page_token": …}``, the token only when more follows; raises 400 for a foreign token."""
    if max_results < 0:
        raise invalid(f"max_results {max_results}: expected 0 or more.")
    start = _start(page_token)
    end = start + (max_results or _PAGE)
    answer: dict[str, Any] = {key: items[start:end]}
    if end < len(items):
        answer["next_page_token"] = base64.urlsafe_b64encode(f"from:{end}".encode()).decode()
    return answer


def asked_page(
    key: str, items: list[dict[str, Any]], query: Mapping[str, str], size: str = "max_results"
) -> dict[str, Any]:
    """The page that a request's ``query`` asks for; ``size`` is what the route calls the number of items."""
    return page(key, items, whole(query, size), query.get("page_token", ""))


def _start(page_token: str) -> int:
    if not page_token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(page_token).decode().partition(":")
        if word == "from":
            return int(number)
    except ValueError:
        pass
    raise invalid(f"page_token {page_token!r} is not one that this workspace gave.")
