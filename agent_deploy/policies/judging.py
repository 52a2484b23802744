"""Judges resources by all policies, as a team has set them: for reports, for `agent-deploy check`, for the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from agent_deploy.policies.catalogue import BY_ID, POLICIES
from agent_deploy.policies.policy import (
    ADVISORY,
    DISABLED,
    MANDATORY,
    REMEDIATE,
    SEVERITIES,
    Finding,
    Policy,
    Resource,
    Values,
    holds_in,
)
from agent_deploy.rules.problems import InvalidInput, Problem, not_one_of

# As the engine's policy configuration calls them.
LEVEL: Final = "enforcementLevel"
ALL: Final = "all"
LEVELS: Final = (*SEVERITIES, REMEDIATE)
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "array": (list, "a list of strings"),
    "object": (dict, "a map of strings"),
    "integer": (int, "a whole number"),
    "string": (str, "a string"),
}


@dataclass(frozen=True)
class Chosen:
    """A policy as a team has set it; ``level`` is one of LEVELS."""

    policy: Policy
    level: str
    settings: Values

    @property
    def severity(self) -> str:
        """How a finding counts: what is to be mended and is not, is refused."""
        return MANDATORY if self.level == REMEDIATE else self.level

    def applies(self, resource: Resource) -> bool:
        """Whether the policy judges this resource by itself."""
        wanted = self.level != DISABLED and resource.type in self.policy.types
        return wanted and holds_in(self.settings, resource.stack)


def choose(settings: Mapping[str, Any] | None = None) -> list[Chosen]:
    """All policies as the settings have them; raises InvalidInput that names each mistake.

    ``settings`` are those of Pulumi's policy configuration: policy id, or ``all`` for the level of every policy, →
    level, or a map of ``enforcementLevel`` and the policy's own settings.
    """
    given = settings or {}
    if problems := list(_problems(given)):
        raise InvalidInput(problems)
    every = _level(given.get(ALL))
    return [
        Chosen(
            policy,
            _level(given.get(policy.id)) or every or policy.severity,
            {**policy.defaults, **_own(given.get(policy.id))},
        )
        for policy in POLICIES
    ]


def judge(resources: Sequence[Resource], settings: Mapping[str, Any] | None = None) -> list[Finding]:
    """What the policies have against the resources of one stack; what is mandatory stands first."""
    chosen = choose(settings)
    found = [finding for resource in resources for finding in judge_one(resource, chosen)]
    found += judge_stack(resources, chosen)
    order = {MANDATORY: 0, ADVISORY: 1}
    return sorted(found, key=lambda finding: (order[finding.severity], finding.policy.id))


def judge_one(resource: Resource, chosen: Sequence[Chosen]) -> list[Finding]:
    """By the policies that look at one resource."""
    return [
        Finding(each.policy, each.severity, resource, text)
        for each in chosen
        if each.policy.one is not None and each.applies(resource)
        for text in each.policy.one(resource, each.settings)
    ]


def judge_stack(resources: Sequence[Resource], chosen: Sequence[Chosen]) -> list[Finding]:
    """By the policies that look at a whole stack."""
    return [
        Finding(each.policy, each.severity, resource, text)
        for each in chosen
        if each.policy.all is not None and each.level != DISABLED
        for resource, text in each.policy.all(resources, each.settings)
        if holds_in(each.settings, resource.stack)
    ]


def mend(resource: Resource, chosen: Sequence[Chosen], today: date) -> Iterator[tuple[Policy, dict[str, Any]]]:
    """The properties that policies put in place of the resource's, where they are set to; maps are added to."""
    for each in chosen:
        wanted = each.level == REMEDIATE and each.applies(resource)
        if wanted and each.policy.mend and (mended := each.policy.mend(resource, each.settings, today)):
            yield each.policy, mended


def changed(properties: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with what `mend` gives: maps are added to, whatever else is replaced."""
    result = dict(properties)
    for name, value in changes.items():
        result[name] = {**(result.get(name) or {}), **value} if isinstance(value, Mapping) else value
    return result


def _level(given: Any) -> str | None:
    level = given.get(LEVEL) if isinstance(given, Mapping) else given
    return None if level is None else str(level)


def _own(given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != LEVEL} if isinstance(given, Mapping) else {}


def _problems(given: Mapping[str, Any]) -> Iterator[Problem]:
    for id, value in given.items():
        if id != ALL and id not in BY_ID:
            yield not_one_of("policies", id, BY_ID)
            continue
        if (level := _level(value)) is not None and level not in LEVELS:
            yield not_one_of(f"policies.{id}", level, LEVELS)
        for name, setting in _own(value).items():
            yield from _setting_problems(id, name, setting)


def _setting_problems(id: str, name: str, value: Any) -> Iterator[Problem]:
    schemas = {setting.name: setting.schema for setting in BY_ID[id].settings} if id in BY_ID else {}
    if name not in schemas:
        yield not_one_of(f"policies.{id}", name, [LEVEL, *schemas])
        return
    kind, expected = _TYPES[schemas[name]["type"]]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not isinstance(value, kind) or isinstance(value, bool) or not all(isinstance(item, str) for item in items):
        yield Problem(f"policies.{id}.{name}", value, expected)
    elif isinstance(value, int) and value < schemas[name].get("minimum", value):
        yield Problem(f"policies.{id}.{name}", value, f"{schemas[name]['minimum']} or more")
