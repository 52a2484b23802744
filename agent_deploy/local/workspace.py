"""A local workspace as a child process of a test or a program: start, stop, kill, restart."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from agent_deploy.local.private import OURS, make_private
from agent_deploy.local.running import LOG_FILE, STATE_FILE, TOKEN_FILE, is_running

START_SECONDS = 120.0  # a cold file cache and MLflow's import are slow
STOP_SECONDS = 40.0
# In the path of a table, delta-rs takes these for something else or not at all.
_NO_TABLE_PATH = re.compile(r"[\[\]\\^|\x00-\x1f]|%[0-9A-Fa-f]{2}")


class WorkspaceError(Exception):
    """The workspace did not start or stop; the message has the reason and the end of its log."""


class LocalWorkspace:
    """``with LocalWorkspace() as workspace:`` runs a workspace until the block ends.

    ``folder`` keeps the state (default: a temporary one, removed at the end); ``port`` 0 takes a free one and keeps it
    over `restart`. ``options`` are settings of the workspace; ``progress`` is called with each step of a start.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        port: int = 0,
        progress: Callable[[str], None] | None = None,
        start_seconds: float = START_SECONDS,
        **options: Any,
    ) -> None:
        self._own_folder = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="agent-deploy-") if folder is None else folder).absolute()
        self._port = port
        self._progress = progress or (lambda _text: None)
        self._start_seconds = start_seconds
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._status: dict[str, Any] = {}

    def __enter__(self) -> LocalWorkspace:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def host(self) -> str:
        """``http://127.0.0.1:<port>``; raises WorkspaceError when it does not run."""
        if not self._status:
            raise WorkspaceError("The local workspace does not run: call start().")
        return str(self._status["host"])

    @property
    def token(self) -> str:
        """The administrator's token."""
        return (self.folder / TOKEN_FILE).read_text().strip()

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise WorkspaceError("The local workspace does not run: call start().")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server logged."""
        path = self.folder / LOG_FILE
        return path.read_text() if path.exists() else ""

    def env(self) -> dict[str, str]:
        """The environment by which Databricks' and MLflow's clients find this workspace."""
        return environment(self.host, self.token)

    def start(self) -> LocalWorkspace:
        """Start and wait until it answers; raises WorkspaceError with the reason."""
        try:
            self._process, self._status = launch(
                self.folder, self._port, self._options, self._start_seconds, self._progress, stop_with_parent=True
            )
        except BaseException:
            if self._own_folder and not _files(self.folder):
                self.folder.rmdir()
            raise
        self._port = int(self.host.rpartition(":")[2])
        return self

    def stop(self) -> None:
        """Stop in order: requests in flight finish, logged payloads are written. Does nothing when it is stopped."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``: what was not yet written is lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> LocalWorkspace:
        """Stop when it runs; start again on the same folder and port."""
        self.stop()
        return self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process, self._status = self._process, None, {}
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            message = f"The local workspace did not stop within {STOP_SECONDS:.0f} s and was killed."
            raise WorkspaceError(f"{message}\n{log_tail(self.folder)}") from None
        finally:
            if process.stdin:
                process.stdin.close()


def environment(host: str, token: str) -> dict[str, str]:
    """The variables of Databricks' unified authentication and MLflow's stores."""
    return {
        "DATABRICKS_HOST": host,
        "DATABRICKS_TOKEN": token,
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc",
    }


def launch(
    folder: Path,
    port: int,
    options: dict[str, Any],
    seconds: float,
    progress: Callable[[str], None],
    stop_with_parent: bool,
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """Start the server's process; returns it and its status once it answers. Raises WorkspaceError.

    Of a new workspace that does not start nothing is left.
    """
    if sign := _NO_TABLE_PATH.search(str(folder)):
        raise WorkspaceError(
            f"No Delta table can be kept below {str(folder)!r}, for {sign[0]!r} in it: name another folder."
        )
    is_new, before = not (folder / STATE_FILE).exists(), _files(folder)
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "agent_deploy.local.server", "--folder", str(folder), "--port", str(port)]
    command += ["--settings", json.dumps(options), "--ready-fd", str(writing)]
    try:
        make_private(folder)
        make_private((folder / LOG_FILE).parent)
    except PermissionError as error:
        raise WorkspaceError(f"{error.filename} belongs to another user: name another folder.") from error
    with open(folder / LOG_FILE, "ab", opener=_private) as log:
        process = subprocess.Popen(
            command + (["--stop-with-parent"] if stop_with_parent else []),
            stdin=subprocess.PIPE if stop_with_parent else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            env=_clean_environment(),
            start_new_session=not stop_with_parent,
        )
    os.close(writing)
    try:
        return process, _wait_ready(reading, folder, seconds, progress)
    except BaseException:
        process.kill()
        process.wait()
        # Another one's, if that has just made it.
        if is_new and not is_running(folder):
            _remove_new(folder, before)
        raise
    finally:
        os.close(reading)


def _files(folder: Path) -> set[Path] | None:
    """What lies in the folder; None when there is none."""
    return set(folder.iterdir()) if folder.is_dir() else None


def _remove_new(folder: Path, before: set[Path] | None) -> None:
    """What the start has put there, and nothing of what somebody else has put there meanwhile."""
    for path in (_files(folder) or set()) - (before or set()):
        if path.name in OURS:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if before is None and not _files(folder):
        folder.rmdir()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait_ready(reading: int, folder: Path, seconds: float, progress: Callable[[str], None]) -> dict[str, Any]:
    deadline, pending = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            chunk = os.read(reading, 65536)
            if not chunk:
                raise WorkspaceError(f"The local workspace ended while starting.\n{log_tail(folder)}")
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "ready" in message:
                    return dict(message["ready"])
                if "failed" in message:
                    raise WorkspaceError(str(message["failed"]))
                progress(str(message["progress"]))
    raise WorkspaceError(f"The local workspace was not ready within {seconds:.0f} s.\n{log_tail(folder)}")


def log_tail(folder: Path, lines: int = 20) -> str:
    """The end of the server's log."""
    path = folder / LOG_FILE
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


def _clean_environment() -> dict[str, str]:
    # The server is a workspace, not a client of one: it must not inherit where clients are pointed to.
    prefixes = ("DATABRICKS_", "MLFLOW_", "PULUMI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
