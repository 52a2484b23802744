"""May the deployer do all that a deployment needs? From what is known of each object to the list of what is missing.

Objects form a tree: catalog, schema, what lies in it; an object of the workspace stands alone. Whatever is asked of an
object is asked from the top: one that is missing answers for all beneath it, one that is closed for what it hides.
Everything is decided from facts; provider/workspace/permission_facts.py gathers them.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agent_deploy.rules import findings
from agent_deploy.rules.findings import Finding, Rule
from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.requirements import ENDPOINT_ENTITLEMENT, SECRET_SCOPE, WORKSPACE, WORKSPACE_ADMIN, Need
from agent_deploy.rules.resource_kinds import KINDS, Access, Target, WorkspaceObject
from agent_deploy.rules.unity_catalog import ALL_PRIVILEGES, MANAGE, NOT_IN_ALL, USE_CATALOG, USE_SCHEMA, Securable

METASTORE = Securable("metastore", "metastore")
SCOPE_LEVELS: Mapping[str, frozenset[str]] = {
    "READ": frozenset({"READ"}),
    "WRITE": frozenset({"READ", "WRITE"}),
    "MANAGE": frozenset({"READ", "WRITE", "MANAGE"}),
}
# How GRANT calls a securable. Source: Databricks SQL language reference, "Securable objects"; a model is a function.
_SQL_NAMES = {"model_service": "MODEL SERVICE"}
# Right in the workspace → the rule, what is wrong without it, and the way out; {} is who deploys.
_RIGHTS: Mapping[str, tuple[Rule, str, str]] = {
    WORKSPACE_ADMIN: (
        findings.ADMIN,
        "{} is not a workspace admin and cannot create service principals",
        f"Add {{}} to the group {ADMINS}, or give the agent a service principal that exists",
    ),
    ENDPOINT_ENTITLEMENT: (
        findings.ENTITLEMENT,
        "{} lacks the entitlement without which nobody creates or changes endpoints",
        f"Have a workspace admin give {ENDPOINT_ENTITLEMENT} to {{}} or to one of its groups",
    ),
}


@dataclass(frozen=True)
class Principal:
    """Whose privileges are looked at. ``identities`` are lower-case: its own name and those of its groups."""

    name: str
    kind: str  # "user", "service_principal" or "group"
    identities: frozenset[str]
    # Whether it is the one who asks, so that answers about "your level" are about it.
    is_caller: bool = True
    # None: the workspace tells nothing about entitlements.
    entitlements: frozenset[str] | None = None


class Presence(enum.Enum):
    """What is known of an object."""

    FOUND = "found"
    MISSING = "missing"
    HIDDEN = "hidden"  # may exist; whoever asked may not see it
    UNREADABLE = "unreadable"  # exists; who may do what with it cannot be read


@dataclass(frozen=True)
class Held:
    """What a principal has on one object: privileges or levels, by whatever way, ownership told apart."""

    presence: Presence
    privileges: frozenset[str] = frozenset()
    owns: bool = False
    # Owns something around it, and so may give out privileges on it.
    owns_parent: bool = False
    # What everybody has anyhow, out of the group of all users of the account.
    open_to_all: frozenset[str] = frozenset()
    # By principal (lower case), what was granted on this very object; None: the workspace does not tell of others.
    granted: Mapping[str, frozenset[str]] | None = None
    id: str = ""  # by which the permissions API knows a workspace object
    message: str = ""


Facts = Mapping[Target, Held]


@dataclass(frozen=True)
class Failure:
    """One thing that is missing or unverified, and how to mend it; ``at`` is the object in the tree."""

    rule: Rule
    at: Target
    object: str
    kind: str
    privilege: str
    principal: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.object}: {self.reason}. {self.remedy} [{self.rule.id}]"

    def shown(self) -> dict[str, str]:
        """For whoever reads JSON."""
        told = {key: str(value) for key, value in vars(self).items() if key not in ("rule", "at")}
        return {"id": self.rule.id, **told}


class Outcome(enum.Enum):
    """Of one check."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    object: str
    kind: str
    privilege: str
    outcome: Outcome

    def shown(self) -> dict[str, Any]:
        """For whoever reads JSON."""
        return {**asdict(self), "outcome": self.outcome.value}


@dataclass
class Verdict:
    """``unverified`` holds what could not be told either way, in the form of a failure."""

    checks: list[Check] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unverified: list[Failure] = field(default_factory=list)
    missing: frozenset[Target] = frozenset()

    def answers(self, finding: Finding) -> bool:
        """Whether something at or around what the finding is about is missing, or is closed and hides it."""
        if finding.at is None:
            return False
        path = path_of(finding.at)
        closed = {failure.at for failure in self.failures} if finding.hidden else ()
        return any(each in self.missing or each in closed for each in path)


