"""tools/install.py: what is downloaded is what was pinned, and the pins are all that a project needs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "install.py"
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "needs-tiny"
version = "1.0"
dependencies = ["tiny==1.0"{more}]
[tool.hatch.build.targets.wheel]
bypass-selection = true
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The wheel of a distribution without code."""
    file = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as archive:
        information = "tiny-1.0.dist-info"
        archive.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return file


def install(wheel: Path, pin: str, more: str = "") -> subprocess.CompletedProcess[str]:
    """Goes through an installation without a network; nothing is changed."""
    folder = wheel.parents[1]
    (folder / "constraints.txt").write_text(pin)
    (folder / "pyproject.toml").write_text(PROJECT.format(more=more))
    options = ("--dry-run", "--no-index", "--find-links", str(wheel.parent), "--disable-pip-version-check")
    return subprocess.run(
        [sys.executable, str(SCRIPT), "constraints.txt", ".", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pinned(wheel: Path) -> str:
    return f"tiny==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def test_a_download_that_is_not_the_pinned_one_ends_the_installation(wheel: Path) -> None:
    pin = pinned(wheel)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny.py", "print('someone else')")
    done = install(wheel, pin)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_what_is_required_and_not_pinned_is_not_looked_for(wheel: Path) -> None:
    done = install(wheel, pinned(wheel), more=', "other"')
    assert done.returncode == 1
    assert "No matching distribution found for other" in done.stderr
    assert "setup: where constraints.txt lacks what the project requires: make constraints" in done.stderr
