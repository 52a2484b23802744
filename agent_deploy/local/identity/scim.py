"""SCIM 2.0 as Databricks speaks it: filters, pages, patches, error bodies. Pure; RFC 7644 is the source."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_PAGE = 100  # when the client names no count

_CLAUSE = re.compile(
    r'\s*(?P<path>[\w.]+)\s+(?P<op>\w+)(?:\s+(?P<value>"(?:[^"\\]|\\.)*"|[\w.@-]+))?\s*', re.IGNORECASE
)
_WORD = re.compile(r"\s*(and|or)\s+", re.IGNORECASE)
_ITEM = re.compile(r'(?P<path>\w+)\[\s*(?P<key>\w+)\s+eq\s+"(?P<value>[^"]*)"\s*\]', re.IGNORECASE)

_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda have, want: have == want,
    "ne": lambda have, want: have != want,
    "co": lambda have, want: want in have,
    "sw": lambda have, want: have.startswith(want),
    "ew": lambda have, want: have.endswith(want),
}


class ScimError(ApiError):
    """An error in SCIM's own body; clients read ``detail`` and ``scimType``."""

    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        body: dict[str, object] = {"schemas": [_ERROR], "detail": self.message, "status": str(self.status)}
        return {**body, "scimType": self.error_code} if self.error_code else body


def matching(expression: str) -> Callable[[Document], bool]:
    """A filter such as ``displayName co "x" and active eq true``; ``and`` binds tighter than ``or``.

    Raises 400 invalidFilter for what this does not understand.
    """
    alternatives: list[list[Callable[[Document], bool]]] = [[]]
    position = 0
    while True:
        clause = _CLAUSE.match(expression, position)
        if clause is None or clause["op"].lower() not in (*_COMPARISONS, "pr"):
            raise ScimError(400, "invalidFilter", f"The filter {expression!r} is not understood.")
        alternatives[-1].append(_test(clause["path"], clause["op"].lower(), clause["value"] or ""))
        position = clause.end()
        if position == len(expression):
            return lambda document: any(all(test(document) for test in tests) for tests in alternatives)
        word = _WORD.match(expression, position)
        if word is None:
            raise ScimError(400, "invalidFilter", f"The filter {expression!r} is not understood.")
        if word[1].lower() == "or":
            alternatives.append([])
        position = word.end()


def _test(path: str, operator: str, quoted: str) -> Callable[[Document], bool]:
    wanted = quoted.strip('"').replace('\\"', '"').lower()

    def test(document: Document) -> bool:
        values = _values(document, path.lower().split("."))
        if operator == "pr":
            return bool(values)
        if operator == "ne":
            return all(value.lower() != wanted for value in values)
        return any(_COMPARISONS[operator](value.lower(), wanted) for value in values)

    return test


def _values(value: Any, path: list[str]) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _values(item, path)]
    if isinstance(value, dict):
        if not path:
            return _values(value.get("value"), [])
        return [found for name, item in value.items() if name.lower() == path[0] for found in _values(item, path[1:])]
    if value is None or path:
        return []
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def page(resources: list[Document], start: str | None, count: str | None) -> Document:
    """One page; past the end it is empty, by which clients know that they have all."""
    first = max(1, _number("startIndex", start, 1))
    size = max(0, _number("count", count, _PAGE))
    shown = resources[first - 1 : first - 1 + size]
    answer: Document = {"schemas": [LIST], "totalResults": len(resources), "startIndex": first}
    return {**answer, "itemsPerPage": len(shown), "Resources": shown}


def _number(name: str, value: str | None, default: int) -> int:
    try:
        return default if value in (None, "") else int(str(value))
    except ValueError as error:
        raise ScimError(400, "invalidValue", f"{name} {value!r}: expected a whole number.") from error


def selected(resource: Document, attributes: str | None, excluded: str | None) -> Document:
    """The resource with the wanted attributes; ids are always there."""
    always = {"id", "schemas", "applicationid"}
    if attributes:
        wanted = {name.strip().lower() for name in attributes.split(",")} | always
        return {name: value for name, value in resource.items() if name.lower() in wanted}
    unwanted = {name.strip().lower() for name in (excluded or "").split(",")} - always
    return {name: value for name, value in resource.items() if name.lower() not in unwanted}


def patched(document: Document, operations: list[Document]) -> Document:
    """The document after the operations: add and remove members of lists, replace or set attributes."""
    result = dict(document)
    for operation in operations:
        op, path, value = str(operation.get("op", "")).lower(), str(operation.get("path") or ""), operation.get("value")
        if op not in ("add", "remove", "replace"):
            raise ScimError(400, "invalidSyntax", f"op {operation.get('op')!r}: expected add, remove or replace.")
        if op != "remove" and "value" not in operation:
            raise ScimError(400, "invalidValue", f"The operation {op} needs a value.")
        if path:
            _apply(result, op, path, value)
        elif isinstance(value, dict) and op != "remove":
            for name, item in value.items():
                _apply(result, op, name, item)
        else:
            raise ScimError(400, "noTarget", f"The operation {op} needs a path.")
    return result


def _apply(document: Document, op: str, path: str, value: Any) -> None:
    if item := _ITEM.fullmatch(path):
        held = entries(document.get(item["path"]))
        document[item["path"]] = [entry for entry in held if str(entry.get(item["key"])) != item["value"]]
    elif op == "remove":
        gone = [entry.get("value") for entry in entries(value)] if value else None
        held = entries(document.get(path))
        document[path] = [entry for entry in held if gone is not None and entry.get("value") not in gone]
    elif op == "add" and isinstance(document.get(path, []), list) and isinstance(value, (list, dict)):
        held = entries(document.get(path))
        known = [entry.get("value") for entry in held]
        document[path] = [*held, *(entry for entry in entries(value) if entry.get("value") not in known)]
    else:
        document[path] = entries(value) if isinstance(value, list) else value


def entries(value: Any) -> list[Document]:
    """Entries that say something: the databricks provider sends ``[{}]`` for none."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, dict) else {"value": item} for item in items if item]
