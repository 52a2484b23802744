"""What Pulumi's SDK infers of components, completed for programs in other languages: descriptions, names, marks."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import get_original_bases

from agent_deploy.rules.records import camel_case

Schema = dict[str, Any]
# (component or type, property in camelCase) → what a Python type cannot say of it: an enum, secret, what replaces.
Marks = Mapping[tuple[str, str], Schema]

_SUFFIX = "Args"  # of the Python types; code generators append their own
_QUOTED_NAME = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


def completed(inferred: str, analyzer: Any, components: list[type], marks: Marks) -> Schema:
    """The inferred schema (JSON), and Pulumi's ``Analyzer`` that inferred it, to the schema that the engine is told."""
    schema: Schema = json.loads(inferred)
    shapes = [*_shapes(schema, analyzer, components)]
    names = {snake: camel_case(snake) for _, _, of in shapes for snake in inspect.get_annotations(of)}
    for definition in (*schema["resources"].values(), *schema["types"].values()):
        _describe(definition, names)
    unused = set(marks)
    for name, properties, of in shapes:
        snakes = {camel_case(snake): snake for snake in inspect.get_annotations(of)}
        for key, property in properties.items():
            if "description" not in property and (text := _inherited(analyzer, of, snakes[key])):
                property["description"] = text
            _describe(property, names)
            for inner in (property.get("items"), property.get("additionalProperties")):
                if inner:
                    inner.pop("description", None)
            if mark := marks.get((name, key)):
                unused.discard((name, key))
                _mark(property, mark)
    if unused:
        raise ValueError(f"marks of properties that no component has: {sorted(unused)}")
    return _without_suffix(schema)


def _shapes(schema: Schema, analyzer: Any, components: list[type]) -> Iterator[tuple[str, Schema, type]]:
    """Name, properties, and the class that they were inferred from. A component has arguments, marked by its name."""
    for component in components:
        definition = next(each for token, each in schema["resources"].items() if _name(token) == component.__name__)
        arguments = inspect.get_annotations(component.__dict__["__init__"])["args"]
        yield component.__name__, definition["inputProperties"], arguments
        yield f"{component.__name__}'s outputs", definition["properties"], component
    for token, definition in schema["types"].items():
        yield (
            _name(token).removesuffix(_SUFFIX),
            definition["properties"],
            analyzer.type_definitions[_name(token)].python_type,
        )


def _name(token: str) -> str:
    return token.rpartition(":")[2]


def _inherited(analyzer: Any, of: type, name: str) -> str | None:
    """The docstring under a field of a base class, which Pulumi's SDK does not look for."""
    for base in get_original_bases(of):
        if isinstance(base, type) and (found := analyzer.get_docstring(base, name) or _inherited(analyzer, base, name)):
            return str(found)
    return None


def _describe(definition: Schema, names: Mapping[str, str]) -> None:
    """Without the indentation of Python's source, and with arguments named as the other languages do."""
    if text := definition.get("description"):
        plain = inspect.cleandoc(text)
        definition["description"] = _QUOTED_NAME.sub(lambda match: f"`{names.get(match[1], match[1])}`", plain)


def _mark(property: Schema, mark: Schema) -> None:
    if "$ref" in mark:
        property.pop("type", None)
    property.update(mark)


def _without_suffix(schema: Schema) -> Schema:
    """``AgentVersionArgs`` → ``AgentVersion``."""
    text = json.dumps(schema)
    for token in schema["types"]:
        if token.endswith(_SUFFIX):
            text = text.replace(f'"{token}"', f'"{token.removesuffix(_SUFFIX)}"')
            text = text.replace(f'"#/types/{token}"', f'"#/types/{token.removesuffix(_SUFFIX)}"')
    renamed: Schema = json.loads(text)
    if len(renamed["types"]) != len(schema["types"]):
        raise ValueError("two types have the same name without Args")
    return renamed
