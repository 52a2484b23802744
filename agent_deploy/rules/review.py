"""Who may use the endpoint and review the agent: the two lists of a deployment's arguments made into one.

What a reviewer needs: to ask the agent, CAN_QUERY on the endpoint; to see its traces and write assessments on them,
CAN_EDIT on the experiment, MLflow's least level that writes. Source: Databricks, "Review App" and "MLflow experiment
ACLs". (databricks.agents gives CAN_READ there, from the time when assessments went into an inference table.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.values import Unknown, is_known

ENDPOINTS, EXPERIMENTS = "serving-endpoints", "experiments"
ENDPOINT_LEVEL, EXPERIMENT_LEVEL = "CAN_QUERY", "CAN_EDIT"
PERMISSION_LEVELS = ("CAN_VIEW", "CAN_QUERY", "CAN_MANAGE")  # source: Databricks, serving endpoint ACLs
# Argument that names a principal → its kind in the permissions API.
PRINCIPAL_KINDS = {"user_name": "user", "group_name": "group", "service_principal_name": "service_principal"}
PRINCIPAL_FIELDS = tuple(PRINCIPAL_KINDS)
# The arguments that name a principal of one kind only, an existing service principal's besides.
KINDS_BY_FIELD = {**PRINCIPAL_KINDS, "application_id": "service_principal"}


@dataclass(frozen=True)
class Access:
    """One principal's level on the endpoint; ``field`` is the argument that names it, ``path`` where that stands.

    ``is_output``: the name comes from another resource, so that nothing can be named after it.
    """

    field: str
    principal: str | Unknown
    level: str | Unknown | None
    path: str = ""
    is_output: bool = False

    @property
    def kind(self) -> str:
        """user, group or service_principal."""
        return PRINCIPAL_KINDS[self.field]

    @property
    def named(self) -> tuple[str, object]:
        """Who it is; one that is not known yet is nobody else."""
        return self.field, self.principal


@dataclass(frozen=True)
class Reviewing:
    """Whether the agents service knows the deployment (as deploy() does it, unless it is turned off), and for whom."""

    enabled: bool = True
    reviewers: tuple[Access, ...] = ()
    instructions: str | Unknown | None = None


def endpoint_access(permissions: Sequence[Access], reviewers: Sequence[Access]) -> list[Access]:
    """Both lists in one: each principal once, with the highest of its levels."""
    found: dict[tuple[str, object], list[Access]] = {}
    for access in (*permissions, *(replace(reviewer, level=ENDPOINT_LEVEL) for reviewer in reviewers)):
        found.setdefault(access.named, []).append(access)
    return [replace(same[0], level=_highest([access.level for access in same])) for same in found.values()]


def reviewing_access(permissions: Sequence[Access], reviewers: Sequence[Access]) -> list[Access]:
    """The reviewers, each with the level that both lists together give it on the endpoint."""
    levels = {access.named: access.level for access in endpoint_access(permissions, reviewers)}
    return [replace(reviewer, level=levels[reviewer.named]) for reviewer in reviewers]


def _highest(levels: Sequence[str | Unknown | None]) -> str | Unknown:
    for level in levels:
        if isinstance(level, Unknown):
            return level
    return OBJECT_TYPES[ENDPOINTS].highest({str(level) for level in levels}) or ENDPOINT_LEVEL


def check_access(args: Mapping[str, Any]) -> list[Problem]:
    """Problems of ``permissions`` and ``review_app``."""
    problems = []
    for index, permission in enumerate(args.get("permissions") or ()):
        problems += _check_permission(f"permissions[{index}]", permission)
    review_app = args.get("review_app") or {}
    problems += _check_reviewers(review_app.get("reviewers") or ())
    if review_app.get("enabled") is False:
        for name in ("reviewers", "instructions"):
            if review_app.get(name):
                expected = "nothing, as review_app.enabled is false"
                problems.append(Problem(f"review_app.{name}", None, expected, "Take it out, or enable the Review App"))
    return problems


def _named(entry: Mapping[str, Any]) -> tuple[str, Any]:
    named = next((field, entry[field]) for field in PRINCIPAL_FIELDS if entry.get(field))
    return named if isinstance(named[1], Unknown) else (named[0], str(named[1]))


def _check_reviewers(given: Sequence[Mapping[str, Any]]) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[tuple[str, Any]] = set()
    for index, reviewer in enumerate(given):
        field = f"review_app.reviewers[{index}]"
        if of_principal := _check_principal(field, reviewer):
            problems += of_principal
        elif (named := _named(reviewer)) in seen:
            problems.append(Problem(field, named[1], "each reviewer once", "Take the repetition out"))
        elif named == ("group_name", ADMINS):
            problems.append(Problem(f"{field}.group_name", ADMINS, "another group", "The admins may review anyhow"))
        else:
            seen.add(named)
    return problems


def _check_permission(field: str, permission: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if is_known(level := permission.get("level")) and level not in PERMISSION_LEVELS:
        problems.append(not_one_of(f"{field}.level", level, PERMISSION_LEVELS))
    return problems + _check_principal(field, permission)


def _check_principal(field: str, entry: Mapping[str, Any]) -> list[Problem]:
    given = [name for name in PRINCIPAL_FIELDS if entry.get(name)]
    if len(given) == 1:
        return []
    return [Problem(field, ", ".join(given) or None, "exactly one of " + ", ".join(PRINCIPAL_FIELDS))]
