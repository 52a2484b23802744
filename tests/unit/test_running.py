"""Which server of a local workspace is stopped: the one that holds the folder, however far its start has come."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent_deploy.local.running import STATUS_FILE, hold, status, stop

# Holds the folder, and is ready when a line comes.
STARTING = """
import json, os, sys, time
from pathlib import Path
from agent_deploy.local.running import STATUS_FILE, hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
Path(sys.argv[1], STATUS_FILE).write_text(json.dumps({"pid": os.getpid()}))
time.sleep(60)
"""


def test_without_a_server_nothing_is_stopped(tmp_path: Path) -> None:
    (tmp_path / STATUS_FILE).write_text(json.dumps({"pid": os.getpid()}))
    assert not stop(tmp_path, 1)


def test_a_server_that_is_starting_is_stopped_when_it_is_ready(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server, ThreadPoolExecutor() as threads:  # fmt: skip
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "held\n"
        assert status(tmp_path) is None
        stopping = threads.submit(stop, tmp_path, 30)
        with pytest.raises(TimeoutError):
            stopping.exception(timeout=0.3)
        server.stdin.write("ready\n")
        server.stdin.flush()
        assert stopping.result(timeout=30)
    assert server.returncode == -signal.SIGTERM


def test_a_start_that_takes_too_long_is_told(tmp_path: Path) -> None:
    held = hold(tmp_path)
    assert held is not None
    with pytest.raises(TimeoutError, match="still starting after 0 s"):
        stop(tmp_path, 0.1)
    os.close(held)


def test_a_process_that_is_gone_is_no_error_of_its_own(tmp_path: Path) -> None:
    held = hold(tmp_path)
    assert held is not None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / STATUS_FILE).write_text(json.dumps({"pid": ended.pid}))
    with pytest.raises(TimeoutError, match=f"process {ended.pid} did not stop"):
        stop(tmp_path, 0.1)
    os.close(held)


def test_a_new_server_is_not_taken_for_the_killed_one(tmp_path: Path) -> None:
    (tmp_path / STATUS_FILE).write_text(json.dumps({"pid": os.getpid(), "host": "http://127.0.0.1:1"}))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = [sys.executable, "-m", "agent_deploy.local.server", "--folder", str(tmp_path), "--port", port]
        assert subprocess.run(server, check=False).returncode == 1
    # It ended before it was ready: the file was gone from the moment on which it held the folder.
    assert not (tmp_path / STATUS_FILE).exists()
