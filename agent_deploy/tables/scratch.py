"""The end of a folder that killed processes wrote in."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

_SECONDS, _PAUSE_SECONDS = 10.0, 0.02


def remove_scratch(folder: Path) -> None:
    """Removes the folder; a process that was killed a moment ago may still make a file while that is done."""
    deadline = time.monotonic() + _SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(_PAUSE_SECONDS)
