"""What a served model is kept from, by what a kernel offers an ordinary user; its own process applies it, first of all.

A model reads Python, the system's programs and its own version; it writes its own home and temporary folder. The rest
of the machine's files, the workspace's folder above all, and the other processes are shut off where Landlock is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from glob import glob
from pathlib import Path
from typing import Any

from agent_deploy.local.core import privacy
from agent_deploy.local.serving import landlock

# Programs, libraries and what they look up; nothing of a user's. What a machine does not have is left out.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix", "/sys"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"),
    *("/etc/timezone", "/run/systemd/resolve", "/var/lib/ca-certificates"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/protocols", "/etc/passwd", "/etc/group", "/etc/os-release", "/etc/mime.types", "/etc/fonts", "/etc/java"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/crypto-policies"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/loadavg"),
    *("/proc/uptime", "/proc/sys"),
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "shm", "dri", "kfd", "nvidia*")
_PACKAGE = Path(__file__).parents[2]
# Runs a module of this package, and does not look it up in the folder that the package lies in. In a checkout the
# workspace's own folder may lie there as well, beside the package: then that folder may not be listed.
_RUN = """
import importlib.util, runpy, sys
package, module = sys.argv[1:3]
del sys.argv[1:3]
spec = importlib.util.spec_from_file_location("agent_deploy", package + "/__init__.py")
sys.modules["agent_deploy"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["agent_deploy"])
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
_IN_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")


def offered(wanted: bool = True) -> str:
    """In plain words for whoever starts a workspace: what keeps served models from the rest of it."""
    if not wanted:
        return "off, as was asked: served models read what you can read"
    if version := landlock.version():
        return f"served models are isolated (Landlock {version})"
    reason = "this kernel has no Landlock" if privacy.LINUX else f"{sys.platform} has no Landlock"
    return f"none, as {reason}: served models read what you can read, this workspace's keys and tokens too"


def terms(
    hidden: Iterable[Path], readable: Iterable[Path], writable: Iterable[Path], plain: Iterable[Path] = ()
) -> dict[str, Any]:
    """For `apply`. ``hidden`` stays so, below whatever it lies, but for the others.

    In ``plain`` it writes files and folders and no links: what the server itself reads and writes, too.
    """
    named = {"hidden": hidden, "readable": readable, "writable": writable, "plain": plain}
    return {name: [str(path.resolve()) for path in paths] for name, paths in named.items()}


def command(module: str, *options: str, python: str = sys.executable) -> tuple[str, ...]:
    """What isolates a process, and what it becomes then: a module of this package, under Python's ``options``."""
    return (python, *options, "-c", _RUN, str(_PACKAGE), module)


def apply(wanted: Mapping[str, Any] | None) -> None:
    """To be called while this process has one thread; a program that it becomes stays isolated. Raises OSError.

    None where it is not wanted.
    """
    if wanted is None:
        return
    privacy.give_up_privileges()
    if not landlock.version():
        return
    # Its own part of /proc. Held open, by what it becomes as well: a rule is on what the kernel made for the path, and
    # it would make that anew.
    os.set_inheritable(os.open("/proc/self", os.O_PATH), True)
    system = [*_SYSTEM, "/proc/self", *_python(), *_named()]
    shown = [part for path in system for part in _without(path, wanted["hidden"])]
    devices = [path for name in _DEVICES for path in glob(f"/dev/{name}")]
    landlock.restrict([*shown, *wanted["readable"]], [*devices, *wanted["writable"]], wanted["plain"])


def _python() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).resolve().parent.parent))
    yield str(_PACKAGE)  # `command` finds it where no path for imports leads to it
    # Where packages are imported from, those that are installed as links to their source included.
    yield from (path for path in sys.path if os.path.isabs(path))


def _named() -> Iterator[str]:
    for name in _IN_VARIABLES:
        yield from filter(os.path.isabs, os.environ.get(name, "").split(os.pathsep))


def _without(path: str, hidden: list[str]) -> Iterator[str]:
    """The path, or where something hidden lies below it, what lies beside that: a rule holds for all that is below."""
    found = os.path.realpath(path)
    if any(_is_below(found, each) for each in hidden):
        return
    if not any(_is_below(each, found) for each in hidden):
        yield path
        return
    try:
        children = os.listdir(found)
    except OSError:
        return
    for child in children:
        yield from _without(os.path.join(found, child), hidden)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
