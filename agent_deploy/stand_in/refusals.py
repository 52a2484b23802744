"""What the vendor's plugin says about inputs that it refuses before anything is sent, in its words."""

from __future__ import annotations

from collections.abc import Iterable

from agent_deploy.provider.plugin.resource import Context, Failure
from agent_deploy.stand_in.wire_names import snake_case


def missing(context: Context, field: str) -> Failure:
    """For a required input that is not there."""
    text = f'Missing required argument. The argument "{snake_case(field)}" is required, but no definition was found.'
    return _at(context, field, text)


def one_is_missing(context: Context, fields: Iterable[str]) -> Failure:
    """For inputs of which one has to be there."""
    names = sorted(map(snake_case, fields))
    first = min(fields, key=snake_case)
    return _at(context, first, f"exactly one of `{', '.join(names)}` must be specified")


def conflicts(context: Context, fields: Iterable[str]) -> list[Failure]:
    """For inputs of which only one may be there: each with each."""
    given = list(fields)
    return [
        _at(
            context,
            one,
            f'Conflicting configuration arguments. "{snake_case(one)}": conflicts with {snake_case(other)}',
        )
        for one in given
        for other in given
        if one != other
    ]


def too_few(context: Context, field: str, attribute: str) -> Failure:
    """For a list that is empty and may not be; ``attribute`` is its name in Terraform, a singular."""
    asked = f"Attribute {attribute} requires 1 item minimum, but config has only 0 declared."
    return _at(context, field, f"Not enough list items. {asked}")


def wrong(context: Context, field: str, text: str) -> Failure:
    """For a value that cannot be."""
    return _at(context, field, text)


def _at(context: Context, field: str, text: str) -> Failure:
    # The text is whole: an empty path puts nothing in front of it.
    return Failure("", f"{text}. Examine values at '{context.name}.{field}'.")
