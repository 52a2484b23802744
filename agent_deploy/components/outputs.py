"""Outputs joined without what `pulumi.Output.all` costs: an Output and a task for each value in every dict and list."""

from collections.abc import Callable
from typing import Any

import pulumi


def join(function: Callable[..., Any], *outputs: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """What ``function`` makes of their values; unknown as long as one of them is."""
    first, *rest = outputs
    if not rest:
        return first.apply(function)
    return first.apply(lambda value: join(lambda *others: function(value, *others), *rest))


def of_its_own(output: pulumi.Output[Any], function: Callable[[Any], Any]) -> pulumi.Output[Any]:
    """What ``function`` makes of it, for a result that holds Outputs.

    When Pulumi serializes such a result, it adds what these depend on to the result's set of dependencies; and an
    Output made by `apply` shares that set with the one it was made of, and so with all others made of that one. They
    would depend on more or less, according to which is serialized first, and a run would not hold to its plan.
    """
    return join(lambda value, _: function(value), output, pulumi.Output.from_input(None))
