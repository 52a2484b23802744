"""Writes a project's files: all of them or none, and never over one that is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path


class Clash(Exception):
    """Paths that are there already."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)
        super().__init__(", ".join(self.paths))


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Into the folder, which is made; raises Clash or OSError, and leaves nothing of the project then."""
    if clashes := [path for path in files if _is_taken(folder, path)]:
        raise Clash(clashes)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Within it, so that each file is moved, and none is half there.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".agent-deploy-init-") as staged:
            for path, text in files.items():
                _write(Path(staged) / path, text)
            for path in files:
                target = folder / path
                made[:0] = [each for each in target.parents if not each.exists()]
                target.parent.mkdir(parents=True, exist_ok=True)
                (Path(staged) / path).rename(target)
                written.append(target)
    except BaseException:
        for file in written:
            file.unlink()
        for parent in made:
            with suppress(OSError):  # was not made; somebody else has put something there
                parent.rmdir()
        raise


def _is_taken(folder: Path, path: str) -> bool:
    """Whether the file is there, or something else stands in the way to it."""
    target = folder / path
    if os.path.lexists(target):
        return True
    return any(os.path.lexists(each) and not each.is_dir() for each in target.parents)


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
