"""Processes that a test started: which there are, and whether they have ended."""

from __future__ import annotations

import time

import psutil


def descendants(pid: int, command: str) -> list[int]:
    """Ids of the processes below this one, forks included, whose command line has the text."""
    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if command in " ".join(child.cmdline())]


def alive(pid: int) -> bool:
    """Whether the process lives (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_end(pid: int, seconds: float = 30) -> None:
    """Returns when the process has ended."""
    deadline = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)
