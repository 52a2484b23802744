"""The types of a request's fields: data, one for each API, which one walk holds a body against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_deploy.local.core.errors import ApiError

# A type; a `Whole`; an object with the shapes of some of its fields, others being free; a list of one shape.
Shape = Any


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds."""

    least: int
    most: int


TEXT, FLAG, NUMBER = str, bool, (int, float)
ID = (str, int)  # clients send numbers as either
ANY_OBJECT: Mapping[str, Shape] = {}
TEXTS, OBJECTS = [TEXT], [ANY_OBJECT]

_TITLES: Mapping[Shape, str] = {TEXT: "a string", FLAG: "a boolean", NUMBER: "a number", ID: "a string or a number"}


def check(value: object, shape: Shape, name: str = "") -> None:
    """Pass, or raise 400 that names the field; null is like a field left out, but not in a list."""
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            raise _malformed(name, value, "an object")
        for field, inner in shape.items():
            if value.get(field) is not None:
                check(value[field], inner, f"{name}.{field}" if name else field)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _malformed(name, value, "a list")
        for index, item in enumerate(value):
            check(item, shape[0], f"{name}[{index}]")
    elif isinstance(shape, Whole):
        if type(value) is not int or not shape.least <= value <= shape.most:
            raise _malformed(name, value, f"a whole number from {shape.least} to {shape.most}")
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not FLAG):
        raise _malformed(name, value, _TITLES[shape])


def _malformed(name: str, value: object, expected: str) -> ApiError:
    # The platform's code for a body that does not fit its API's messages. Not the value: it may be a secret.
    given = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    message = f"{name}: expected {expected}, but got {given.get(type(value), 'a number')}."
    return ApiError(400, "MALFORMED_REQUEST", message)
