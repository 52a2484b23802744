"""Runs `pulumi preview --json` in the current folder, for a report without a file."""

from __future__ import annotations

import subprocess

from agent_deploy.engine.program import INSTALL, MISSING, pulumi
from agent_deploy.report.preview import PreviewError


def run_preview(stack: str = "") -> tuple[str, bool]:
    """What the engine prints, and whether the preview failed; raises PreviewError where there is none at all.

    What it says on standard error is the user's to see, and goes there.
    """
    program = pulumi()
    if program is None:
        raise PreviewError(f"{MISSING}. Install it ({INSTALL}), or give a file: agent-deploy report FILE")
    chosen = ["--stack", stack] if stack else []
    command = [program, "preview", "--json", "--show-sames", "--non-interactive", *chosen]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if "{" not in done.stdout:
        raise PreviewError("`pulumi preview --json` made no preview; what it said stands above")
    return done.stdout, done.returncode != 0
