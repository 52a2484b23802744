"""The report for a terminal, by Rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_deploy.report.escaping import one_line
from agent_deploy.report.sections import HEADLINES, Name, diff_line, first_line, sections, summary
from agent_deploy.report.structure import DELETES, INTERRUPTS, SAFE, UNTOLD, WIDENS, Report

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {
    DELETES: "bold red",
    WIDENS: "bold red",
    UNTOLD: "bold yellow",
    INTERRUPTS: "bold yellow",
    SAFE: "bold green",
}


def show(report: Report, console: Console) -> None:
    """Prints all of it, the raw diff last."""
    from rich.text import Text

    def line(*pieces: Name | str, indent: int = 2) -> None:
        found = [one_line(piece.text) if isinstance(piece, Name) else piece for piece in pieces]
        # Nothing of it is Rich's markup: a name may hold brackets.
        console.print(Text(" " * indent + "".join(found)))

    console.print(Text(first_line(report), COLOURS[report.verdict.kind]))
    line(Name(report.project), "/", Name(report.stack), f": {summary(report)}", indent=0)
    for reason in report.verdict.reasons:
        agent = (Name(reason.agent), ": ") if reason.agent else ()
        line(f"{HEADLINES[reason.verdict].lower()}: ", *agent, Name(reason.text))
    for each in report.agents:
        console.print()
        console.print(Text(one_line(f"Agent {each.name}: {each.operation}, endpoint {each.endpoint or '?'}"), "bold"))
        for section in sections(each):
            line(f"{section.title}:")
            for pieces in section.lines:
                line(*pieces, indent=4)
    if report.findings:
        console.print()
        console.print(Text("Policies", "bold"))
    for finding in report.findings:
        line(f"{finding.id} ({finding.severity}): ", Name(finding.text), ". ", Name(finding.remedy))
    for title, resources in (("Drift", report.drift), ("Raw diff, without values", report.resources)):
        if resources:
            console.print()
            console.print(Text(title, "dim"))
            for resource in resources:
                line(*diff_line(resource))
    for note in report.notes:
        line("Note: ", Name(note), indent=0)
