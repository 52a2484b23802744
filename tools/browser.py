"""Finds the Chromium that the browser tests drive, or installs Debian's where that is possible, or says how to."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# On PATH, in this order; macOS keeps applications elsewhere.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_APPLICATIONS = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)
_OVERRIDE = "AGENT_DEPLOY_BROWSER"
REMEDY = (
    "no Chromium nor Chrome was found: install one (Debian and Ubuntu: 'sudo apt-get install chromium'; "
    f"macOS: 'brew install --cask chromium'), or name its executable in {_OVERRIDE}"
)


def find() -> str | None:
    """The executable, or None."""
    if named := os.environ.get(_OVERRIDE):
        return shutil.which(named)
    on_path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    return on_path or next((str(path) for path in _APPLICATIONS if path.exists()), None)


def install() -> str | None:
    """Debian's Chromium, where this process may install packages; None where it may not, or where that fails."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu"],
    ):
        result = subprocess.run(["apt-get", *arguments], env=environment, stdout=sys.stderr, check=False)
        if result.returncode != 0:
            return None
    return find()


def found_or_installed() -> str | None:
    """The executable, installed first where it is missing; one process at a time, as apt-get refuses a second."""
    if executable := find():
        return executable
    with (Path(tempfile.gettempdir()) / f"agent-deploy-browser-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find() or install()


def main() -> int:
    """Print the executable, installed first when it is missing; 1 with what to do when there is none."""
    executable = found_or_installed()
    print(executable or f"browser: {REMEDY}", file=sys.stdout if executable else sys.stderr)
    return 0 if executable else 1


if __name__ == "__main__":
    sys.exit(main())
