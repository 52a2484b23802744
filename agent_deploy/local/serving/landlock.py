"""Landlock, by which a process of any user shuts itself off from files: Linux's own calls, as no library has them.

Source: the kernel's documentation, "Landlock: unprivileged access control", and linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

from agent_deploy.local.core.privacy import LINUX

# The same numbers on every machine that Python runs on.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCKET, _MAKE_FIFO, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 10, 1 << 11
_MAKE_LINK, _REFER, _TRUNCATE = 1 << 12, 1 << 13, 1 << 14
_DEVICES = _MAKE_CHAR | _MAKE_BLOCK
_SPECIAL = _DEVICES | _MAKE_SOCKET | _MAKE_FIFO | _MAKE_LINK
_FIRST = (1 << 13) - 1  # what the first version knew
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Signals to processes outside, and abstract sockets of theirs.
_SCOPES, _SCOPES_SINCE = 0b11, 6
_NETWORK_SINCE = 4


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Of the kernel's Landlock; 0 where there is none, or none that may be used."""
    return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))) if LINUX else 0


def restrict(readable: Iterable[str], writable: Iterable[str], plain: Iterable[str] = ()) -> None:
    """For ever, for this thread and what it starts: no other file is read or written. Missing paths are left out.

    ``plain`` is what it may write as well, files and folders alone: whoever reads or writes there afterwards, with more
    rights than it, is led nowhere else by a link.
    It neither looks into processes outside nor, where the kernel can refuse it, sends them signals. Raises OSError.
    """
    known = version()
    every = _FIRST | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    wanted = _Ruleset(every, 0, _SCOPES if known >= _SCOPES_SINCE else 0)
    size = 24 if known >= _SCOPES_SINCE else 16 if known >= _NETWORK_SINCE else 8
    ruleset = _checked(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in writable:
            _allow(ruleset, path, every & ~_DEVICES)
        for path in plain:
            _allow(ruleset, path, every & ~_SPECIAL)
        _checked(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            rights &= _OF_FILES
        rule = _Rule(rights, folder)
        _checked(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _checked(number: int, *arguments: object) -> int:
    if (answer := _call(number, *arguments)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock refused call {number}: {os.strerror(code)}")
    return answer


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments))
