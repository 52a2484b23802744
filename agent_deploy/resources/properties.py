"""Names on the engine's wire: camelCase there, snake_case in Python; keys that the user chose stay as they are."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import pulumi

from agent_deploy.rules.records import camel_case

T = TypeVar("T")
# Their keys are the user's: served entities' names, variables, tags.
_USER_KEYED = frozenset({"servedEntities", "traffic", "environmentVars", "tags"})


class _Output(property):
    def __init__(self, name: str) -> None:
        super().__init__(lambda resource: resource.__dict__[name])
        self.name = name


def output(name: str) -> Any:
    """A resource's attribute that reads the property ``name`` of the wire."""
    return _Output(name)


def handed_out(resource: type, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the SDK is told of a resource: it hands out what is named here, and makes a future of everything.

    So the properties that the class has attributes for, which the provider may set, and the inputs that were given.
    """
    attributes = (member.name for member in vars(resource).values() if isinstance(member, _Output))
    return {**dict.fromkeys(attributes), **{name: value for name, value in inputs.items() if value is not None}}


def always_known(value: Awaitable[T], dependencies: Awaitable[set[pulumi.Resource]] | None = None) -> pulumi.Output[T]:
    """An Output that no preview takes for unknown, whatever it is made of; where it fails, so does the program."""

    async def known() -> bool:
        return True

    return pulumi.Output(set() if dependencies is None else dependencies, value, known())


def to_wire(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Property names for the engine, at every depth; properties that are None are left out."""
    return {
        camel_case(name): _value(camel_case(name), value) for name, value in properties.items() if value is not None
    }


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if name not in _USER_KEYED:
            return to_wire(value)
        return {key: to_wire(inner) if isinstance(inner, Mapping) else inner for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_wire(item) if isinstance(item, Mapping) else item for item in value]
    return value
