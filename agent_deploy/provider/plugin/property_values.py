"""Pulumi's property values (protobuf) to plain Python values and back, with what is secret remembered beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import struct_pb2

from agent_deploy.client.masking import MASK, masked
from agent_deploy.provider.plugin.resource import UNKNOWN, Path, Values
from agent_deploy.provider.plugin.signatures import OUTPUT, RESOURCE, SECRET, SIGNATURE, UNKNOWN_TEXT, UNKNOWNS

# A shorter secret is not looked for in texts: "1" would blot out half of a message.
_MIN_HIDDEN = 4


class Secrets:
    """The secret paths met in one request, and their texts, which no message may show."""

    def __init__(self, always: Iterable[str] = ()) -> None:
        self.paths: set[Path] = {(name,) for name in always}
        self._texts: set[str] = set()

    def found(self, path: Path, value: Any) -> None:
        """Remembers a secret value; one inside a list makes the whole list secret, as its index may change."""
        index = next((i for i, part in enumerate(path) if isinstance(part, int)), len(path))
        self.paths.add(path[:index])
        self._texts.update(text for text in _texts(value) if len(text) >= _MIN_HIDDEN)

    def also_hide(self, others: Secrets) -> None:
        """No message shows the texts of these either; where they were does not become secret."""
        self._texts |= others._texts

    def hidden(self, text: str) -> str:
        """The text with every secret blotted out, and every credential that this process signs in with."""
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return masked(text, self._texts)


def decode(struct: struct_pb2.Struct, secrets: Secrets) -> Values:
    """A message's properties; absent and null ones are left out, whole numbers are ints."""
    values = {}
    for name, value in _in_order(struct):
        decoded = _decode(value, (name,), secrets)
        if decoded is not None:
            values[name] = decoded
            if (name,) in secrets.paths:
                secrets.found((name,), decoded)
    return values


def encode(values: Mapping[str, Any], secrets: Secrets) -> struct_pb2.Struct:
    """Properties for a message; every path that was secret before is marked secret again."""
    struct = struct_pb2.Struct()
    struct.update({name: _encode(value, (name,), secrets.paths) for name, value in values.items() if value is not None})
    return struct


def path_text(path: Path) -> str:
    """``servedEntities["qa_3"].environmentVars["KEY"]``, as the engine writes and reads paths."""
    text = ""
    for depth, part in enumerate(path):
        if isinstance(part, int):
            text += f"[{part}]"
        elif depth == 0:
            text = part
        elif re.fullmatch(r"[A-Za-z_$][\w$]*", part):
            text += f".{part}"
        else:
            text += '["' + part.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    return text


def _in_order(struct: struct_pb2.Struct) -> list[tuple[str, struct_pb2.Value]]:
    """By name: a message gives its fields in an order that differs from process to process."""
    return sorted(struct.fields.items())


def _decode(value: struct_pb2.Value, path: Path, secrets: Secrets) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_decode(item, (*path, index), secrets) for index, item in enumerate(value.list_value.values)]
    if kind == "struct_value":
        return _decode_struct(value.struct_value, path, secrets)
    return None


def _decode_struct(struct: struct_pb2.Struct, path: Path, secrets: Secrets) -> Any:
    signature = struct.fields[SIGNATURE].string_value if SIGNATURE in struct.fields else None
    if signature == SECRET:
        value = _decode(struct.fields["value"], path, secrets)
        secrets.found(path, value)
        return value
    if signature == OUTPUT:
        value = _decode(struct.fields["value"], path, secrets) if "value" in struct.fields else UNKNOWN
        if "secret" in struct.fields and struct.fields["secret"].bool_value:
            secrets.found(path, value)
        return value
    if signature == RESOURCE:
        # A reference to a resource is its id for a custom resource, else its URN.
        return _decode(struct.fields["id" if "id" in struct.fields else "urn"], path, secrets)
    items = {key: _decode(item, (*path, key), secrets) for key, item in _in_order(struct)}
    return {key: item for key, item in items.items() if item is not None}


def _encode(value: Any, path: Path, secret_paths: set[Path]) -> Any:
    if path in secret_paths and value is not UNKNOWN:
        return {SIGNATURE: SECRET, "value": _encode_plain(value, path, secret_paths)}
    return _encode_plain(value, path, secret_paths)


def _encode_plain(value: Any, path: Path, secret_paths: set[Path]) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {key: _encode(item, (*path, key), secret_paths) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_encode_plain(item, (*path, index), secret_paths) for index, item in enumerate(value)]
    return value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
