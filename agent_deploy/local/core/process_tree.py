"""The end of a process together with all that it has started, groups and sessions of their own included."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

_LOOK_SECONDS = 0.01


def kill_process_tree(pid: int) -> None:
    """Kill a process and its descendants, and wait until none is left that could still write.

    They are halted first, so that none starts another while the tree is counted.
    """
    tree: set[psutil.Process] = set()
    while new := _members(pid) - tree:
        for process in new:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        tree |= new
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    while any(_runs(process) for process in tree):
        time.sleep(_LOOK_SECONDS)


def _runs(process: psutil.Process) -> bool:
    """Not so one that is dead and that its parent, which may take its time, has yet to look after."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _members(pid: int) -> set[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return {first, *first.children(recursive=True)}
    return set()
