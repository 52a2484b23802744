"""May the deployer do all that a deployment needs? From what is known of each object to the list of what is missing.

Everything is decided from facts; provider/permission_facts.py gathers them.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.inference_tables import READ_PRIVILEGES, run_privileges
from agent_deploy.rules.object_permissions import CAN_MANAGE, OBJECT_TYPES
from agent_deploy.rules.resources import KINDS, Access, Resource, Target, WorkspaceObject, deployer_access
from agent_deploy.rules.unity_catalog import ALL_PRIVILEGES, MANAGE, NOT_IN_ALL, Securable, requirements

# Source: Databricks, "Create custom model serving endpoints", identity and access.
ENDPOINT_ENTITLEMENT = "workspace-access"
METASTORE = Securable("metastore", "metastore")
# A secret scope has its own, simpler list. Source: Databricks, "Secret access control".
SECRET_SCOPE = "secret-scopes"
SCOPE_LEVELS: Mapping[str, frozenset[str]] = {
    "READ": frozenset({"READ"}),
    "WRITE": frozenset({"READ", "WRITE"}),
    "MANAGE": frozenset({"READ", "WRITE", "MANAGE"}),
}
# How GRANT calls a securable. Source: Databricks SQL language reference, "Securable objects"; a model is a function.
_SQL_NAMES = {"model_service": "MODEL SERVICE"}
_ITSELF = "it does not exist"


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


@dataclass(frozen=True)
class Requirements:
    """What the deployment itself needs, besides the resources; None or False: not needed."""

    model_name: str | None = None
    endpoint_name: str | None = None
    inference_schema: str | None = None  # catalog.schema of the inference tables
    secret_scopes: tuple[str, ...] = ()
    create_service_principal: bool = False
    grant: bool = False  # whether the deployer gives the agent its privileges himself
    skip_open: bool = False  # whether he leaves out what everybody has anyhow, and need not manage that
    sql_warehouse: str | None = None  # id of a SQL warehouse that is to be used
    feedback_schema: str | None = None  # catalog.schema in which the feedback model is to be registered
    experiment_id: str | None = None  # the MLflow experiment that others are let into
    readers: tuple[str, ...] = ()  # principals that are let read the inference tables
    run_as: str | None = None  # who derives them
    payload_table: str | None = None  # one that exists, from which they are derived


@dataclass(frozen=True)
class Need:
    """One privilege on one object. ``path``: only to get at what lies in it."""

    access: Access
    kind: str
    shown: str
    path: bool = False
    may_be_missing: bool = False
    # To give this privilege, unless everybody has it anyhow; or to these alone, unless each of them was granted it.
    gives: str = ""
    receivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """One thing that is missing, and how to mend it."""

    object: str
    kind: str
    privilege: str
    principal: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.object}: {self.reason}. {self.remedy}"


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


@dataclass
class Verdict:
    """``unverified`` holds what could not be told either way, in the form of a failure."""

    checks: list[Check] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unverified: list[Failure] = field(default_factory=list)


def needs(resources: Iterable[Resource], wanted: Requirements) -> list[Need]:
    """Everything to look at, each privilege on each object once, in the order of the declaration."""
    found: dict[tuple[Access, tuple[str, ...], str], Need] = {}
    for need in (*_of_resources(resources, wanted), *_of_deployment(wanted)):
        found.setdefault((need.access, need.receivers, need.gives if need.receivers else ""), need)
    return list(found.values())


def satisfied(target: Target, privilege: str, held: Held) -> bool:
    """Whether what is held includes the privilege or level."""
    if isinstance(target, WorkspaceObject):
        if target.type == SECRET_SCOPE:
            return any(privilege in SCOPE_LEVELS.get(level, ()) for level in held.privileges)
        return any(OBJECT_TYPES[target.type].allows(level, privilege) for level in held.privileges)
    if held.owns or privilege in held.privileges:
        return True
    if privilege == MANAGE:
        return held.owns_parent
    return ALL_PRIVILEGES in held.privileges and privilege not in NOT_IN_ALL


def verdict(wanted: Sequence[Need], facts: Mapping[Target, Held], principal: Principal, rest: Requirements) -> Verdict:
    """What is missing, all of it; ``rest`` are the requirements that are about no object of their own."""
    result, gone = Verdict(), set()
    for need in wanted:
        outcome, told = _judge(need, facts, principal)
        result.checks.append(Check(need.shown, need.kind, words(need.access.privilege), outcome))
        if told and _is_missing(facts[need.access.target]):
            if need.access.target in gone:
                continue  # once, however many privileges are wanted on it
            gone.add(need.access.target)
        if told:
            (result.unverified if outcome is Outcome.UNKNOWN else result.failures).append(told)
    result.failures += _untold(result.failures, wanted, facts, principal)
    for failure, holds in _workspace_wide(principal, rest):
        outcome = Outcome.YES if holds else Outcome.NO
        result.checks.append(Check(failure.object, failure.kind, failure.privilege, outcome))
        if not holds:
            result.failures.append(failure)
    return result


def open_to_all(wanted: Iterable[Need], facts: Mapping[Target, Held]) -> list[Access]:
    """Privileges that every user of the account has anyhow, so that nobody must be given them."""
    accesses = (need.access for need in wanted if isinstance(need.access.target, Securable))
    found = {
        each: None
        for each in accesses
        if each.target in facts and {each.privilege, ALL_PRIVILEGES} & facts[each.target].open_to_all
    }
    return list(found)


def together(failures: Iterable[Failure]) -> list[str]:
    """One line for each cause: what is missing around several objects is told once, with all of them."""
    objects: dict[tuple[str, ...], list[str]] = {}
    for failure in failures:
        own = (failure.object,) if failure.reason == _ITSELF else ()
        objects.setdefault((failure.reason, failure.remedy, *own), []).append(failure.object)
    return [f"{', '.join(named)}: {reason}. {remedy}" for (reason, remedy, *_), named in objects.items()]


def _of_resources(resources: Iterable[Resource], wanted: Requirements) -> Iterator[Need]:
    for resource in resources:
        needed = deployer_access(resource)
        yield from _needs(needed, resource.kind, str(resource))
        if not wanted.grant:
            continue
        # Whoever gives a privilege manages the object, and what is around it for USE CATALOG and USE SCHEMA.
        for each in needed:
            manage = CAN_MANAGE if isinstance(each.target, WorkspaceObject) else MANAGE
            is_own = each is needed[-1]
            kind, shown = (resource.kind, str(resource)) if is_own else (each.target.type, str(each.target))
            yield Need(Access(each.target, manage), kind, shown, gives=each.privilege if wanted.skip_open else "")


def _of_deployment(wanted: Requirements) -> Iterator[Need]:
    if wanted.model_name:
        securable = Securable.of("function", wanted.model_name)
        needed = [Access(each.securable, each.privilege) for each in requirements("EXECUTE", securable)]
        yield from _needs(needed, "model", f"Model {wanted.model_name}")
    created = (
        (wanted.inference_schema, "CREATE_TABLE", "inference tables"),
        (wanted.feedback_schema, "CREATE_MODEL", "feedback model"),
    )
    for schema, privilege, what in created:
        if schema:
            securable = Securable.of("schema", schema)
            needed = [Access(each.securable, each.privilege) for each in requirements(privilege, securable)]
            yield from _needs(needed, "schema", f"Schema {schema} ({what})")
    if wanted.inference_schema and wanted.readers:
        place = Securable.of("schema", wanted.inference_schema)
        for each in (*place.parents, place):
            shown = f"{each} (for the readers of the inference tables)"
            use = READ_PRIVILEGES[each.type]
            yield Need(Access(each, MANAGE), each.type, shown, gives=use, receivers=wanted.readers)
    if wanted.inference_schema and wanted.run_as:
        place = Securable.of("schema", wanted.inference_schema)
        table = (Securable.of("table", wanted.payload_table),) if wanted.payload_table else ()
        for each in (*place.parents, place, *table):
            shown = f"{each} (for run_as of the inference tables)"
            for privilege in run_privileges(each.type):
                yield Need(Access(each, MANAGE), each.type, shown, gives=privilege, receivers=(wanted.run_as,))
        if wanted.readers:
            # Whoever derives owns the tables, and only who manages what they are in lets others read them.
            yield Need(Access(place, MANAGE), "schema", f"{place} (for the readers of what run_as derives)")
    if wanted.sql_warehouse:
        warehouse = Resource("sql_warehouse", wanted.sql_warehouse)
        shown = f"{warehouse} (warehouse_id of the inference tables)"
        yield from _needs(deployer_access(warehouse), warehouse.kind, shown)
    if wanted.endpoint_name:
        target = WorkspaceObject("serving-endpoints", wanted.endpoint_name)
        shown = f"Serving endpoint {wanted.endpoint_name}"
        yield Need(Access(target, CAN_MANAGE), "serving_endpoint", shown, may_be_missing=True)
    if wanted.experiment_id:
        target = WorkspaceObject("experiments", wanted.experiment_id)
        who = "the agent's service principal" if wanted.grant else "the reviewers of the review app"
        shown = f"Experiment {wanted.experiment_id} (for {who})"
        yield Need(Access(target, CAN_MANAGE), "experiment", shown)
    for scope in wanted.secret_scopes:
        target = WorkspaceObject(SECRET_SCOPE, scope)
        shown = f"Secret scope {scope}"
        yield Need(Access(target, "MANAGE"), "secret_scope", shown, may_be_missing=True)


def _needs(needed: list[Access], kind: str, shown: str) -> Iterator[Need]:
    for each in needed[:-1]:
        yield Need(each, each.target.type, str(each.target), path=True)
    for each in needed[-1:]:
        yield Need(each, kind, shown)


def _judge(need: Need, facts: Mapping[Target, Held], principal: Principal) -> tuple[Outcome, Failure | None]:
    target, privilege = need.access.target, need.access.privilege
    held = facts[target]
    if held.presence is Presence.MISSING:
        if need.may_be_missing:
            return Outcome.YES, None
        # What is missing around an object is told with the object.
        return Outcome.NO, None if need.path else _missing(need, facts, principal)
    if need.gives and not need.receivers and {need.gives, ALL_PRIVILEGES} & held.open_to_all:
        return Outcome.YES, None
    if need.receivers and not _without(need, held, principal):
        return Outcome.YES, None
    if satisfied(target, privilege, held):
        kind = KINDS.get(need.kind)
        if kind is None or not kind.beyond or privilege != kind.deployer:
            return Outcome.YES, None
        return Outcome.UNKNOWN, _failure(need, principal, kind.beyond, "If the agent is refused, look there")
    remedy = _remedy(need, held, principal)
    if held.presence is Presence.UNREADABLE:
        why = f"whether {principal.name} has {words(privilege)} cannot be read"
        reason = f"{why} ({held.message})" if held.message else why
        return Outcome.UNKNOWN, _failure(need, principal, reason, f"If not: {remedy}")
    outcome = Outcome.UNKNOWN if need.receivers and held.granted is None else Outcome.NO
    return outcome, _failure(need, principal, _reason(need, held, facts, principal), remedy)


def _without(need: Need, held: Held, principal: Principal) -> list[str]:
    """Those of the receivers who were not granted what they are to be given, as far as that is told."""
    # Who deploys may be one of them, and has it by whatever way.
    own = principal.name.lower() if satisfied(need.access.target, need.gives, held) else ""
    return [
        name
        for name in need.receivers
        if need.gives not in (held.granted or {}).get(name.lower(), ()) and name.lower() != own
    ]


def _untold(
    failures: list[Failure], wanted: Sequence[Need], facts: Mapping[Target, Held], principal: Principal
) -> Iterator[Failure]:
    """What is missing around objects that seem to be there, as when it goes between two look-ups."""
    reasons = {failure.reason for failure in failures}
    # Wanted for themselves, as the schema of inference tables, and so told by that.
    told = {need.access.target for need in wanted if not need.path}
    for need in wanted:
        target = need.access.target
        gone = [each for each in (*_parents(target), target) if each in facts and _is_missing(facts[each])]
        around = f"{target} does not exist"
        if need.path and gone[:1] == [target] and target not in told and around not in reasons:
            reasons.add(around)
            yield _missing(need, facts, principal)


def _is_missing(held: Held) -> bool:
    return held.presence is Presence.MISSING


def _reason(need: Need, held: Held, facts: Mapping[Target, Held], principal: Principal) -> str:
    privilege = words(need.access.privilege)
    if need.may_be_missing:
        return f"it exists already, and {principal.name} lacks {privilege}"
    if need.receivers and held.granted is None:
        return f"{principal.name} lacks {privilege}, and whether they have {words(need.gives)} cannot be read"
    if held.presence is not Presence.HIDDEN:
        return f"{principal.name} lacks {privilege}"
    closed = [each for each in _parents(need.access.target) if each in facts and not _usable(each, facts[each])]
    if closed:
        return f"{principal.name} may not see it while {closed[0]} is closed to it, and so cannot show {privilege}"
    return f"it does not exist, or {principal.name} may not see it and lacks {privilege}"


def _usable(securable: Securable, held: Held) -> bool:
    use = "USE_CATALOG" if securable.type == "catalog" else "USE_SCHEMA"
    return satisfied(securable, use, held)


def _parents(target: Target) -> tuple[Securable, ...]:
    return tuple(reversed(target.parents)) if isinstance(target, Securable) else ()


def _missing(need: Need, facts: Mapping[Target, Held], principal: Principal) -> Failure:
    gone = next((each for each in _parents(need.access.target) if each in facts and _is_missing(facts[each])), None)
    reason = f"{gone} does not exist" if gone else _ITSELF
    remedy = "Create it, or correct the name where it is declared"
    return _failure(need, principal, reason, remedy)


def _failure(need: Need, principal: Principal, reason: str, remedy: str) -> Failure:
    return Failure(need.shown, need.kind, words(need.access.privilege), principal.name, reason, remedy)


def words(privilege: str) -> str:
    """As GRANT and the permissions' pages write it: USE CATALOG, but CAN_USE."""
    return privilege if privilege.startswith(("CAN_", "IS_")) else privilege.replace("_", " ")


