"""Records that cross the engine's wire: their fields give the wire's form, the reading back and the schema's type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def described(description: str, default: Any = MISSING, **more: Any) -> Any:
    """A field of a record; without a default it is required, or where ``more`` says ``always=True``: in answers."""
    metadata = {"description": description, **more}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def camel_case(name: str) -> str:
    """``table_name_prefix`` → ``tableNamePrefix``."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def snake_case(name: str) -> str:
    """``tableNamePrefix`` → ``table_name_prefix``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", name)


@dataclass(frozen=True)
class WireField:
    """One field: its name in Python and on the wire, the type of a value (or of each one in a list), what it means."""

    name: str
    wire_name: str
    type: Any
    is_list: bool
    field: Field[Any]

    @property
    def is_required(self) -> bool:
        """Whether the wire has it always."""
        return self.field.default is MISSING or bool(self.field.metadata.get("always"))


@cache
def wire_fields(record: Any) -> tuple[WireField, ...]:
    """The fields of a record that cross the wire, in their order."""
    return tuple(_wire_fields(record))


def _wire_fields(record: Any) -> Iterator[WireField]:
    hints = get_type_hints(record)
    for each in fields(record):
        hint = hints[each.name]
        if NoneType in get_args(hint):
            (hint,) = set(get_args(hint)) - {NoneType}
        is_list = get_origin(hint) is tuple
        yield WireField(each.name, camel_case(each.name), get_args(hint)[0] if is_list else hint, is_list, each)


def wire(value: Any) -> Any:
    """A record as the wire has it: camelCase, and without what is None; anything else as it is."""
    if isinstance(value, tuple):
        return [wire(each) for each in value]
    if not is_dataclass(value):
        return value
    record: Any = type(value)
    given = ((each.wire_name, getattr(value, each.name)) for each in wire_fields(record))
    return {name: wire(held) for name, held in given if held is not None}


def read(record: type[T], values: Mapping[str, Any]) -> T:
    """The record out of what the wire brought; what is not there has its default."""
    kind: Any = record
    there = [each for each in wire_fields(kind) if values.get(each.wire_name) is not None]
    return record(**{each.name: _read(each, values[each.wire_name]) for each in there})


def _read(each: WireField, value: Any) -> Any:
    return tuple(_one(each.type, item) for item in value) if each.is_list else _one(each.type, value)


def _one(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return read(kind, value)  # type: ignore[arg-type]
    return kind(value) if kind in (str, int, bool) else value
