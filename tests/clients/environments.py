"""Environments of the vendor's clients, unmodified: made once by uv from exact pins, kept below .cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_deploy.local import LocalWorkspace

ROOT = Path(__file__).parents[2]
PINS = Path(__file__).parent / "pins"
CACHE = ROOT / ".cache" / "clients"
# Written by: uv pip compile --no-header --no-annotate --universal --python-version 3.10 NAME.in -o NAME.txt
NAMES = ("newest", "oldest")
_UV = Path(sysconfig.get_path("scripts")) / "uv"
_SECONDS = 900


def python_of(name: str) -> Path:
    """The Python of an environment, made where it is not there yet; another worker that makes it is awaited."""
    pins = PINS / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    python, made = folder / "bin" / "python", folder / ".made"
    with _alone(CACHE / f"{name}.lock"):
        if not made.exists():
            started = time.monotonic()
            _tell(f"clients: making the environment {name!r} ({len(pins.read_text().split())} packages)")
            _uv("venv", "--clear", "--no-python-downloads", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--no-deps", "--python", str(python), "--requirement", str(pins))
            made.touch()
            _tell(f"clients: {name!r} is ready after {time.monotonic() - started:.0f} s")
    return python


def variables_of(workspace: LocalWorkspace, home: Path, warehouse_id: str) -> dict[str, str]:
    """What a program of a user knows of the workspace, and nothing of this process's own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DATABRICKS_HOST": workspace.host,
        "DATABRICKS_TOKEN": workspace.token,
        "MLFLOW_TRACKING_URI": "databricks",
        "WAREHOUSE_ID": warehouse_id,
    }


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _uv(*arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    command = [str(_UV), *arguments[:1], "--quiet", *arguments[1:]]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


def _tell(message: str) -> None:
    """Past pytest's capture: it takes a while."""
    print(message, file=sys.__stderr__, flush=True)
