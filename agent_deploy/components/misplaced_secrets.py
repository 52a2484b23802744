"""Secrets among arguments that are kept nowhere: told by their fields, before anything is told of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from agent_deploy.rules.problems import Problem

_MAY_BE_SECRET = ("environment", "client_secret")
_KEYED_BY_USER = ("tags", "traffic")


async def misplaced_secrets(args: Mapping[str, Any]) -> list[Problem]:
    """Each secret where none can be kept; a single one would make secrets of all that is declared."""
    expected = "a value that is no secret, as all who see what it names see it"
    return [
        Problem(field, None, expected, "If it is none, say so: pulumi.Output.unsecret(…)")
        for field, value in _outputs("", args)
        if await value.is_secret()
    ]


def _outputs(field: str, value: object) -> Iterator[tuple[str, pulumi.Output[Any]]]:
    """The Outputs in the arguments, each with its field; those that may be secrets are left out."""
    if isinstance(value, pulumi.Output):
        yield field, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _MAY_BE_SECRET:
                within = f"{field}[{key!r}]" if field in _KEYED_BY_USER else f"{field}.{key}" if field else str(key)
                yield from _outputs(within, inner)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _outputs(f"{field}[{index}]", inner)
