"""Who may use the endpoint and review the agent: the two lists of a deployment's arguments made into one.

What a reviewer needs: to ask the agent, CAN_QUERY on the endpoint; to see its traces and write assessments on them,
CAN_EDIT on the experiment, MLflow's least level that writes. Source: Databricks, "Review App" and "MLflow experiment
ACLs". (databricks.agents gives CAN_READ there, from the time when assessments went into an inference table.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.rules.inference_tables import named_readers
from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.problems import Problem

ENDPOINTS, EXPERIMENTS = "serving-endpoints", "experiments"
ENDPOINT_LEVEL, EXPERIMENT_LEVEL = "CAN_QUERY", "CAN_EDIT"
PERMISSION_LEVELS = ("CAN_VIEW", "CAN_QUERY", "CAN_MANAGE")  # source: Databricks, serving endpoint ACLs
# Argument that names a principal → its kind in the permissions API.
PRINCIPAL_KINDS = {"user_name": "user", "group_name": "group", "service_principal_name": "service_principal"}
PRINCIPAL_FIELDS = tuple(PRINCIPAL_KINDS)
# The arguments that name a principal of one kind only, an existing service principal's besides.
KINDS_BY_FIELD = {**PRINCIPAL_KINDS, "application_id": "service_principal"}
ADMINS = "admins"  # may do everything anyhow; no access control list takes them


@dataclass(frozen=True)
class Access:
    """One principal's level on the endpoint; ``field`` is the argument that names it."""

    field: str
    principal: str
    level: str

    @property
    def kind(self) -> str:
        """user, group or service_principal."""
        return PRINCIPAL_KINDS[self.field]


def is_registered(args: Mapping[str, Any]) -> bool:
    """Whether the agents service is to know the deployment; as deploy() does it, unless it is turned off."""
    return bool((args.get("review_app") or {}).get("enabled", True))


def endpoint_access(args: Mapping[str, Any]) -> list[Access]:
    """``permissions`` and the reviewers: each principal once, with the highest of its levels."""
    levels: dict[tuple[str, str], list[str]] = {}
    for permission in args.get("permissions") or ():
        levels.setdefault(_named(permission), []).append(str(permission["level"]))
    for reviewer in reviewers_of(args):
        levels.setdefault(_named(reviewer), []).append(ENDPOINT_LEVEL)
    rank = OBJECT_TYPES[ENDPOINTS]
    return [Access(*named, rank.highest(held) or ENDPOINT_LEVEL) for named, held in levels.items()]


def reviewers(args: Mapping[str, Any]) -> list[Access]:
    """The reviewers, each with the level that both lists together give it on the endpoint."""
    wanted = {_named(reviewer) for reviewer in reviewers_of(args)}
    return [access for access in endpoint_access(args) if (access.field, access.principal) in wanted]


def principals(args: Mapping[str, Any]) -> dict[str, Any]:
    """Every principal that the arguments name, by the place where they do: ``permissions[0].group_name``.

    The values may be Outputs.
    """
    lists = {"permissions": args.get("permissions") or (), "review_app.reviewers": reviewers_of(args)}
    found = {
        f"{place}[{index}].{field}": entry[field]
        for place, entries in lists.items()
        for index, entry in enumerate(entries)
        for field in PRINCIPAL_FIELDS
        if entry.get(field)
    }
    found |= dict(named_readers("inference_tables.", args.get("inference_tables") or {}))
    existing = args.get("service_principal") or {}
    if existing.get("application_id"):
        found["service_principal.application_id"] = existing["application_id"]
    return found


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


def reviewers_of(args: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The reviewers as the arguments name them."""
    return (args.get("review_app") or {}).get("reviewers") or ()


def _named(entry: Mapping[str, Any]) -> tuple[str, str]:
    return next((field, str(entry[field])) for field in PRINCIPAL_FIELDS if entry.get(field))


def _check_reviewers(given: Sequence[Mapping[str, Any]]) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[tuple[str, str]] = set()
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
    if permission.get("level") not in PERMISSION_LEVELS:
        problems.append(Problem(f"{field}.level", permission.get("level"), "one of " + ", ".join(PERMISSION_LEVELS)))
    return problems + _check_principal(field, permission)


def _check_principal(field: str, entry: Mapping[str, Any]) -> list[Problem]:
    given = [name for name in PRINCIPAL_FIELDS if entry.get(name)]
    if len(given) == 1:
        return []
    return [Problem(field, ", ".join(given) or None, "exactly one of " + ", ".join(PRINCIPAL_FIELDS))]
