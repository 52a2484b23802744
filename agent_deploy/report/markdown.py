"""The report as Markdown for a pull request: never longer than a forge takes, the verdict always there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent_deploy.report.escaping import code, prose
from agent_deploy.report.sections import (
    HEADLINES,
    MOST_REASONS,
    Name,
    Section,
    Sentence,
    diff_line,
    first_line,
    sections,
    sign,
    summary,
)
from agent_deploy.report.structure import Agent, Report, Resource

LIMIT = 60_000  # characters; GitHub takes 65,536 for a comment
_ROOM_FOR_NOTICE = 1_000


@dataclass(frozen=True)
class _Block:
    title: str
    rank: int
    text: str


def markdown(report: Report, limit: int = LIMIT) -> str:
    """All of the report, or what has room in ``limit`` characters; what is dropped is named."""
    head = _head(report)
    blocks = [block for agent in report.agents for block in _agent(agent)] + _rest(report)
    kept, dropped = _fitted(blocks, limit - len(head) - _ROOM_FOR_NOTICE)
    notice = _notice(dropped, limit)
    return "\n".join(filter(None, [head, *(block.text for block in kept), notice])).rstrip() + "\n"


def _fitted(blocks: list[_Block], room: int) -> tuple[list[_Block], list[_Block]]:
    """The least important goes first, of those the last."""
    order = sorted(range(len(blocks)), key=lambda at: (blocks[at].rank, at))
    kept: set[int] = set()
    for at in order:
        room -= len(blocks[at].text) + 1
        if room < 0:
            break
        kept.add(at)
    return [blocks[at] for at in sorted(kept)], [b for at, b in enumerate(blocks) if at not in kept]


def _notice(dropped: list[_Block], limit: int) -> str:
    if not dropped:
        return ""
    titles = ", ".join(dict.fromkeys(block.title for block in dropped))
    return f"\n> Left out, to stay below {limit:,} characters: {len(dropped)} section(s) ({titles}).\n"


def _head(report: Report) -> str:
    where = f"{code(report.project)} / {code(report.stack)}" if report.project else "an empty stack"
    lines = [f"## {sign(report)} {first_line(report)}", "", f"{where}: {summary(report)}", ""]
    shown = report.verdict.reasons[:MOST_REASONS]
    for reason in shown:
        agent = f"{code(reason.agent)}: " if reason.agent else ""
        lines.append(f"- **{HEADLINES[reason.verdict]}**: {agent}{prose(reason.text)}")
    if more := len(report.verdict.reasons) - len(shown):
        lines.append(f"- … and {more} more")
    return "\n".join([*lines, ""])


def _agent(agent: Agent) -> list[_Block]:
    at = f", endpoint {code(agent.endpoint)}" if agent.endpoint else ""
    title = _Block("agents", 0, f"### Agent {code(agent.name)}: {agent.operation}{at}\n")
    return [title, *(_Block(each.title, each.rank, _section(each)) for each in sections(agent))]


def _section(section: Section) -> str:
    return "\n".join([f"**{section.title}**", "", *(f"- {_line(line)}" for line in section.lines), ""])


def _line(pieces: Iterable[Name | str]) -> str:
    return "".join(_piece(each) for each in pieces)


def _piece(piece: Name | str) -> str:
    if isinstance(piece, Sentence):
        return prose(piece.text)
    return code(piece.text) if isinstance(piece, Name) else piece


def _rest(report: Report) -> list[_Block]:
    blocks = []
    if report.findings:
        lines = [f"- {code(f.id)} ({f.severity}): {prose(f.text)}. {prose(f.remedy)}" for f in report.findings]
        blocks.append(_Block("policy findings", 1, "\n".join(["### Policies", "", *lines, ""])))
    if report.drift:
        blocks.append(_Block("drift", 6, _folded("Drift: changed in the workspace, not by this program", report.drift)))
    if report.notes:
        blocks.append(_Block("notes", 6, "\n".join([*(f"> {note}" for note in report.notes), ""])))
    if report.resources:
        blocks.append(_Block("raw diff", 9, _folded("Raw diff: fields, without values", report.resources)))
    return blocks


def _folded(title: str, resources: Iterable[Resource]) -> str:
    lines = [f"- {_line(diff_line(resource))}" for resource in resources]
    return "\n".join(["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""])
