"""The MLmodel of a version whose files lie in a folder."""

from __future__ import annotations

from pathlib import Path

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.rules.mlmodel import check_size, parsed


def read(folder: Path) -> Document:
    """Its fields; raises 400 for what is no MLmodel. Takes a while for a large one: not for the event loop."""
    file = folder / "MLmodel"
    try:
        check_size(file.stat().st_size)
        return parsed(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ApiError(400, "INVALID_STATE", f"The MLmodel file cannot be read: {error}.") from error
