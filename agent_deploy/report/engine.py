"""Runs `pulumi preview` in the current folder, for a report without a file: the engine's event log has all of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from agent_deploy.engine.program import INSTALL, MISSING, pulumi
from agent_deploy.report.preview import PreviewError


def run_preview(stack: str = "") -> tuple[str, bool]:
    """The engine's event log, and whether the preview failed; raises PreviewError where there is none at all.

    What it says on standard error is the user's to see, and goes there.
    """
    program = pulumi()
    if program is None:
        raise PreviewError(f"{MISSING}. Install it ({INSTALL}), or give a file: agent-deploy report FILE")
    chosen = ["--stack", stack] if stack else []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events.json"
        command = [program, "preview", "--json", "--event-log", str(log), "--non-interactive", *chosen]
        environment = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true"}  # which --event-log takes
        done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False)
        text = log.read_text("utf-8") if log.exists() else ""
    if "summaryEvent" not in text:
        raise PreviewError("`pulumi preview` made no preview; what it said stands above")
    return text, done.returncode != 0
