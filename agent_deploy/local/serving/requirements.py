"""What a model's own files ask of the Python environment that serves it, against the one that runs the workspace."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement

FILE = "requirements.txt"
_PYTHON = re.compile(r"\d+\.\d+")
# Without it nothing could load the model; its own line says which version.
_ALWAYS = "mlflow"
_FILES = (".whl", ".zip", ".tar.gz")


@dataclass(frozen=True)
class Asked:
    """``unmet``: what the workspace's environment does not have, in words; nothing where that will do.

    ``lines`` are the requirements, ``python`` the version (3.11) in which the model was logged, where its files say it.
    """

    lines: tuple[str, ...]
    unmet: tuple[str, ...]
    python: str
    digest: str


def asked(model: Path) -> Asked:
    """What a version's folder asks for: requirements.txt, python_env.yaml, and the wheels that lie beside them."""
    file = model / FILE
    text = file.read_text("utf-8") if file.exists() else ""
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    unmet = [found for line in lines if (found := _unmet(line))]
    python = _python(model)
    sha = hashlib.sha256(f"{sys.version} {python} {text}".encode())
    for wheel in sorted(model.rglob("*.whl")):
        sha.update(wheel.relative_to(model).as_posix().encode() + wheel.read_bytes())
    return Asked((*lines, _ALWAYS), tuple(unmet), python, sha.hexdigest()[:16])


def _unmet(line: str) -> str:
    """Why one line is not met here; empty where it is."""
    if line.startswith(("-c", "--constraint", "code/")):
        return ""  # a constraint asks for nothing, and MLflow imports the code beside a model by itself
    if line.startswith("-"):
        return line if line.startswith(("-r", "--requirement", "-e")) else ""
    if line.startswith((".", "/")) or line.endswith(_FILES):
        return f"{line} lies beside the model"
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return line
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    if requirement.url:
        return line
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement} is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    return f"{requirement}, and {installed} is installed"


def _python(model: Path) -> str:
    file = model / "python_env.yaml"
    if not file.exists():
        return ""
    described = yaml.safe_load(file.read_text("utf-8"))
    found = _PYTHON.match(str((described or {}).get("python") or "")) if isinstance(described, dict) else None
    return found[0] if found else ""
