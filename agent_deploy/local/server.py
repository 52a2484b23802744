"""The local workspace's process: binds 127.0.0.1, tells its parent when it is ready, stops in order on SIGTERM."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from agent_deploy.loading import loading
from agent_deploy.local.core import privacy
from agent_deploy.local.private import OTHERS, close_state, make_private, never_commit
from agent_deploy.local.running import LOG_FILE, PORT_FILE, STATUS_FILE, TOKEN_FILE, hold

ADDRESS = "127.0.0.1"  # never another: tokens and models of a developer's machine are behind it
_DRAIN_SECONDS = 10  # requests that run when the stop comes may finish


class Parent:
    """Lines of JSON to whoever started us: ``{"progress": text}``, then ``{"ready": {…}}`` or ``{"failed": text}``."""

    def __init__(self, descriptor: int | None) -> None:
        self._pipe: TextIOWrapper | None = None if descriptor is None else os.fdopen(descriptor, "w")

    def tell(self, **message: object) -> None:
        """One line; a parent that no longer listens is no matter."""
        if self._pipe is None:
            return
        try:
            self._pipe.write(json.dumps(message) + "\n")
            self._pipe.flush()
        except BrokenPipeError:
            self._pipe = None

    def leave(self) -> None:
        """Nothing more will be told."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; 1 when the folder is in use, the port is taken or the start fails."""
    privacy.close_to_others()  # its environment is the user's, and served models are the same user's processes
    options = _options(arguments)
    parent = Parent(options.ready_fd)
    folder: Path = options.folder.absolute()
    # Whatever is made from here on is its owner's alone, by the processes that this one starts as well.
    os.umask(OTHERS)
    try:
        make_private(folder)
    except PermissionError:
        parent.tell(failed=f"{folder} belongs to another user: name another folder.")
        return 1
    never_commit(folder)
    if hold(folder) is None:  # else until the process has ended: only then may "stopped" be said
        parent.tell(failed=f"Another local workspace runs on {folder}.")
        return 1
    # A killed server left it: until ours is ready, nobody shall take that one's address and process for ours.
    (folder / STATUS_FILE).unlink(missing_ok=True)
    close_state(folder)
    _start_log(folder / LOG_FILE)
    try:
        listener = _listen(options.port, folder / PORT_FILE)
    except OSError as error:
        parent.tell(failed=f"Port {options.port} of {ADDRESS} cannot be had: {error.strerror}.")
        return 1
    try:
        return _serve(folder, listener, parent, json.loads(options.settings), options.stop_with_parent)
    except Exception as error:
        logging.getLogger(__name__).exception("The start failed")
        parent.tell(failed=f"{type(error).__name__}: {error}")
        return 1
    finally:
        listener.close()
        (folder / STATUS_FILE).unlink(missing_ok=True)


def _serve(
    folder: Path, listener: socket.socket, parent: Parent, settings: dict[str, Any], stop_with_parent: bool
) -> int:
    parent.tell(progress="loading the workspace's code")
    # Here, not at the top: a folder in use is told within a moment, and progress is seen meanwhile.
    with loading():
        import uvicorn

        from agent_deploy.local.app import create_app
        from agent_deploy.local.core.context import Workspace
        from agent_deploy.local.moved_folders import move_folders
        from agent_deploy.local.serving import isolation

    parent.tell(progress=f"opening the state in {folder}")
    host = f"http://{ADDRESS}:{listener.getsockname()[1]}"
    workspace = Workspace.open(folder)
    workspace.host = host
    workspace.options = settings
    _keep_admin_token(workspace, folder / TOKEN_FILE)
    move_folders(workspace)
    parent.tell(progress="starting the APIs")
    app = create_app(workspace)
    isolated = isolation.offered(settings.get("serving_isolation", True))
    logging.getLogger(__name__).info("Isolation of served models: %s", isolated)

    def ready() -> None:
        status = {"host": host, "pid": os.getpid(), "workspace_id": workspace.workspace_id, "isolation": isolated}
        _write_private(folder / STATUS_FILE, json.dumps(status))
        parent.tell(ready=status)
        parent.leave()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    config = uvicorn.Config(
        connections(app),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        timeout_keep_alive=75,
        lifespan="on",
        server_header=False,
    )
    server = Server(config)
    if stop_with_parent:
        _watch(sys.stdin.fileno(), lambda: setattr(server, "should_exit", True))
    # Uvicorn stops on these and then raises them again: what comes after it shall still be done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    server.run(sockets=[listener])
    workspace.store.close()
    return 0 if server.started else 1


def connections(app: Any) -> Any:
    """The application with ``scope["state"]["abort"]``, by which a fault cuts the connection under a request."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["abort"] = lambda: _abort(send.__self__.transport)
        await app(scope, receive, send)

    return wrapped


def _abort(transport: Any) -> None:
    # Lingering for zero seconds makes the close a reset, as a broken network would.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agent_deploy.local.server")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="options of the workspace, a JSON object")
    parser.add_argument("--ready-fd", type=int, help="file descriptor for progress and readiness")
    parser.add_argument("--stop-with-parent", action="store_true", help="stop when standard input ends")
    return parser.parse_args(arguments)


def _start_log(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _listen(port: int, memory: Path) -> socket.socket:
    """A socket on the port; for port 0 the one of the last time when it is free, so that clients find it again."""
    last = memory.read_text().strip() if memory.exists() else ""
    if port == 0 and last.isdigit():
        try:
            return _bound(int(last))
        except OSError:
            logging.getLogger(__name__).info("Port %s is taken: another one", last)
    listener = _bound(port)
    memory.write_text(str(listener.getsockname()[1]))
    return listener


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
    except OSError:
        listener.close()
        raise
    return listener


def _keep_admin_token(workspace: Any, path: Path) -> None:
    """The administrator's token lies in a file that its owner alone can read; the state has its digest only."""
    import secrets

    # The file first: a process killed in between must not leave a workspace that nobody can enter.
    if not path.exists():
        _write_private(path, f"dapi{secrets.token_hex(16)}")
    token = path.read_text().strip()
    if workspace.principals.bootstrap(token) is None and not workspace.principals.knows(token):
        workspace.principals.issue_token(workspace.principals.admin_id(), comment="admin", token=token)


def _write_private(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)


def _watch(descriptor: int, ended: Callable[[], None]) -> None:
    def wait() -> None:
        while os.read(descriptor, 1024):
            pass
        ended()

    threading.Thread(target=wait, name="parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
