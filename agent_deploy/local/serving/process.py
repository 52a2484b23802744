"""Starts, feeds and ends the process of one served entity; knows nothing of endpoints."""

from __future__ import annotations

import asyncio
import codecs
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent_deploy.local.core.folders import make
from agent_deploy.local.core.process_tree import kill_process_tree
from agent_deploy.local.core.store import Store
from agent_deploy.local.serving import environment, isolation, wire
from agent_deploy.local.serving.logs import Log

_KIND = "serving_process"  # documents of running processes, so that a server that was killed can be cleaned up after
_LINE_BYTES = 1 << 20
_PIECE_BYTES = 16 << 10  # a longer line of output is masked in pieces, each of which takes a moment
_CONNECTION, _END = b"c", b"q"
_OUTPUT_SECONDS = 2.0  # for what an ended process has said; somebody else may hold the pipe's other end
# Isolated from the environment and from its working folder, too, which is the model's to write.
_FIRST = isolation.command("agent_deploy.local.serving.shut_off", "-I")


class BuildFailed(Exception):
    """The process ended or said that it cannot serve; the text is for the user."""


@dataclass(frozen=True)
class Order:
    """What to serve, and in which surroundings."""

    model: Path
    endpoint: str
    environment: Mapping[str, str]
    folder: Path
    seconds: float  # in which the model must be loaded
    hidden: Sequence[Path] = ()  # where the process is isolated: the workspace's own
    readable: Sequence[Path] = ()  # nevertheless
    isolated: bool = True
    python: str = sys.executable  # of the environment in which the model is loaded


class ModelProcess:
    """Running from `start` until `exited` is done, with its exit code."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, log: Log, store: Store, temporary: Path
    ) -> None:
        self._process = process
        self._temporary = temporary
        self._control = control
        self._log = log
        self._store = store
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._output = asyncio.create_task(self._copy_output())
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process, which leads a group of its own."""
        return self._process.pid

    @classmethod
    async def start(cls, order: Order, log: Log, store: Store) -> ModelProcess:
        """Spawn; `ready` then waits for the model."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        make(order.folder)
        # In the system's: the names of sockets, which libraries put there, may not be long.
        temporary = Path(tempfile.mkdtemp(prefix="agent-deploy-"))
        with theirs:
            try:
                process = _spawn(order, theirs)
            except BaseException:
                ours.close()
                temporary.rmdir()
                raise
        record(store, process.pid, temporary)
        started = cls(process, ours, log, store, temporary)
        wanted = isolation.terms(order.hidden, [order.model, *order.readable], [order.folder, temporary])
        first = {"isolation": wanted if order.isolated else None}
        first["environment"] = {"TMPDIR": str(temporary), **order.environment}
        header = {"model": str(order.model), "endpoint": order.endpoint, "seconds": order.seconds}
        try:
            with suppress(ConnectionError):  # it died at once; `ready` tells
                await asyncio.get_running_loop().sock_sendall(ours, wire.pack(first) + wire.pack(header))
        except BaseException:
            started.kill()
            raise
        return started

    async def ready(self, seconds: float) -> wire.Header:
        """What the loaded model is; raises BuildFailed, also when it takes longer than so many seconds."""
        try:
            return await asyncio.wait_for(self._ready(), seconds)
        except asyncio.TimeoutError:
            limit = f"{seconds:g} s, the limit of a build (serving_build_seconds)"
            raise BuildFailed(f"The model was not loaded within {limit}. Its build log says how far it came.") from None

    async def _ready(self) -> wire.Header:
        reader, writer = await asyncio.open_unix_connection(sock=self._control.dup())
        try:
            answer = await wire.receive_from(reader)
        finally:
            writer.close()
        if answer is None:
            await asyncio.shield(self.exited)
            raise BuildFailed(f"The process ended with {self.describe_exit()} before it was ready.")
        if "failed" in answer[0]:
            await asyncio.shield(self.exited)
            raise BuildFailed(answer[0]["failed"])
        return answer[0]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection for requests; each is a thread in the process. Raises ConnectionError when it is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [_CONNECTION], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise ConnectionError("the model's process is gone") from error
        ours.setblocking(False)
        return await asyncio.open_unix_connection(sock=ours, limit=_LINE_BYTES)

    async def stop(self, grace: float) -> None:
        """Ask for an orderly end, which traces under way may need; `end`."""
        with suppress(OSError):
            self._control.send(_END)
        await self.end(grace)

    async def end(self, grace: float = 0.0) -> None:
        """Return when it has ended and what it said is in its log; after ``grace`` seconds it is killed."""
        await asyncio.wait({self.exited}, timeout=grace)
        self.kill()
        await asyncio.shield(self.exited)
        await asyncio.wait({self._output}, timeout=_OUTPUT_SECONDS)
        self._output.cancel()

    def kill(self) -> None:
        """End the process and all that it started."""
        if self._process.returncode is None:
            kill_process_tree(self._process.pid)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _wait(self) -> None:
        code = self._process.wait()
        self.kill()  # what it started and left behind
        shutil.rmtree(self._temporary, ignore_errors=True)
        with suppress(RuntimeError):  # the server's loop has ended
            self._loop.call_soon_threadsafe(self._ended, code)

    def _ended(self, code: int) -> None:
        self._control.close()
        forget(self._store, self._process.pid)
        self.exited.set_result(code)

    async def _copy_output(self) -> None:
        assert self._process.stdout is not None
        reader = asyncio.StreamReader(limit=_PIECE_BYTES)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._process.stdout)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while line := await _line(reader):
            self._log.write(decoder.decode(line))
        self._log.write(decoder.decode(b"", final=True))
        self._log.flush()

    def describe_exit(self) -> str:
        """``exit code 1`` or ``signal SIGKILL``."""
        return _exit(self.exited.result()) if self.exited.done() else "running"


def command(python: str) -> tuple[str, ...]:
    """What serves, in the environment of this Python."""
    return isolation.command("agent_deploy.local.serving.model_process", python=python)


def _spawn(order: Order, control: socket.socket) -> subprocess.Popen[bytes]:
    # The server's main thread spawns: on Linux a child may die with the thread that made it.
    return subprocess.Popen(
        (*_FIRST, *command(order.python)),
        stdin=control.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=order.folder,
        env=environment.inherited(),
        start_new_session=True,
    )


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await reader.read(error.consumed or _PIECE_BYTES)


def _exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def record(store: Store, pid: int, temporary: Path) -> None:
    """Remember a process with its birth, so that another that gets the same number later is not taken for it."""
    with suppress(psutil.NoSuchProcess):
        born = psutil.Process(pid).create_time()
        store.put(_KIND, str(pid), {"pid": pid, "born": born, "temporary": str(temporary)})


def forget(store: Store, pid: int) -> None:
    """It has ended."""
    store.delete(_KIND, str(pid))


def end_leftovers(store: Store) -> list[int]:
    """Kill what a server that was killed left behind, and what that had started; returns their ids."""
    killed = []
    for document in store.list(_KIND):
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
                if os.getsid(process.pid) == document["pid"] and process.create_time() >= document["born"]:
                    process.kill()
                    killed.append(process.pid)
        if temporary := document.get("temporary"):
            shutil.rmtree(temporary, ignore_errors=True)
        forget(store, document["pid"])
    return killed
