"""Which local workspace a command means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agent_deploy.cli.errors import CommandError

Folder = Annotated[Path, typer.Option(help="Where the workspace keeps its state.")]
DEFAULT_FOLDER = Path(".agent-deploy")


def running_status(folder: Path) -> dict[str, Any]:
    """Host, process and id of the workspace that runs on the folder; raises CommandError when none does."""
    from agent_deploy.local import running

    found = running.status(folder.absolute())
    if found is None:
        raise CommandError(
            f"no local workspace runs on {folder.absolute()}: name the folder of a running one with --folder, or start "
            f"one there: agent-deploy local start --folder {folder}"
        )
    return found
