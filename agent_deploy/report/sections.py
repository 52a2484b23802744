"""The report's sections as lines of quoted names and plain words, the same for Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from agent_deploy.report.structure import (
    DELETES,
    INTERRUPTS,
    SAFE,
    UNTOLD,
    WIDENS,
    Access,
    Agent,
    Report,
    Resource,
    Served,
    Verdict,
)

HEADLINES = {
    DELETES: "Deletes data",
    WIDENS: "Widens access",
    UNTOLD: "Cannot be told before the update",
    INTERRUPTS: "Interrupts",
    SAFE: "Safe",
}
SIGNS = {DELETES: "🔴", WIDENS: "🟠", UNTOLD: "🟡", INTERRUPTS: "🟡", SAFE: "🟢"}
MOST_REASONS = 20


@dataclass(frozen=True)
class Name:
    """A piece that comes from the program, the model or the workspace."""

    text: str


@dataclass(frozen=True)
class Sentence(Name):
    """Words of ours with such a piece in them."""


@dataclass(frozen=True)
class Section:
    """``rank``: what is dropped first where there is no room, the greatest. ``lines`` are pieces: names, our words."""

    title: str
    rank: int
    lines: tuple[tuple[Name | str, ...], ...]


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    first, *others = (HEADLINES[kind] for kind in verdict.kinds)
    also = ", ".join(others).lower()
    return f"{first} (also: {also})" if others else first


def first_line(report: Report) -> str:
    """The first line: what policies refuse is no safe change, whatever the verdict on the change itself is."""
    told = headline(report.verdict)
    refused_by = ", ".join(report.refused_by)
    return f"Refused by policies ({refused_by}); the change itself: {told.lower()}" if refused_by else told


def sign(report: Report) -> str:
    """What stands before the first line."""
    return SIGNS[DELETES if report.refused_by else report.verdict.kind]


def sections(agent: Agent) -> Iterator[Section]:
    """What there is to say of an agent, the most important first."""
    for title, rank, lines in _ROWS:
        if found := tuple(lines(agent)):
            yield Section(title, rank, found)


def diff_line(resource: Resource) -> tuple[Name | str, ...]:
    """A line of the raw diff."""
    fields = ": " if resource.fields else ""
    joined = [piece for field in resource.fields for piece in (Name(field), ", ")][:-1]
    return (Name(resource.operation), " ", Name(resource.type), " ", Name(resource.name), fields, *joined)


Lines = Iterable[tuple[Name | str, ...]]


def _served(agent: Agent) -> Lines:
    for each in agent.served:
        yield (Name(each.model), " version ", Name(each.version), f": {_traffic(each)}")


def _traffic(served: Served) -> str:
    before, after = (_percent(each) for each in (served.before, served.after))
    return f"{before} → {after}" if before != after else f"{after}, as before"


def _percent(share: int | str | None) -> str:
    return "not served" if share is None else f"{share} %" if isinstance(share, int) else share


def _access(found: Iterable[Access]) -> Lines:
    for each in found:
        yield (Name(each.principal), ": ", Name(each.privilege), " on ", Name(each.object))


def _authentication(agent: Agent) -> Lines:
    if agent.authentication:
        yield (Name(agent.authentication.before), " → ", Name(agent.authentication.after))


def _settings(agent: Agent) -> Lines:
    for each in agent.settings:
        yield (Name(each.what), ": ", Name(each.before), " → ", Name(each.after))


def _sentences(texts: Iterable[str]) -> Lines:
    return ((Sentence(each),) for each in texts)


_ROWS: tuple[tuple[str, int, Callable[[Agent], Lines]], ...] = (
    ("Versions and traffic", 1, _served),
    ("Data that is deleted", 0, lambda agent: _sentences(agent.deletes)),
    ("The agent may newly touch", 2, lambda agent: _access(agent.touches)),
    ("The agent may no longer touch", 4, lambda agent: _access(agent.touches_no_more)),
    ("People who may newly query, review, read or manage", 2, lambda agent: _access(agent.admits)),
    ("May no longer", 4, lambda agent: _access(agent.admits_no_more)),
    ("Authentication", 3, _authentication),
    ("Secrets", 5, lambda agent: ((Name(each.reference), f": {each.change}") for each in agent.secrets)),
    ("Replaced", 3, lambda agent: _sentences(agent.replaced)),
    ("Inference tables", 3, lambda agent: ((Name(each.name), f": {each.change}") for each in agent.tables)),
    ("Settings", 6, _settings),
    ("Relative cost", 5, lambda agent: _sentences(agent.costs)),
    ("A teardown would delete", 7, lambda agent: _sentences(agent.teardown_deletes)),
    ("A teardown would keep", 7, lambda agent: _sentences(agent.teardown_keeps)),
)


def summary(report: Report) -> str:
    """What there is in one sentence of numbers."""
    if not report.changes:
        return "Nothing is known to change." if report.verdict.kind == UNTOLD else "Nothing changes."
    return f"{len(report.resources)} resource(s) change, of {len(report.agents)} agent(s)."
