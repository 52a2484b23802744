"""Python scripts that start at once: the engine starts a program and two plugins in every command of a test.

To import Pulumi's SDK takes each of them half a second of a processor, more than most of what they do then. A shim is
an executable that has a `warm_interpreter` run the script in a fork, with the shim's arguments, environment, folder and
files, and that ends as the script ends. Signals go on to the script; when the shim is killed, or whoever started it, so
is the script. What is not a script, and what is to import another package than this, starts Python as ever. The demo's
test, and the one that kills at random, do without (`Stack(…, warm=False)`).
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.engine import pip_list

_SHIM = """#!{python} -IS
import json, os, select, signal, socket, sys

arguments = {first!r} + sys.argv[1:]
while arguments[:1] == ["-u"]:
    arguments = arguments[1:]
if not arguments or arguments[0].startswith("-") or os.environ.get("PYTHONPATH") != {imported!r}:
    os.execv({python!r}, [{python!r}] + {first!r} + sys.argv[1:])
parent = os.getppid()
connection = socket.socket(socket.AF_UNIX)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: connection.sendall(bytes([number])))
connection.connect({address!r})
order = {{"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}}
socket.send_fds(connection, [json.dumps(order).encode()], [0, 1, 2])
while not select.select([connection], [], [], 0.5)[0]:
    if os.getppid() != parent:
        sys.exit(1)
code = int(connection.recv(64) or b"1")
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def python(folder: Path) -> Path:
    """The folder, to be first on PATH: its `python` and `python3` run scripts at once."""
    for name in ("python", "python3"):
        _write(folder / name, [])
    return folder


def plugin(executable: Path, folder: Path) -> Path:
    """The folder with a shim for a plugin that is written in Python; where that lies for one that is not."""
    if not executable.exists() or sys.executable.encode() not in executable.read_bytes()[:1000]:
        return executable.parent
    _write(folder / executable.name, [str(executable)])
    return folder


def _write(path: Path, first: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shim = _SHIM.format(python=sys.executable, first=first, address=_address(), imported=pip_list.answered())
    path.write_text(shim)
    path.chmod(0o755)


@cache
def _address() -> str:
    """Where this process's interpreter listens; it ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="agent-deploy-")
    address = f"{folder.name}/warm"
    process = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("warm_interpreter.py")), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    atexit.register(folder.cleanup)
    atexit.register(process.wait)
    atexit.register(process.stdin.close)
    return address
