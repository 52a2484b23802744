"""What the user gave to a component, read once: a tree of plain values, secrets and unknowns, and every mistake in it.

The shape is that of the arguments' TypedDict, from which Pulumi's schema comes as well: `pulumi.Input[…]` may be an
Output, a bare type is plain, since what is declared depends on it.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_args, get_origin

import pulumi
from typing_extensions import NotRequired, is_typeddict

from agent_deploy.resources.properties import always_known
from agent_deploy.rules.problems import Problem, nearest
from agent_deploy.rules.values import Hidden, Secret, Unknown

# What is shown of an argument that holds others, by its name.
EXAMPLES: Mapping[str, str] = {
    "versions": '[{"version": "3"}]',
    "permissions": '[{"group_name": "users", "level": "CAN_QUERY"}]',
    "reviewers": '[{"group_name": "users"}]',
    "resources": '[{"kind": "table", "name": "main.default.docs"}]',
    "open_to_all": '[{"securable_type": "function", "name": …, "privilege": "EXECUTE"}]',
    "readers": '["auditors"]',
    "traffic": '{"3": 90, "4": 10}',
    "environment": '{"KEY": "value"}',
    "service_principal": '{"application_id": …, "client_secret": …}',
    "existing": '{"application_id": …, "client_secret": …}',
    "tags": '{"team": "search"}',
    "review_app": '{"reviewers": [{"group_name": "users"}]}',
    "inference_tables": '{"enabled": False}',
    "timeouts": '{"create": "45m"}',
}
# Arguments whose values may be secret, and those around them: their values are in no message.
_SECRETS = frozenset({"environment", "client_secret"})
_AROUND_SECRETS = frozenset({"versions", "environment", "service_principal", "existing"})
# Numbers are as good as their text there: programs write 3 as well as "3".
_NUMBERED = frozenset({"version", "model_version"})
_PLAIN = (str, bytes, int, float)
T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """One argument: whether it ``may_be_output``, and what it is: ``kind``, a plain type, list or dict.

    ``inner`` is the shape of a list's entries or of a mapping's values, ``fields`` are those of a TypedDict.
    """

    kind: type
    may_be_output: bool = False
    inner: Shape | None = None
    fields: Mapping[str, Shape] | None = None
    required: frozenset[str] = frozenset()

    @property
    def holds(self) -> bool:
        """Whether it holds others."""
        return self.kind in (list, dict)


@functools.cache
def shape_of(args: type) -> Shape:
    """The shape of a TypedDict."""
    fields = {name: _shape(hint) for name, hint in args.__annotations__.items()}
    return Shape(dict, fields=fields, required=args.__required_keys__)  # type: ignore[attr-defined]


def _shape(hint: Any) -> Shape:
    if get_origin(hint) is NotRequired:
        return _shape(get_args(hint)[0])
    given = get_args(hint)
    if Awaitable in [get_origin(each) for each in given]:
        # pulumi.Input[T]: T itself, something awaited, or an Output (which the SDK names in a text).
        return replace(_shape(given[0]), may_be_output=True)
    if is_typeddict(hint):
        return shape_of(hint)
    origin = get_origin(hint)
    if origin is list:
        return Shape(list, inner=_shape(given[0]))
    if origin is not None and issubclass(origin, Mapping):
        return Shape(dict, inner=_shape(given[1]))
    return Shape(hint)


@dataclass
class Parsed:
    """The arguments as far as they are understood, Outputs still in them; and what is wrong with the others.

    ``broken`` are fields whose place in the tree is empty because of what is told of them: nothing more is to be said
    of these.
    """

    component: str
    shape: Shape
    tree: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    # By what was given: one Output at two places is one value there.
    _outputs: dict[int, tuple[object, pulumi.Output[Any]]] = field(default_factory=dict)

    def output(self, given: Any) -> pulumi.Output[Any]:
        """What is there only later, as an Output; the same for the same."""
        if id(given) not in self._outputs:
            self._outputs[id(given)] = (given, pulumi.Output.from_input(given))
        return self._outputs[id(given)][1]

    def further(self, problems: Sequence[Problem]) -> list[Problem]:
        """Those of the ``problems`` that say something new."""
        around = tuple(f"{broken}{mark}" for broken in self.broken for mark in ".[ ")
        return [each for each in problems if each.field not in self.broken and not each.field.startswith(around)]

    def tell(self, problem: Problem) -> None:
        """Adds what is wrong with a field, about which nothing more is to be said."""
        self.problems.append(problem)
        self.broken.add(problem.field)

    def missing(self) -> list[Problem]:
        """Arguments without which the component cannot do."""
        names = sorted(name for name in self.shape.required if self.tree.get(name) is None)
        return [Problem(name, None, f"a value: {self.component} cannot do without") for name in names]

    async def resolved(self) -> Resolved:
        """Every Output awaited: its value, or that it is secret or not known yet."""
        resolved = Resolved(self)
        resolved.tree = await resolved.record(self.shape, "", self.tree, False)
        return resolved

    def without_outputs(self) -> dict[str, Any]:
        """The arguments as they can be judged at once: Outputs are not known yet."""
        return {name: _not_yet(value) for name, value in self.tree.items()}

    async def dependencies(self) -> set[pulumi.Resource]:
        """The resources from which Outputs in the arguments come: what is made of the arguments depends on them."""
        return {resource for output in outputs_in(self.tree) for resource in await output.resources()}


class Resolved:
    """The tree without Outputs: ``outputs`` are the fields that were some.

    ``exposed_secrets``: what is wrong with secrets where all would see them.

    ``made`` are those whose value a preview knows already, of a resource that this program may only be about to make.
    """

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.tree: dict[str, Any] = {}
        self.outputs: set[str] = set()
        self.made: set[str] = set()
        self.exposed_secrets: list[Problem] = []
        self._unknown: dict[int, Unknown] = {}

    def last_problems(self) -> list[Problem]:
        """What is to be told where nothing else is: a missing argument, a number where a string is meant, a text where
        True or False is (Python would take any, "no" too, for true).
        """
        wrong = list(_wrong_types(self.parsed.shape, "", self.tree))
        return wrong + self.parsed.missing()

    def problems_with(self, of_values: Sequence[Problem]) -> list[Problem]:
        """All that is wrong, each field told once: shapes, ``of_values``, then what is told where nothing else is."""
        told = self.parsed.further(of_values)
        fields = {problem.field for problem in told}
        last = [problem for problem in self.parsed.further(self.last_problems()) if problem.field not in fields]
        return [*self.parsed.problems, *told, *last]

    async def record(self, shape: Shape, path: str, given: Mapping[str, Any], may_be_secret: bool) -> dict[str, Any]:
        """The values of a TypedDict; what turned out to be nothing is left out."""
        resolved: dict[str, Any] = {}
        for name, each in given.items():
            at = f"{path}.{name}" if path else name
            secret = may_be_secret or name in _SECRETS
            value = await self._value((shape.fields or {})[name], name, at, each, secret)
            if value is not None and value is not _LEFT_OUT:
                resolved[name] = value
        return resolved

    async def _value(self, shape: Shape, name: str, path: str, given: Any, may_be_secret: bool) -> Any:
        if isinstance(given, pulumi.Output):
            return await self._awaited(shape, name, path, given, may_be_secret)
        if isinstance(given, Mapping):
            if shape.fields is not None:
                return await self.record(shape, path, given, may_be_secret)
            return await self._mapping(shape.inner or _TEXT, name, path, given, may_be_secret)
        if isinstance(given, list):
            inner = shape.inner or _TEXT
            entries = [
                await self._value(inner, name, f"{path}[{i}]", each, may_be_secret) for i, each in enumerate(given)
            ]
            return ["" if each is _LEFT_OUT else each for each in entries]
        return given

    async def _mapping(
        self, inner: Shape, name: str, path: str, given: Mapping[str, Any], may_be_secret: bool
    ) -> dict[str, Any]:
        resolved: dict[str, Any] = {}
        for key, each in given.items():
            at = f"{path}[{key!r}]"
            value = await self._value(inner, name, at, each, may_be_secret)
            if value is None and inner.kind is str:
                self.parsed.tell(_no_value(at))
            elif value is not _LEFT_OUT:
                resolved[key] = value
        return resolved

    async def _awaited(
        self, shape: Shape, name: str, path: str, output: pulumi.Output[Any], may_be_secret: bool
    ) -> Any:
        self.outputs.add(path)
        if await output.is_secret():
            if may_be_secret:
                return None if await output.is_known() and await output.future() is None else Secret(output)
            expected = "a value that is no secret, as all who see what it names see it"
            remedy = "If it is none, say so: pulumi.Output.unsecret(…)"
            self.exposed_secrets.append(Problem(path, None, expected, remedy))
            return _LEFT_OUT
        if not await output.is_known():
            return self._unknown.setdefault(id(output), Unknown(output))
        if pulumi.runtime.is_dry_run() and await _is_made_here(output):
            self.made.add(path)
        value = await output.future()
        return None if value is None else _within(self.parsed, shape, name, path, value)


async def _is_made_here(output: pulumi.Output[Any]) -> bool:
    # What another stack has made is there.
    return any(not isinstance(each, pulumi.StackReference) for each in await output.resources())


def parse(component: str, args: type, given: Mapping[str, Any]) -> Parsed:
    """What was given for the TypedDict ``args``; never with a value that may be secret in a problem."""
    shape = shape_of(args)
    parsed = Parsed(component, shape)
    parsed.tree = _record(parsed, shape, "", given)
    return parsed


def resolve(parsed: Parsed) -> pulumi.Output[Resolved]:
    """The arguments resolved; never unknown, however much in them is, and with the dependencies of all."""
    return always_known(parsed.resolved(), parsed.dependencies())


def dependencies_of(parsed: Parsed) -> pulumi.Output[None]:
    """An Output with the dependencies of all arguments; it has no value of its own."""

    async def nothing() -> None:
        return None

    return always_known(nothing(), parsed.dependencies())


def to_input(value: Any) -> Any:
    """The value as a resource takes it: what is hidden as the Output that it came as, at every depth."""
    if isinstance(value, Hidden):
        return pulumi.Output.from_input(pulumi.UNKNOWN) if value.source is None else value.source
    if isinstance(value, Mapping):
        return {key: to_input(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_input(inner) for inner in value]
    return value


# Where nothing that can be understood was given.
_LEFT_OUT: Any = object()
_TEXT = Shape(str)


def _record(parsed: Parsed, shape: Shape, path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    fields, kept = shape.fields or {}, dict[str, Any]()
    for name, value in given.items():
        at = f"{path}.{name}" if path else str(name)
        if name not in fields:
            parsed.problems.append(_unknown_name(at, str(name), tuple(fields), parsed.component))
        elif value is not None and (read := _within(parsed, fields[name], name, at, value)) is not _LEFT_OUT:
            kept[name] = read
    return kept


def _within(parsed: Parsed, shape: Shape, name: str, path: str, given: Any) -> Any:
    """The value at ``path``, the argument ``name``, as far as it is understood; `_LEFT_OUT` where it is not."""
    if is_output(given):
        if shape.may_be_output:
            return parsed.output(given)
        parsed.tell(_no_output(shape, name, path))
        return _LEFT_OUT
    if shape.kind is list:
        if isinstance(given, (list, tuple)):
            return _entries(parsed, shape.inner or _TEXT, name, path, given)
        parsed.tell(Problem(path, _shown(name, given), f"a list, such as {EXAMPLES[name]}"))
        return _LEFT_OUT
    if shape.kind is dict:
        if not isinstance(given, Mapping):
            parsed.tell(Problem(path, _shown(name, given), f"names and values, such as {EXAMPLES[name]}"))
            return _LEFT_OUT
        if shape.fields is not None:
            return _record(parsed, shape, path, given)
        return _mapping(parsed, shape.inner or _TEXT, name, path, given)
    if name in _NUMBERED and isinstance(given, (int, float)) and not isinstance(given, bool):
        return number_text(given)
    return given


def is_output(value: object) -> bool:
    """Whether a value is there only later: an Output, something awaited, or what a preview does not know yet."""
    return isinstance(value, (pulumi.Output, Awaitable)) or value is pulumi.UNKNOWN


def _entries(parsed: Parsed, shape: Shape, name: str, path: str, given: Sequence[Any]) -> list[Any]:
    """The entries; one that is none becomes an empty one, so that the others keep their indices."""
    kept: list[Any] = []
    for index, entry in enumerate(given):
        at = f"{path}[{index}]"
        fits = is_output(entry) or (isinstance(entry, Mapping) if shape.holds else entry is not None)
        if not fits:
            parsed.tell(Problem(at, _shown(name, entry), f"an entry as in {EXAMPLES[name]}"))
        value = _within(parsed, shape, name, at, entry) if fits else _LEFT_OUT
        empty: Any = {} if shape.holds else ""
        kept.append(empty if value is _LEFT_OUT else value)
    return kept


def _mapping(parsed: Parsed, shape: Shape, name: str, path: str, given: Mapping[Any, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in given.items():
        # A version may be written as a number everywhere.
        text = str(key) if name == "traffic" else key
        at = f"{path}[{text!r}]"
        if value is None and shape.kind is str:
            parsed.tell(_no_value(at))
        elif value is None or (read := _within(parsed, shape, name, at, value)) is not _LEFT_OUT:
            kept[text] = None if value is None else read
    return kept


def _no_value(path: str) -> Problem:
    remedy = "Give it one (os.environ.get() has None for a variable that is not set), or leave it out"
    return Problem(path, None, "a string, and not None", remedy)


def _no_output(shape: Shape, name: str, path: str) -> Problem:
    instead = "What is declared depends on its {}: give {} as Outputs instead"
    if path.endswith("]"):
        expected = f"an entry as in {EXAMPLES[name]}"
        remedy = "What is declared depends on its names: give each value in it as an Output instead"
    elif shape.kind is list:
        expected, remedy = f"a list, such as {EXAMPLES[name]}", instead.format("entries", "the values in them")
    elif shape.kind is dict:
        expected = f"names and values, such as {EXAMPLES[name]}"
        remedy = "What is declared depends on its names: give each value as an Output instead"
    else:
        expected = "a plain value"
        remedy = "What is declared depends on it: take it from the stack's configuration, for example"
    return Problem(path, None, f"{expected}, and not an Output", remedy)


def _shown(name: str, value: object) -> object:
    """The value for an error; None where it may be a secret, or hold one."""
    if name == "versions" and isinstance(value, _PLAIN):
        return value
    return None if name in _AROUND_SECRETS else value


def _unknown_name(path: str, name: str, names: tuple[str, ...], component: str) -> Problem:
    near = nearest(name, names)
    remedy = f"Did you mean {near}?" if near else "There is: " + ", ".join(names)
    return Problem(path, None, f"a name that {component} knows", remedy)


def number_text(value: object) -> str:
    """A version's number as text: numbers cross the engine's wire as doubles."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _wrong_types(shape: Shape, path: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, Hidden) or value is None:
        return
    if shape.fields is not None and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _wrong_types(shape.fields[name], f"{path}.{name}" if path else name, inner)
    elif shape.inner is not None and isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not key or "\0" in key:
                yield Problem(f"{path} key", key, "a string that is not empty and has no NUL character")
            yield from _wrong_types(shape.inner, f"{path}[{key!r}]", inner)
    elif shape.inner is not None and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _wrong_types(shape.inner, f"{path}[{index}]", inner)
    elif shape.kind is bool and not isinstance(value, bool):
        yield Problem(path, value, "True or False")
    elif shape.kind is str and not isinstance(value, str):
        shown = None if path.rpartition(".")[2] in _SECRETS else value
        remedy = f'Write "{value}"' if isinstance(shown, (int, float)) and not isinstance(shown, bool) else ""
        yield Problem(path, shown, "a string", remedy)
    elif shape.kind is str and "\0" in value:
        # The value is not shown: it may be a secret that a program read from a file in plain text.
        yield Problem(path, None, "text without NUL characters", "Take them out: no process and no API takes them")


def _not_yet(value: Any) -> Any:
    if isinstance(value, pulumi.Output):
        return Unknown(value)
    if isinstance(value, Mapping):
        return {key: _not_yet(inner) for key, inner in value.items()}
    return list(map(_not_yet, value)) if isinstance(value, list) else value


def outputs_in(value: object) -> Iterator[pulumi.Output[Any]]:
    """Every Output in a value, at every depth."""
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from outputs_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from outputs_in(inner)
