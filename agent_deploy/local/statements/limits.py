"""What one statement, and one user's statements together, may take of the machine: settings of the workspace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from agent_deploy.local.core.errors import invalid
from agent_deploy.local.statements.errors import SqlError

MIB = 1 << 20
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Limits:
    """Each is the workspace's option of its name; what a statement needs beyond them fails it, and nothing else."""

    sql_memory_mib: int = 1024  # of the engine, beyond which it goes on with files
    sql_files_mib: int = 4096  # of those files
    sql_rows: int = 5_000_000  # that are held outside of the engine: results, views, what is to be written
    sql_rows_mib: int = 512  # the same, in memory
    sql_seconds: float = 600.0  # that a statement may run
    sql_per_user: int = 4  # statements of one user that run at the same time
    sql_waiting_per_user: int = 100  # and that wait for their turn

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Limits:
        """Raises 400 for an option that is no number above 0."""
        given = {field.name: options[field.name] for field in fields(cls) if field.name in options}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise invalid(f"The workspace's option {name} is {value!r}: expected a number above 0.")
        return cls(**given)

    def timed_out(self) -> SqlError:
        """Of a statement that ran longer than it may."""
        message = f"The statement ran longer than {self.sql_seconds:g} seconds (the workspace's option sql_seconds)."
        return SqlError("QUERY_EXECUTION_TIMEOUT_EXCEEDED", message)


class Held:
    """The rows that a statement holds outside of the engine, counted before they are held."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows = self._bytes = 0

    def add(self, rows: int, size: int) -> None:
        """Raises SqlError when these are too many."""
        self._rows += rows
        self._bytes += size
        for name, most, found in (
            ("sql_rows", self._limits.sql_rows, self._rows),
            ("sql_rows_mib", self._limits.sql_rows_mib, self._bytes / MIB),
        ):
            if found > most:
                hint = f"more than {most} (the workspace's option {name}): narrow it, or set a row limit"
                raise SqlError("QUERY_EXECUTION_FAILED", f"The rows of the statement are {hint}.")


@contextmanager
def watched(is_over: Callable[[], bool], interrupt: Callable[[], None]) -> Iterator[None]:
    """Within it, ``interrupt`` is called from another thread as soon as ``is_over``, and again until the block ends.

    Once would not do: between two of its steps a statement has nothing that could be interrupted.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            if is_over():
                interrupt()

    thread = threading.Thread(target=watch, name="sql watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def now() -> float:
    """By which deadlines are set."""
    return time.monotonic()
