"""How a component takes its arguments: by keyword, or as one dict. Others are told."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from agent_deploy.components.errors import ArgumentsError

_MISSING: Any = object()


def takes_keywords(construct: Callable[..., None]) -> Callable[..., None]:
    """For a component's ``__init__(name, args, opts)``, which Pulumi reads: keywords become the one dict."""

    @functools.wraps(construct)
    def checked(self: Any, name: str, args: Any = _MISSING, opts: Any = None, **keywords: Any) -> None:
        component = type(self).__name__
        if args is _MISSING:
            args = keywords
        elif keywords:
            named = ", ".join(keywords)
            raise ArgumentsError(f"{component} takes its arguments by keyword or as one dict, not both: {named}")
        if not isinstance(args, Mapping):
            # By its type alone: there may be secrets in it.
            given = "None" if args is None else f"a value of type {type(args).__name__}"
            how = f'write {component}("name", …=…, opts=…)'
            raise ArgumentsError(
                f"{component} takes its arguments by keyword or as one dict, and not as {given}: {how}"
            )
        construct(self, name, args, opts)

    return checked
