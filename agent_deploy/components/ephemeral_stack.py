"""Makes an agent of an ephemeral stack what it is there, whatever its program says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pulumi

from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.parsing import Parsed
from agent_deploy.rules import ephemeral
from agent_deploy.rules.problems import InvalidInput, Problem


def of_stack(kind: str, name: str) -> ephemeral.Ephemeral | None:
    """What the stack's file says; None in a stack that stays. Raises DeploymentError for what it must not say."""
    given = pulumi.Config(ephemeral.NAMESPACE).get_object(ephemeral.KEY)
    if given is None:
        return None
    try:
        return ephemeral.read(given)
    except InvalidInput as error:
        raise DeploymentError.of(kind, name, error.problems) from None


def adapted(parsed: Parsed, of: ephemeral.Ephemeral | None) -> Parsed:
    """The arguments of an AgentDeployment as they are in this stack."""
    return parsed if of is None else replace(parsed, tree=ephemeral.adapted(parsed.tree, of, _lift))


def with_own_names(parsed: Parsed, of: ephemeral.Ephemeral | None, *arguments: str) -> Parsed:
    """The arguments of a component, those of them that name what it makes with this stack's suffix."""
    if of is None:
        return parsed
    own = {each: _lift(of.name, parsed.tree[each]) for each in arguments if parsed.tree.get(each)}
    return replace(parsed, tree={**parsed.tree, **own})


def removable(opts: pulumi.ResourceOptions | None, of: ephemeral.Ephemeral | None) -> pulumi.ResourceOptions | None:
    """A component's options; nothing of an ephemeral stack is protected or kept."""
    if of is None or opts is None:
        return opts
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=False, retain_on_delete=False))


def refuse(kind: str, name: str, of: ephemeral.Ephemeral | None) -> None:
    """For what belongs to the endpoint of somebody else, whose tables would go with this stack."""
    if of is not None:
        expected = f"an AgentDeployment, whose names are this stack's own: {ephemeral.FULL_KEY} is set"
        remedy = f"Declare {kind} only where pulumi.Config({ephemeral.NAMESPACE!r}).get({ephemeral.KEY!r}) is None"
        raise DeploymentError.of(kind, name, [Problem("endpoint_name", None, expected, remedy)])


def _lift(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, pulumi.Output):
        return value.apply(lambda known: _lift(function, known))
    # Anything else is told as it was given.
    return function(value) if isinstance(value, str | Mapping) else value
