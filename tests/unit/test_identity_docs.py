"""The table in docs/identity.md is the one that the code walks."""

from __future__ import annotations

from pathlib import Path

from agent_deploy.rules.resource_kinds import KINDS
from agent_deploy.rules.verification import words

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "identity.md"


def test_every_kind_stands_in_the_documentation_as_the_code_has_it() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ") and "` | " in line]
    kinds = [row for row in rows if row.endswith(("| yes |", "| no |"))]
    assert kinds == [
        f"| {kind.title} | `{kind.name}` | {words(kind.deployer)} | {words(kind.agent)} | "
        f"{'yes' if kind.passthrough else 'no'} |"
        for kind in KINDS.values()
    ]
