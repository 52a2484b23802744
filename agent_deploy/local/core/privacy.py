"""What a process asks of Linux so that others of the same user cannot look into it; elsewhere nothing is asked."""

from __future__ import annotations

import ctypes
import os
import sys

# Source: linux/prctl.h, linux/capability.h.
_SET_DUMPABLE, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 4, 24, 36, 38
_CAPABILITIES = 64  # no kernel has more; those that it does not know it refuses
_CAPABILITY_VERSION = 0x20080522

LINUX = sys.platform == "linux"


def prctl(option: int, value: int) -> bool:
    """Whether the kernel took it."""
    return LINUX and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0


def close_to_others() -> None:
    """Nobody but root reads this process's environment and memory in /proc, or attaches to it."""
    prctl(_SET_DUMPABLE, 0)


def give_up_privileges() -> None:
    """No program that this process starts has more than it, and root's capabilities are gone."""
    prctl(_SET_NO_NEW_PRIVS, 1)
    if not LINUX or os.geteuid() != 0:
        return
    for capability in range(_CAPABILITIES):
        prctl(_CAPBSET_DROP, capability)
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "root's capabilities could not be given up")


def keep_descendants() -> None:
    """What its children leave behind becomes this process's own, so that it is found and ended with it."""
    prctl(_SET_CHILD_SUBREAPER, 1)
