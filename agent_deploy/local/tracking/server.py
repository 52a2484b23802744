"""The one MLflow server of a workspace: started by the first call, started again when it died, stopped with it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.process_tree import kill_process_tree
from agent_deploy.local.core.supervision import described
from agent_deploy.local.tracking.process import SECRET_HEADER

if TYPE_CHECKING:
    import httpx

# What MLflow's Databricks clients resolve to the Files API (`databricks/mlflow-tracking/<experiment>/…`).
ARTIFACT_ROOT = "dbfs:/databricks/mlflow-tracking"
_START_SECONDS = 120.0
_BASE_URL = "http://localhost"
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_HEALTH_SECONDS = 5.0
_SOCKET_CHARACTERS = 100  # the kernel takes 107 (macOS 103) for the path of a Unix socket
_LOG_TAIL = 2000

# One line per call would bury the workspace's own log.
logging.getLogger("httpx").setLevel(logging.WARNING)


class MlflowServer:
    """Its state in ``<folder>/mlflow/mlflow.db``; reached over a Unix socket, so that no other user's process can."""

    def __init__(self, folder: Path, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._folder = folder
        self._seconds = answer_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = self._socket_path()
        self._headers = {SECRET_HEADER: secrets.token_hex(16)}
        self._client: httpx.Client | None = None
        self._async_client: httpx.AsyncClient | None = None

    @property
    def running(self) -> bool:
        """Whether its process is alive and was ready."""
        return self._client is not None and self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it answers; a few seconds the first time. Raises 500 with the end of its log."""
        with self._lock:
            if self.running:
                return
            self._clear()
            self._process = self._spawn()
            client = self._new_client()
            try:
                self._await_health(client)
            except BaseException:
                client.close()
                self._kill()  # else the next call would start another beside it
                raise
            self._client = client

    def _spawn(self) -> subprocess.Popen[bytes]:
        make(self._folder / "mlflow")
        make(self._socket.parent, mode=0o700)
        if self._socket.parent.stat().st_uid != os.getuid():
            raise ApiError(500, "INTERNAL_ERROR", f"{self._socket.parent} belongs to another user: remove it.")
        self._socket.unlink(missing_ok=True)
        make(self._folder / "logs")
        database = f"sqlite:///{(self._folder / 'mlflow' / 'mlflow.db').resolve()}"
        command = [
            sys.executable,
            "-m",
            "agent_deploy.local.tracking.process",
            str(self._socket),
            database,
            ARTIFACT_ROOT,
        ]
        with self._log.open("ab") as log:
            # Standard input is how it notices the end of this process; a session of its own keeps Ctrl-C away.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already, which is told by whoever waits for it
            process.stdin.write(self._headers[SECRET_HEADER].encode() + b"\n")
            process.stdin.flush()
        return process

    def _new_client(self) -> httpx.Client:
        import httpx  # here, as at the top the workspace would answer later

        transport = httpx.HTTPTransport(uds=str(self._socket))
        return httpx.Client(transport=transport, base_url=_BASE_URL, headers=self._headers)

    def _await_health(self, client: httpx.Client) -> None:
        import httpx

        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if (code := self._process.poll()) is not None:
                raise self._failure(f"ended with code {code}")
            try:
                client.get("/health", timeout=_HEALTH_SECONDS).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise self._failure(f"did not answer within {_START_SECONDS:.0f} seconds")

    def _failure(self, what: str) -> ApiError:
        tail = self._log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
        return ApiError(500, "INTERNAL_ERROR", f"MLflow's tracking server {what}. End of {self._log}:\n{tail}")

    @property
    def _log(self) -> Path:
        return self._folder / "logs" / "mlflow.log"

    def _socket_path(self) -> Path:
        path = (self._folder / "mlflow" / "server.sock").resolve()
        if len(str(path)) <= _SOCKET_CHARACTERS:
            return path
        # The same one after `kill -9`, so that none is left behind.
        name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"agent-deploy-{name}" / "server.sock"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A call from a thread: starts the server when needed."""
        import httpx

        self.start()
        assert self._client is not None
        try:
            return self._client.request(method, path, timeout=self._seconds, **options)
        except httpx.TransportError as error:
            raise self._unanswered(error) from error

    async def forward(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A call from the event loop, to a server that was started."""
        import httpx

        if self._async_client is None:
            transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
            self._async_client = httpx.AsyncClient(
                transport=transport, base_url=_BASE_URL, timeout=self._seconds, headers=self._headers
            )
        try:
            return await self._async_client.request(method, path, **options)
        except httpx.TransportError as error:
            raise await asyncio.to_thread(self._unanswered, error) from error

    def _unanswered(self, error: httpx.TransportError) -> ApiError:
        """What the caller is told; a server that answers nobody is ended, and the next call starts another."""
        with self._lock:
            if self.running and not self._is_healthy():
                self._kill()
        message = f"MLflow's tracking server did not answer ({described(error)}): try again. Its log is {self._log}."
        return ApiError(503, "TEMPORARILY_UNAVAILABLE", message)

    def _is_healthy(self) -> bool:
        import httpx

        assert self._client is not None
        try:
            return self._client.get("/health", timeout=_HEALTH_SECONDS).is_success
        except httpx.HTTPError:
            return False

    def _kill(self) -> None:
        if self._process is not None:
            kill_process_tree(self._process.pid)
            self._process.wait()
        self._clear()

    async def stop(self) -> None:
        """End it in order: requests under way are answered first."""
        if self._async_client is not None:
            await self._async_client.aclose()
            self._async_client = None
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._clear()
        if self._folder.resolve() not in self._socket.parents:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _clear(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._client = self._process = None
