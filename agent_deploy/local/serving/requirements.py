"""What a model's own files ask of the Python environment that serves it, against the one that runs the workspace."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement

FILE = "requirements.txt"
_PYTHON = re.compile(r"\d+\.\d+")
_INCLUDED = re.compile(r"(-c|--constraint|-r|--requirement)[\s=]*(\S+)")
# What else may be said. --no-binary would have the code of source distributions run, outside of the model's isolation.
_OPTION = re.compile(
    r"(-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|--only-binary)[\s=]+\S+"
    r"|--no-index|--pre|--prefer-binary"
)


class NotTaken(Exception):
    """Requirements that nothing is built of; the text says why."""


@dataclass(frozen=True)
class Asked:
    """``unmet``: what the workspace's environment does not have, in words; nothing where that will do.

    ``python`` is the version (3.11) in which the model was logged, where its files say it.
    """

    unmet: tuple[str, ...]
    python: str
    digest: str


def asked(model: Path) -> Asked:
    """What a version's folder asks for: requirements.txt, python_env.yaml, and the wheels that lie beside them.

    Raises NotTaken.
    """
    model, python = model.resolve(), _python(model)
    sha = hashlib.sha256(f"{sys.version} {python}".encode())
    unmet = []
    for file, (text, bounds) in _files(model, model / FILE, {}).items():
        sha.update(f"{file.relative_to(model)} {bounds} {text}".encode())
        unmet += [found for line in _lines(text) if (found := _unmet(line, model, bounds))]
    for wheel in sorted(model.rglob("*.whl")):
        sha.update(wheel.relative_to(model).as_posix().encode() + wheel.read_bytes())
    return Asked(tuple(unmet), python, sha.hexdigest()[:16])


def _files(
    model: Path, file: Path, found: dict[Path, tuple[str, bool]], bounds: bool = False
) -> dict[Path, tuple[str, bool]]:
    """The text of the file and of those that it includes; with each, whether it only bounds what others ask for."""
    if not file.is_file() or file in found:
        return found
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotTaken(f"{file.name} is no text in UTF-8.") from error
    found[file] = text, bounds
    # uv would put our variables there, and send them to an index that the model names.
    if "${" in text:
        raise NotTaken(f"{file.name} names a variable (${{…}}): write what it stands for, or set your own index.")
    for line in _lines(text):
        if included := _INCLUDED.fullmatch(line):
            other = (file.parent / included[2]).resolve()
            if not (other.is_relative_to(model) and other.is_file()):
                raise NotTaken(f"{file.name}: {line!r} is no file in the model's folder.")
            _files(model, other, found, bounds or included[1] in ("-c", "--constraint"))
        elif line.startswith("-") and not _OPTION.fullmatch(line):
            raise NotTaken(f"{file.name}: {line!r} is not taken here, where models are built from wheels alone.")
    return found


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            yield line


def _unmet(line: str, model: Path, bounds: bool) -> str:
    """Why one line is not met here; empty where it is."""
    if line.startswith("-"):
        return ""
    if _is_file(line, model):
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
        return "" if bounds else f"{requirement} is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    return f"{requirement}, and {installed} is installed"


def _is_file(line: str, model: Path) -> bool:
    try:
        return line.startswith((".", "/")) or (model / line).exists()
    except OSError:
        return False  # longer than a name may be, as with uv's markers


def _python(model: Path) -> str:
    file = model / "python_env.yaml"
    if not file.exists():
        return ""
    described = yaml.safe_load(file.read_text("utf-8"))
    found = _PYTHON.match(str((described or {}).get("python") or "")) if isinstance(described, dict) else None
    return found[0] if found else ""
