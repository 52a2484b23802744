"""A model's requirements against what is installed: no environment is built here, but what is missing is said."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement


class MissingRequirements(Exception):
    """Distributions that the model needs and that are not installed."""


def check_requirements(model: str) -> None:
    """Print a line for each requirement that is met otherwise than asked; raises for those that are not installed."""
    missing = []
    for requirement in _requirements(Path(model) / "requirements.txt"):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            missing.append(str(requirement))
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            print(f"WARNING: the model asks for {requirement}, installed is {installed}.", flush=True)  # noqa: T201
    if missing:
        raise MissingRequirements(
            f"Not installed: {', '.join(sorted(missing))}. Models are served with the Python environment that runs the"
            " local workspace: install there what the model's requirements.txt names."
        )


def _requirements(file: Path) -> list[Requirement]:
    found = []
    for line in file.read_text().splitlines() if file.exists() else ():
        text = line.partition(" #")[0].strip()
        # Options, paths and constraints files have no name to look for.
        if not text or text.startswith(("#", "-", ".", "/", "code/")):
            continue
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            print(f"WARNING: the requirement {text!r} is not checked: it names no distribution.", flush=True)  # noqa: T201
    return found
