"""What a pull request is told of its ephemeral stack."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agent_deploy.ephemeral.records import Record
from agent_deploy.report.escaping import code

_SHOWN = ("query_endpoint", "endpoint_url", "review_app_url")


def is_up(record: Record, outputs: Mapping[str, Any], reviewers: list[str]) -> str:
    """Where the agents of the pull request are, and who may ask them."""
    lines = [f"**{code(record.name)}** is up: the agents of this pull request, as of {code(record.commit[:12])}.", ""]
    for name, value in outputs.items():
        if name.endswith(_SHOWN) and isinstance(value, str) and value:
            lines.append(f"- {code(name)}: {code(value)}")
    may = ", ".join(map(code, reviewers)) or "nobody but whoever deploys"
    lines += ["", f"They sleep while nobody asks. Who may ask: {may}. All of it goes when this is closed."]
    return "\n".join(lines) + "\n"


def is_gone(record: Record, why: str) -> str:
    """That the stack is not there any more."""
    again = f"agent-deploy ephemeral up --base {record.base or 'BASE'}"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (
        f"**{code(record.name)}** was taken down at {when}: {why}. Its endpoints, tables and secrets are gone. "
        f"The next push brings it back, or {code(again)}.\n"
    )
