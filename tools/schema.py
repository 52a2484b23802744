"""Writes schema.json: what the plugin answers when Pulumi asks for its schema, for tools that cannot ask it.

At the root, where who clones the repository looks, and not in the package: the plugin itself does not read it. With
`--check` nothing is written: where the file is another, the difference is told, and the exit code is 1.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from pathlib import Path

SCHEMA = Path(__file__).parent.parent / "schema.json"


def schema() -> str:
    """As the servicer answers it, laid out for a diff."""
    from agent_deploy.provider.package import package
    from agent_deploy.provider.plugin.servicer import Servicer

    answer = asyncio.run(Servicer(package()).GetSchema(None, None))
    return json.dumps(json.loads(answer.schema), indent=2, ensure_ascii=False) + "\n"


def difference() -> str:
    """Between the file and what the plugin answers, line by line; empty where there is none."""
    written, answered = SCHEMA.read_text("utf-8"), schema()
    return "".join(difflib.unified_diff(written.splitlines(True), answered.splitlines(True), "schema.json", "plugin"))


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(difference() or 0)
    SCHEMA.write_text(schema(), "utf-8")
