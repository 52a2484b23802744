"""The report as plain frozen objects: what a reviewer reads, without how it is printed."""

from __future__ import annotations

from dataclasses import dataclass

from agent_deploy.policies.policy import MANDATORY

SCHEMA_VERSION = 1
UNKNOWN = "not known before the update"

# Verdicts, the gravest first; each with what a heading says.
DELETES, WIDENS, UNTOLD, INTERRUPTS, SAFE = "deletes data", "widens access", "cannot be told", "interrupts", "safe"
VERDICTS = (DELETES, WIDENS, UNTOLD, INTERRUPTS, SAFE)


@dataclass(frozen=True)
class Reason:
    """Why a verdict is what it is; ``agent`` is empty where it is nobody's."""

    verdict: str
    text: str
    agent: str = ""


@dataclass(frozen=True)
class Verdict:
    """``kind`` is the gravest of the reasons' verdicts; safe without any."""

    kind: str
    reasons: tuple[Reason, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """All that apply, the gravest first."""
        found = {reason.verdict for reason in self.reasons}
        return tuple(kind for kind in VERDICTS if kind in found) or (self.kind,)


@dataclass(frozen=True)
class Served:
    """A version behind the endpoint; ``before`` and ``after`` are percentages of the traffic, None where it is not."""

    name: str
    model: str
    version: str
    before: int | str | None
    after: int | str | None


@dataclass(frozen=True, order=True)
class Access:
    """What one principal may do with one object."""

    principal: str
    privilege: str
    object: str


@dataclass(frozen=True)
class SecretChange:
    """A secret by its reference, never its value; ``change`` is added, rotated or removed."""

    reference: str
    change: str


@dataclass(frozen=True)
class Changed:
    """Something that was and will be."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class TableChange:
    """An inference table; ``change`` is turned on, turned off (rows stay), kept or dropped."""

    name: str
    change: str


@dataclass(frozen=True)
class Agent:
    """What changes for one agent."""

    name: str
    endpoint: str
    operation: str
    served: tuple[Served, ...] = ()
    touches: tuple[Access, ...] = ()
    touches_no_more: tuple[Access, ...] = ()
    admits: tuple[Access, ...] = ()
    admits_no_more: tuple[Access, ...] = ()
    secrets: tuple[SecretChange, ...] = ()
    authentication: Changed | None = None
    settings: tuple[Changed, ...] = ()
    replaced: tuple[str, ...] = ()
    tables: tuple[TableChange, ...] = ()
    costs: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    teardown_deletes: tuple[str, ...] = ()
    teardown_keeps: tuple[str, ...] = ()
    evaluation: None = None


@dataclass(frozen=True)
class Resource:
    """A line of the raw diff: the paths of fields that change, without their values."""

    operation: str
    type: str
    name: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a policy says."""

    id: str
    severity: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """All of it, the verdict first."""

    project: str
    stack: str
    verdict: Verdict
    changes: bool
    agents: tuple[Agent, ...] = ()
    resources: tuple[Resource, ...] = ()
    drift: tuple[Resource, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def refused_by(self) -> tuple[str, ...]:
        """The ids of the mandatory policies that are against the change."""
        return tuple(sorted({each.id for each in self.findings if each.severity == MANDATORY}))
