"""Policies that a team sets in the stack's file, judged before a resource is registered, in any program of ours.

``agents:policies`` holds settings as `--policy-pack-config` takes them; an empty map is every policy as it is. The same
policies are a policy pack and part of a report: what is judged here are the same resources, by the same functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pulumi

from agent_deploy.resources.failures import program_error
from agent_deploy.resources.properties import always_known
from agent_deploy.rules.ephemeral import NAMESPACE
from agent_deploy.rules.problems import InvalidInput
from agent_deploy.rules.values import Hidden, Secret, Unknown

if TYPE_CHECKING:
    from agent_deploy.policies.judging import Chosen
    from agent_deploy.policies.policy import Finding, Resource

KEY: Final = "policies"
_SEEN = "_agent_deploy_judged"  # on the outermost component: its resources, and what is found of them


def judged(token: str, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> dict[str, Any]:
    """The inputs of a resource; where policies are set, they are there when none refuses it."""
    chosen = _chosen()
    if not chosen:
        return dict(inputs)
    seen = _seen_of(opts.parent if opts else None)
    verdict = always_known(_verdict(token, name, inputs, seen, chosen))
    if seen is not None:
        seen.verdicts.append(verdict)
    waiting = _first_that_can_wait(inputs)
    result = {**inputs, waiting: verdict.apply(lambda _: inputs[waiting])}
    for property in _mended(token, name, chosen):
        result[property] = _mend(verdict, property, inputs.get(property))
    return result


def judge_all(component: pulumi.Resource, outputs: Mapping[str, pulumi.Output[Any]]) -> dict[str, pulumi.Output[Any]]:
    """The outputs of a component, there when nothing refuses it: also by the policies that look at a whole stack."""
    chosen, seen = _chosen(), _seen_of(component)
    if not chosen or seen is None:
        return dict(outputs)
    verdict = always_known(_judge_stack(seen, list(outputs.values()), chosen))
    return {name: verdict.apply(lambda _, value=value: value) for name, value in outputs.items()}  # type: ignore[misc]


def _chosen() -> list[Chosen]:
    given = pulumi.Config(NAMESPACE).get_object(KEY)
    if given is None:
        return []
    # Here, not at the top: most programs have none.
    from agent_deploy.policies.judging import choose

    if not isinstance(given, Mapping):
        raise pulumi.RunError(f"{NAMESPACE}:{KEY}: expected policies by their ids, such as {{AGD001: mandatory}}")
    try:
        return choose(given)
    except InvalidInput as error:
        lines = "".join(f"\n  - {problem}" for problem in error.problems)
        raise pulumi.RunError(f"{NAMESPACE}:{KEY} cannot be understood:{lines}") from None


@dataclass
class _Component:
    """What is known of a component of ours that is in no other one."""

    urn: str
    type: str
    name: str
    resources: list[Resource] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    verdicts: list[pulumi.Output[dict[str, Any]]] = field(default_factory=list)


async def _verdict(
    token: str, name: str, inputs: Mapping[str, Any], seen: _Component | None, chosen: Sequence[Chosen]
) -> dict[str, Any]:
    """What is mended of the resource; raises RunError where a policy that is mandatory refuses it.

    In a preview, which creates nothing, a component's refusals are told together, at its end.
    """
    from agent_deploy.policies.judging import changed, judge_one, mend
    from agent_deploy.policies.policy import Resource

    known = {key: await _plain(value) for key, value in inputs.items()}
    own = Resource(token, name, known, _urn(token, name), seen.urn if seen else "")
    mended: dict[str, Any] = {}
    for _, changes in mend(own, chosen, date.today()):
        mended = changed(mended, changes)
    own = replace(own, properties=changed(known, mended))
    found = judge_one(own, chosen)
    if seen is not None:
        seen.resources.append(own)
    if seen is not None and pulumi.runtime.is_dry_run():
        seen.findings += found
    else:
        _tell(found)
    return mended


async def _judge_stack(seen: _Component, outputs: Sequence[pulumi.Output[Any]], chosen: Sequence[Chosen]) -> None:
    from agent_deploy.policies.judging import judge_stack
    from agent_deploy.policies.policy import Resource

    # What is declared late is in one of the outputs.
    await asyncio.gather(*(output.future() for output in outputs))
    await asyncio.gather(*(verdict.future() for verdict in seen.verdicts))
    of_component = Resource(seen.type, seen.name, {}, seen.urn)
    _tell([*seen.findings, *judge_stack([of_component, *seen.resources], chosen)])


def _tell(findings: Sequence[Finding]) -> None:
    from agent_deploy.policies.policy import MANDATORY

    refused = [str(each) for each in findings if each.severity == MANDATORY]
    for each in findings:
        if each.severity != MANDATORY:
            pulumi.log.warn(str(each))
    if refused:
        lines = "".join(f"\n  - {each}" for each in refused)
        raise program_error(pulumi.RunError(f"The stack's policies ({NAMESPACE}:{KEY}) refuse this:{lines}"))


def _mended(token: str, name: str, chosen: Sequence[Chosen]) -> list[str]:
    """The properties of a resource of this type that policies may mend, as they are set."""
    from agent_deploy.policies.policy import REMEDIATE, Resource

    own = Resource(token, name, {}, _urn(token, name))
    return [each.policy.mends for each in chosen if each.level == REMEDIATE and each.policy.mend and each.applies(own)]


def _mend(verdict: pulumi.Output[dict[str, Any]], property: str, given: Any) -> pulumi.Output[Any]:
    from agent_deploy.policies.judging import changed

    def mended(found: Mapping[str, Any]) -> Any:
        if property not in found:
            return given
        change = {property: found[property]}
        # Not all at once: what is not known yet within the value would hide all of it.
        if isinstance(given, pulumi.Output):
            return given.apply(lambda value: changed({property: value}, change)[property])
        return changed({property: given}, change)[property]

    return verdict.apply(mended)


async def _plain(value: Any) -> Any:
    """As policies look at it: without Outputs, what is secret or not known yet as such."""
    if isinstance(value, pulumi.Output):
        if not await value.is_known():
            return Unknown()
        found = await _plain(await value.future())
        return Secret(found) if await value.is_secret() and not isinstance(found, Hidden) else found
    if value is pulumi.UNKNOWN:
        return Unknown()
    if isinstance(value, Mapping):
        return {key: plain for key, each in value.items() if (plain := await _plain(each)) is not None}
    if isinstance(value, list | tuple):
        return [await _plain(each) for each in value]
    return await value if asyncio.isfuture(value) or asyncio.iscoroutine(value) else value


def _first_that_can_wait(inputs: Mapping[str, Any]) -> str:
    """One that is an Output of a text, or could be: in a map, what is not known yet would hide all the rest."""
    return next(name for name, value in inputs.items() if isinstance(value, str | bool | int | float | pulumi.Output))


def _seen_of(resource: pulumi.Resource | None) -> _Component | None:
    """Of the component of ours that the resource is in, and that is in no other one; None outside of any."""
    outermost: pulumi.Resource | None = getattr(resource, "outermost", None)
    if outermost is None:
        return None
    kind, name = outermost.pulumi_resource_type, outermost.pulumi_resource_name
    seen: _Component = outermost.__dict__.setdefault(_SEEN, _Component(_urn(kind, name), kind, name))
    return seen


def _urn(type: str, name: str) -> str:
    """As the engine writes it, without the types of what it is in."""
    return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{type}::{name}"