def path_of(target: Target) -> tuple[Target, ...]:
    """From the top of the tree down to the object."""
    return (*reversed(target.parents), target) if isinstance(target, Securable) else (target,)


def satisfied(target: Target, privilege: str, held: Held) -> bool:
    """Whether what is held includes the privilege or level."""
    if target == WORKSPACE:
        return privilege in held.privileges
    if isinstance(target, WorkspaceObject):
        if target.type == SECRET_SCOPE:
            return any(privilege in SCOPE_LEVELS.get(level, ()) for level in held.privileges)
        return any(OBJECT_TYPES[target.type].allows(level, privilege) for level in held.privileges)
    if held.owns or privilege in held.privileges:
        return True
    if privilege == MANAGE:
        return held.owns_parent
    return ALL_PRIVILEGES in held.privileges and privilege not in NOT_IN_ALL


def in_workspace(principal: Principal) -> Held:
    """What it may do in the workspace as a whole."""
    is_admin = ADMINS in principal.identities
    # Where nothing is told of entitlements, nothing is said against them.
    entitled = is_admin or principal.entitlements is None or ENDPOINT_ENTITLEMENT in principal.entitlements
    rights = {WORKSPACE_ADMIN: is_admin, ENDPOINT_ENTITLEMENT: entitled}
    return Held(Presence.FOUND, frozenset(right for right, holds in rights.items() if holds))


def verdict(wanted: Sequence[Need], facts: Facts, principal: Principal) -> Verdict:
    """What is missing, all of it; an object that is not there is told once, with all that it is missing for."""
    result = Verdict(missing=frozenset(target for target, held in facts.items() if _is_missing(held)))
    beneath: dict[Target, list[Need]] = {}
    for need in wanted:
        if (gone := _gone(need, facts)) is not None:
            beneath.setdefault(gone, []).append(need)
    for need in wanted:
        gone = _gone(need, facts)
        if gone is None:
            outcome, told = _judge(need, facts, principal)
        else:
            outcome, told = Outcome.NO, _missing(gone, beneath.pop(gone, ()), principal)
        result.checks.append(Check(need.shown, need.kind, words(need.access.privilege), outcome))
        if told:
            (result.unverified if outcome is Outcome.UNKNOWN else result.failures).append(told)
    return result


def open_to_all(wanted: Iterable[Need], facts: Facts) -> list[Access]:
    """Privileges that every user of the account has anyhow, so that nobody must be given them."""
    accesses = (need.access for need in wanted if isinstance(need.access.target, Securable))
    found = {
        each: None
        for each in accesses
        if each.target in facts and {each.privilege, ALL_PRIVILEGES} & facts[each.target].open_to_all
    }
    return list(found)


def _is_missing(held: Held | None) -> bool:
    return held is not None and held.presence is Presence.MISSING


def _gone(need: Need, facts: Facts) -> Target | None:
    """The highest object on the way to what is needed, itself included, that is not there and should be."""
    target = need.access.target
    return next((e for e in path_of(target) if _is_missing(facts.get(e)) and not (need.creates and e == target)), None)


def _missing(gone: Target, beneath: Sequence[Need], principal: Principal) -> Failure | None:
    """What is not there, for all that is needed beneath it; None when that is told already."""
    if not beneath:
        return None
    named: dict[Target, Need] = {}
    for need in beneath:
        if need.purpose:
            named.setdefault(need.access.target, need)
    first = next(iter(named.values()), beneath[0])
    reason = f"{gone} does not exist" if set(named) - {gone} else "it does not exist"
    objects = ", ".join(need.shown for need in named.values()) or str(gone)
    remedy = "Create it, or correct the name where it is declared"
    privilege = words(first.access.privilege)
    return Failure(findings.MISSING, gone, objects, first.kind, privilege, principal.name, reason, remedy)


def _judge(need: Need, facts: Facts, principal: Principal) -> tuple[Outcome, Failure | None]:
    target, privilege = need.access.target, need.access.privilege
    held = facts[target]
    is_open = need.gives and not need.receivers and {need.gives, ALL_PRIVILEGES} & held.open_to_all
    has_all = need.receivers and not _without(need, held, principal)
    if _is_missing(held) or is_open or has_all:
        return Outcome.YES, None
    if satisfied(target, privilege, held):
        kind = KINDS.get(need.kind)
        if kind is None or not kind.beyond or privilege != kind.deployer:
            return Outcome.YES, None
        remedy = "If the agent is refused, look there"
        return Outcome.UNKNOWN, _failure(findings.BEYOND, need, principal, kind.beyond, remedy)
    remedy = _remedy(need, held, principal)
    if held.presence is Presence.UNREADABLE:
        why = f"whether {principal.name} has {words(privilege)} cannot be read"
        reason = f"{why} ({held.message})" if held.message else why
        return Outcome.UNKNOWN, _failure(findings.UNREADABLE, need, principal, reason, f"If not: {remedy}")
    outcome = Outcome.UNKNOWN if need.receivers and held.granted is None else Outcome.NO
    rule, reason = _reason(need, held, facts, principal)
    return outcome, _failure(rule, need, principal, reason, remedy)


