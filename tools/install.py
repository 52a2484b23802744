"""Installs what a file pins, each download checked against its hash, then a project from its folder.

One line of progress instead of pip's hundreds; all of pip's output where it fails. Standard library only. What is given
behind the file and the project, pip takes in each of its runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Builds pyspark, of which there is no wheel. It is installed before all else, since builds fetch nothing by themselves:
# pip would take the newest there is and check no hash.
BUILDERS = ("setuptools",)
# What pip says of a package when it has chosen it, and when it begins to install them all.
_STEP = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)|(Installing collected packages)")
EVERY_SECONDS = 10.0  # between two lines where there is no terminal to rewrite one


def main(pins: str, project: str, *options: str) -> int:
    """The exit code of the first run of pip that failed, or 0."""
    hashed = ("--require-hashes", "--no-deps", "--no-build-isolation", "--use-pep517")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as builders:
        builders.write(_lines_of(BUILDERS, Path(pins).read_text("utf-8")))
        builders.flush()
        for arguments in ((*hashed, "-r", builders.name), (*hashed, "-r", pins)):
            if (code := _install(*arguments, *options)) != 0:
                return code
    # Not above: there is no hash of a folder. Without an index, since all that the project requires is there by now.
    code = _install("--no-index", "--no-build-isolation", "-e", project, *options)
    if code != 0:
        sys.stderr.write(f"setup: where {pins} lacks what the project requires: make constraints\n")
    return code


def _lines_of(names: tuple[str, ...], pins: str) -> str:
    """The pins of these distributions, with their hashes."""
    entries = re.split(r"(?<!\\)\n", pins)
    return "\n".join(entry for entry in entries if entry.partition("==")[0] in names)


def _install(*arguments: str) -> int:
    """pip's exit code."""
    command = [sys.executable, "-m", "pip", "install", "--progress-bar", "off", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said: list[str] = []
    packages: set[str] = set()
    progress = _Progress()
    for line in process.stdout:
        said.append(line)
        if (step := _STEP.search(line)) is None:
            continue
        if step[1]:
            packages.add(step[1])
            progress.show(f"packages: {len(packages)}, now {step[1]}")
        else:
            progress.show(f"unpacking {len(packages)} packages", at_once=True)
    progress.end()
    code = process.wait()
    if code != 0:
        sys.stderr.write("".join(said))
    return code


class _Progress:
    """One line that is rewritten on a terminal; elsewhere a new one from time to time."""

    def __init__(self) -> None:
        self._rewrites, self._last = sys.stderr.isatty(), 0.0

    def show(self, text: str, at_once: bool = False) -> None:
        """Shows the text."""
        if self._rewrites:
            sys.stderr.write(f"\r\x1b[Ksetup: {text}")
        elif at_once or time.monotonic() - self._last > EVERY_SECONDS:
            self._last = time.monotonic()
            sys.stderr.write(f"setup: {text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leaves the cursor on a line of its own."""
        if self._rewrites:
            sys.stderr.write("\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
