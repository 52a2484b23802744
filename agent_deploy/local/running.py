"""Which workspace runs on a folder: files that the server leaves there, and the lock that it holds while it lives."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

STATUS_FILE, LOCK_FILE, PORT_FILE = "server.json", "server.lock", "server.port"
TOKEN_FILE, LOG_FILE, STATE_FILE = "admin.token", "logs/workspace.log", "workspace.db"
_POLL_SECONDS = 0.05


def hold(folder: Path) -> int | None:
    """The folder's lock, held until its descriptor is closed or the process ends, however; None when another has it."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_running(folder: Path) -> bool:
    """Whether a server holds the folder; a file left behind by a killed one does not count."""
    if not (folder / LOCK_FILE).exists():
        return False
    descriptor = hold(folder)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def status(folder: Path) -> dict[str, Any] | None:
    """``host``, ``pid``, ``workspace_id`` of the server that is ready on this folder; None when there is none."""
    path = folder / STATUS_FILE
    if not is_running(folder) or not path.exists():
        return None
    return dict(json.loads(path.read_text()))


def stop(folder: Path, seconds: float) -> bool:
    """Stop the server of this folder in order; False when none runs. Raises TimeoutError when it does not end."""
    found = status(folder)
    if found is None:
        return False
    os.kill(found["pid"], signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while is_running(folder):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {found['pid']} did not stop within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
    return True
