"""The command `agent-deploy`: the local workspace, questions to deployed agents."""

from __future__ import annotations

import sys
import traceback


def main() -> None:
    """Entry point of the console script; a mistake is one line and an exit code of 1, wrong usage 2."""
    from agent_deploy.cli.app import CommandError, app
    from agent_deploy.client.masking import masked

    try:
        app()
    except CommandError as error:
        sys.exit(f"agent-deploy: {masked(str(error))}")
    except Exception:  # noqa: BLE001 - a mistake of ours: Python's own traceback would show what a library quotes
        sys.exit(masked(traceback.format_exc()))
