"""The process of one served entity: loads its model with MLflow and answers requests until the server lets it go.

`shut_off` becomes it: it is isolated already, and its environment is the served entity's. Nothing is on its command
line: what to serve arrives over standard input, which is one end of a socket pair. When the server dies, that socket
closes, and so this process ends.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent_deploy.loading import loading
from agent_deploy.local.core import privacy
from agent_deploy.local.core.supervision import described
from agent_deploy.local.serving import wire

if TYPE_CHECKING:
    from agent_deploy.local.serving.scoring import Scorer

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CONTROL_BYTES = 16


# Before the end of the time that a load may take, the process writes into its log where it is.
_TELL_SECONDS = 5.0


def main() -> None:
    """Load, say ready, serve; the process ends with this, whatever threads the model has started."""
    try:
        _run()
    except BaseException:  # noqa: BLE001 - a main thread that ends alone would leave a process that answers nobody
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _run() -> None:
    privacy.close_to_others()
    privacy.keep_descendants()
    _die_with_the_server()
    control = _control_socket()
    order = wire.receive(control)
    if order is None:
        os._exit(0)
    connections: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
    threading.Thread(target=_watch, args=(control, connections), daemon=True).start()
    try:
        scorer = _load(order[0])
    except BaseException as error:  # noqa: BLE001 - whatever the model's code raises is a failed build, and told
        _say(control, {"failed": described(error)})
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    _say(control, {"ready": True, **scorer.description()})
    while (connection := connections.get()) is not None:
        threading.Thread(target=_serve, args=(connection, scorer), daemon=True).start()
    scorer.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # model code may have left threads that never end


def _load(order: wire.Header) -> Scorer:
    # One that hangs is killed by the server: its log shall say where it hung.
    seconds = order["seconds"]
    faulthandler.dump_traceback_later(max(seconds - _TELL_SECONDS, seconds / 2))
    try:
        return _loaded(order)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _loaded(order: wire.Header) -> Scorer:
    with loading():
        from agent_deploy.local.serving.scoring import Scorer
        from agent_deploy.local.serving.token_file import tell_clients
    tell_clients()
    return Scorer(order["model"], order["endpoint"])


def _serve(connection: socket.socket, scorer: Scorer) -> None:
    # A thread for each connection: a request changes hands nowhere between its socket and the model.
    with connection:
        while (request := wire.receive(connection)) is not None:
            if not _send_all(connection, scorer.answer(*request)):
                return


def _send_all(connection: socket.socket, frames: Iterator[bytes]) -> bool:
    try:
        for frame in frames:
            connection.sendall(frame)
    except ConnectionError:
        # The server hung up: its caller is gone. Ends a generator of the model's.
        frames.close()  # type: ignore[attr-defined]
        return False
    return True


def _watch(control: socket.socket, connections: queue.SimpleQueue[socket.socket | None]) -> None:
    """Each message brings a connection; one without asks for an orderly end; the socket's end is the server's."""
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, _CONTROL_BYTES, _CONTROL_BYTES)
        except ConnectionError:
            message, descriptors = b"", []
        if not message:
            os._exit(0)
        for descriptor in descriptors:
            connections.put(socket.socket(fileno=descriptor))
        if not descriptors:
            connections.put(None)


def _say(control: socket.socket, header: wire.Header) -> None:
    try:
        control.sendall(wire.pack(header))
    except ConnectionError:
        os._exit(0)


def _control_socket() -> socket.socket:
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # model code that reads standard input sees its end
    os.close(null)
    return control


def _die_with_the_server() -> None:
    # The closed socket ends us too, but not while code holds the interpreter's lock; on Linux the kernel does.
    privacy.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
