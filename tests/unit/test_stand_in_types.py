"""Which types the stand-in for the vendor's plugin has, as it says itself and as docs/local-workspace.md does."""

from __future__ import annotations

import re
from pathlib import Path

from agent_deploy.stand_in.package import package, types

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "local-workspace.md"


def test_the_documentation_lists_the_types_that_the_code_has() -> None:
    chapter = DOCUMENT.read_text().partition("## The stand-in for the vendor's plugin\n")[2].partition("\n## ")[0]
    [listed] = [part for part in chapter.split("\n\n") if part.startswith("`Grant`")]
    assert re.findall(r"`(\w+)`", listed) == types()


def test_an_unknown_type_is_told_with_the_types_and_the_way_to_the_vendors_plugin() -> None:
    told = package().missing
    assert "agent-deploy's stand-in for the vendor's plugin" in told
    assert ", ".join(types()) in told
    assert "pulumi plugin install resource databricks v" in told
