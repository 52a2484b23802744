"""Finds the Java that Spark runs on, or says how to get one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MINIMUM_VERSION: Final = 17  # of Spark 4
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_VERSION_SECONDS = 30.0


class JavaMissing(Exception):
    """There is no Java that Spark can run on; the message says how to get one."""


def find_java() -> Path:
    """The home of a Java of version 17 or newer: JAVA_HOME, else the `java` on PATH. Raises JavaMissing."""
    seen: list[str] = []
    for source, executable in _candidates():
        version = _version(executable)
        if version is not None and version >= MINIMUM_VERSION:
            return executable.resolve().parent.parent
        told = "does not run" if version is None else f"is version {version}"
        seen.append(f"{executable} (from {source}) {told}")
    found = "; ".join(seen) if seen else "neither JAVA_HOME nor PATH leads to one"
    raise JavaMissing(
        f"Apache Spark needs Java {MINIMUM_VERSION} or newer: {found}. Install one (Debian, Ubuntu: apt-get install "
        f"openjdk-{MINIMUM_VERSION}-jre-headless; macOS: brew install openjdk@{MINIMUM_VERSION}), "
        "or set JAVA_HOME to its folder."
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home, "bin", "java")
    if on_path := shutil.which("java"):
        yield "PATH", Path(on_path)


def _version(executable: Path) -> int | None:
    try:
        told = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(told.stderr + told.stdout)
    return int(match[1]) if match else None
