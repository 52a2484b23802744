"""Which workspace runs on a folder: files that the server leaves there, and the lock that it holds while it lives."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from contextlib import suppress
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
    if not is_running(folder):
        return None
    try:
        return dict(json.loads((folder / STATUS_FILE).read_text()))
    except FileNotFoundError:  # it is starting, or about to end
        return None


def stop(folder: Path, seconds: float) -> bool:
    """Stop the server of this folder in order, one that is still starting as soon as it is ready; False without one.

    Raises TimeoutError when it does not end.
    """
    deadline, found = time.monotonic() + seconds, False
    signaled: int | None = None
    while is_running(folder):
        found = True
        if signaled is None and (ready := status(folder)) is not None:
            signaled = int(ready["pid"])
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(signaled, signal.SIGTERM)
        if time.monotonic() > deadline:
            if signaled is None:
                raise TimeoutError(f"the workspace is still starting after {seconds:.0f} s: stop it when it is ready")
            raise TimeoutError(f"process {signaled} did not stop within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
    return found
