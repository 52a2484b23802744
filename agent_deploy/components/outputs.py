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
