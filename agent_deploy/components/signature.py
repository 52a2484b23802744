"""How a component takes its arguments: one dict. Others, such as arguments by keyword, are told."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from agent_deploy.components.errors import ArgumentsError
from agent_deploy.rules.known_arguments import unknown_names
from agent_deploy.rules.problems import Problem

P = ParamSpec("P")
Self = TypeVar("Self")

_PARAMETERS = frozenset({"name", "args", "opts"})
_MISSING = object()


def takes_one_dict(
    construct: Callable[Concatenate[Self, P], None],
) -> Callable[Concatenate[Self, P], None]:
    """For a component's ``__init__(name, args, opts)``, whose signature stays: others are an ArgumentsError."""

    @functools.wraps(construct)
    def checked(self: Self, *given: P.args, **named: P.kwargs) -> None:
        component = type(self).__name__
        if strange := [name for name in named if name not in _PARAMETERS]:
            raise _no_dict(component, f"not by keyword ({', '.join(strange)})", f'{{"{strange[0]}": …}}')
        args = given[1] if len(given) > 1 else named.get("args", _MISSING)
        if not isinstance(args, Mapping):
            raise _no_dict(component, _told_of(args), "{…}")
        construct(self, *given, **named)

    return checked


def _told_of(args: object) -> str:
    # By its type alone: there may be secrets in it.
    if args is _MISSING:
        return "and there is none"
    return "and not None" if args is None else f"and not as a value of type {type(args).__name__}"


def _no_dict(component: str, why: str, example: str) -> ArgumentsError:
    return ArgumentsError(
        f'{component} takes its arguments as one dict, {why}: write {component}("name", {example}, opts)'
    )


def check_names(component: str, shape: Any, given: Mapping[str, Any]) -> Iterator[Problem]:
    """Names that ``shape``, the arguments' TypedDict, does not have, and those that it cannot do without."""
    yield from unknown_names("", given, tuple(shape.__annotations__), component)
    for name in sorted(shape.__required_keys__):
        if given.get(name) is None:
            yield Problem(name, None, f"a value: {component} cannot do without")
