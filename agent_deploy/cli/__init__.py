"""The command `agent-deploy`: the local workspace, questions to deployed agents."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script; a mistake is one line and an exit code of 1, wrong usage 2."""
    from agent_deploy.cli.app import CommandError, app

    try:
        app()
    except CommandError as error:
        sys.exit(f"agent-deploy: {error}")