def _remedy(need: Need, held: Held, principal: Principal) -> str:
    target = need.access.target
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
    return (
        f"Whoever manages it can give the permission: PATCH /api/2.0/permissions/{target.type}/"
        f"{held.id or target.name} {body}"
    )


def grant_statement(needed: Access, principal: str) -> str:
    """The GRANT that gives the privilege, quoted."""
    securable = needed.target
    assert isinstance(securable, Securable)
    kind = _SQL_NAMES.get(securable.type, securable.type.upper().replace("_", " "))
    name = ".".join(_quoted(level) for level in securable.name.split("."))
    return f"GRANT {words(needed.privilege)} ON {kind} {name} TO {_quoted(principal)}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _workspace_wide(principal: Principal, wanted: Requirements) -> Iterator[tuple[Failure, bool]]:
    """What is about no object, as the failure that it would be, and whether it holds."""
    is_admin = ADMINS in principal.identities
    if wanted.create_service_principal:
        reason = f"{principal.name} is not a workspace admin and cannot create service principals"
        remedy = f"Add {principal.name} to the group {ADMINS}, or give the agent a service principal that exists"
        yield Failure("Service principals", "workspace", "workspace admin", principal.name, reason, remedy), is_admin
    if wanted.endpoint_name and principal.entitlements is not None:
        entitled = is_admin or ENDPOINT_ENTITLEMENT in principal.entitlements
        reason = f"{principal.name} lacks the entitlement without which nobody creates or changes endpoints"
        remedy = f"Have a workspace admin give {ENDPOINT_ENTITLEMENT} to {principal.name} or to one of its groups"
        shown = f"Serving endpoint {wanted.endpoint_name}"
        yield Failure(shown, "workspace", ENDPOINT_ENTITLEMENT, principal.name, reason, remedy), entitled
