"""A Python that has imported Pulumi's SDK and this package already: it runs scripts in forks of itself.

Run by `warm.py`; its argument is the socket to listen at. It ends with its standard input, as does all that it runs.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

# What programs and plugins import; a name that is gone is an error, not a slower test.
_MODULES = (
    "pulumi",
    "pulumi.automation",
    "agent_deploy.components.agent_deployment",
    "agent_deploy.provider.plugin.process",
    "agent_deploy.provider.package",
    "agent_deploy.stand_in.package",
)
# What a shim sends: arguments, environment and folder. It is answered once, by the script's exit code as text: minus
# the signal where that has ended it.
_MESSAGE_BYTES = 1 << 20


def serve(address: str) -> None:
    """Until standard input ends. It has one thread: others would not live on in a fork."""
    for name in _MODULES:
        importlib.import_module(name)
    gc.freeze()
    places = list(sys.path)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    waited: list[Any] = [listening, woken, 0]
    print("ready", flush=True)
    while True:
        ready = select.select(waited, [], [])[0]
        if 0 in ready:
            break
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(running)
        if listening in ready:
            connection = listening.accept()[0]
            message, files, *_ = socket.recv_fds(connection, _MESSAGE_BYTES, 3)
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for other in (listening, *running.values()):
                    other.close()
                os.close(woken)
                os.close(waker)
                _run(connection, json.loads(message), files, places)
            for file in files:
                os.close(file)
            running[pid] = connection
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _tell_ended(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as connection, suppress(OSError):  # whoever asked has ended before
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _run(connection: socket.socket, order: dict[str, object], files: list[int], places: list[str]) -> None:
    """In the fork: as if Python had been started with a script. Does not return."""
    threading.Thread(target=_obey, args=(connection,), daemon=True).start()
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
        os.environ.clear()
        os.environ.update(order["environment"])  # type: ignore[call-overload]
        os.chdir(str(order["folder"]))
        sys.argv = list(order["arguments"])  # type: ignore[call-overload]
        named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:] = [os.path.dirname(os.path.abspath(sys.argv[0])), *named, *places]
        importlib.invalidate_caches()
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001 (as Python does at the end of a script)
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _obey(connection: socket.socket) -> None:
    """Signals that the one who asked has got; when it has gone, this process goes."""
    while number := connection.recv(1):
        os.kill(os.getpid(), number[0])
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1])