def _without(need: Need, held: Held, principal: Principal) -> list[str]:
    """Those of the receivers who were not granted what they are to be given, as far as that is told."""
    # Who deploys may be one of them, and has it by whatever way.
    own = principal.name.lower() if satisfied(need.access.target, need.gives, held) else ""
    return [
        name
        for name in need.receivers
        if need.gives not in (held.granted or {}).get(name.lower(), ()) and name.lower() != own
    ]


def _reason(need: Need, held: Held, facts: Facts, principal: Principal) -> tuple[Rule, str]:
    target, privilege, who = need.access.target, words(need.access.privilege), principal.name
    if target == WORKSPACE:
        rule, reason, _ = _RIGHTS[need.access.privilege]
        return rule, reason.format(who)
    lacks = f"{who} lacks {privilege}"
    if need.creates:
        is_scope = target.type == SECRET_SCOPE
        return findings.SCOPE if is_scope else findings.TAKEN, f"it exists already, and {lacks}"
    if need.receivers and held.granted is None:
        return findings.RECEIVERS, f"{lacks}, and whether they have {words(need.gives)} cannot be read"
    if held.presence is not Presence.HIDDEN:
        of_target = findings.PRIVILEGE if isinstance(target, Securable) else findings.LEVEL
        return findings.RECEIVERS if need.receivers else of_target, lacks
    closed = next((each for each in path_of(target)[:-1] if each in facts and not _is_usable(each, facts[each])), None)
    if closed:
        return findings.HIDDEN, f"{who} may not see it while {closed} is closed to it, and so cannot show {privilege}"
    return findings.HIDDEN, f"it does not exist, or {who} may not see it and lacks {privilege}"


def _is_usable(around: Target, held: Held) -> bool:
    return satisfied(around, USE_CATALOG if around.type == "catalog" else USE_SCHEMA, held)


def _failure(rule: Rule, need: Need, principal: Principal, reason: str, remedy: str) -> Failure:
    privilege = words(need.access.privilege)
    return Failure(rule, need.access.target, need.shown, need.kind, privilege, principal.name, reason, remedy)


def words(privilege: str) -> str:
    """As GRANT and the permissions' pages write it: USE CATALOG, but CAN_USE."""
    return privilege if privilege.startswith(("CAN_", "IS_")) else privilege.replace("_", " ")


def _remedy(need: Need, held: Held, principal: Principal) -> str:
    target = need.access.target
    if target == WORKSPACE:
        return _RIGHTS[need.access.privilege][2].format(principal.name)
    if isinstance(target, Securable):
        theirs = [grant_statement(Access(target, need.gives), name) for name in _without(need, held, principal)]
        own = grant_statement(need.access, principal.name)
        return f"Its owner can mend it: {' and '.join(theirs)}; or {own}" if theirs else f"Its owner can mend it: {own}"
    if target.type == SECRET_SCOPE:
        return (
            "It may belong to somebody else: choose another scope, or have its manager run "
            f"`databricks secrets put-acl {target.name} {principal.name} {need.access.privilege}`"
        )
    entry = {f"{principal.kind}_name": principal.name, "permission_level": need.access.privilege}
    body = json.dumps({"access_control_list": [entry]})
    given = (
        f"Whoever manages it can give the permission: PATCH /api/2.0/permissions/{target.type}/"
        f"{held.id or target.name} {body}"
    )
    # An AgentDeployment's list of permissions is whole: what another way gave goes with its next `up`.
    declared = "; a stack that declares the endpoint gives it in its `permissions`, or takes it away"
    return f"{given}{declared}" if need.creates else given


def grant_statement(needed: Access, principal: str) -> str:
    """The GRANT that gives the privilege, quoted."""
    securable = needed.target
    assert isinstance(securable, Securable)
    kind = _SQL_NAMES.get(securable.type, securable.type.upper().replace("_", " "))
    name = ".".join(_quoted(level) for level in securable.name.split("."))
    return f"GRANT {words(needed.privilege)} ON {kind} {name} TO {_quoted(principal)}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
