"""JSON that others wrote, read and judged: what is accepted here can be stored, listed and written out again."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from agent_deploy.local.core.errors import ApiError, invalid

# Objects and lists in one another. Source: Protocol Buffers, the recursion limit of its parsers, through which the
# platform reads bodies.
MAX_DEPTH = 100
# What a field of 64 bits holds: clients in other languages read no more.
_MOST = 1 << 63


def parse(content: bytes | str, what: str = "The request's body", any_float: bool = False) -> Any:
    """The value; raises 400 for what is not JSON, is nested too deep, or has a number or text that not all can read.

    ``any_float``: fractions of any size, where they are data and not settings.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise _malformed(f"{what} is not JSON: {error}.") from error
    except RecursionError as error:
        raise _too_deep(what) from error
    _judge(value, what, any_float)
    return value


def parse_field(text: str, field: str) -> Any:
    """The value of a field that is JSON in a string; raises 400 that names it."""
    try:
        return parse(text, field)
    except ApiError as error:
        raise invalid(error.message) from error


def parse_or_none(text: str | None) -> Any:
    """The value; None for text that `parse` refuses."""
    try:
        return parse(text or "")
    except ApiError:
        return None


def _judge(value: Any, what: str, any_float: bool) -> None:
    level, depth = [value], 0
    while level:
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                _judge_text(item, what)
            elif kind is dict:
                for name in item:
                    _judge_text(name, what)
                inner += item.values()
            elif kind is list:
                inner += item
            elif kind in (int, float):
                _judge_number(item, what, any_float)
        # A level of plain values is none of nesting.
        depth += any(type(item) in (dict, list) for item in level)
        if depth > MAX_DEPTH:
            raise _too_deep(what)
        level = inner


def _judge_text(text: str, what: str) -> None:
    if text.isascii():
        whole = "\0" not in text
    else:
        try:
            whole = b"\0" not in text.encode()
        except UnicodeEncodeError as error:
            found = f"U+{ord(text[error.start]):04X}"
            raise _malformed(f"{what} has a text with {found}, half of a character.") from error
    if not whole:
        raise _malformed(f"{what} has a text with U+0000, which is no character.")


def _judge_number(number: float, what: str, any_float: bool) -> None:
    fits = math.isfinite(number) if any_float and isinstance(number, float) else -_MOST <= number < _MOST
    if not fits:
        raise _malformed(f"{what} has a number beyond 64 bits.")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _too_deep(what: str) -> ApiError:
    return _malformed(f"{what} is nested more than {MAX_DEPTH} levels deep.")


def _malformed(message: str) -> ApiError:
    return ApiError(400, "MALFORMED_REQUEST", message)
