"""`pip install` with one line of progress instead of pip's hundreds; all of pip's output where it fails."""

from __future__ import annotations

import re
import subprocess
import sys
import time

# What pip says of a package when it has chosen it, and when it begins to install them all.
_STEP = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)|(Installing collected packages)")
EVERY_SECONDS = 10.0  # between two lines where there is no terminal to rewrite one


def main() -> int:
    """pip's exit code."""
    command = [sys.executable, "-m", "pip", "install", "--progress-bar", "off", *sys.argv[1:]]
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
    sys.exit(main())
