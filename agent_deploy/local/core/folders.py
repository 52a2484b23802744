"""Folders that are made while another thread, or a process that is about to end, removes them or makes them anew."""

from __future__ import annotations

from pathlib import Path

_TRIES = 1000


def make(folder: Path, mode: int = 0o777) -> Path:
    """The folder, there at the moment when this returns; raises OSError where none can be made.

    `Path.mkdir` fails, whatever it is told, where the folder goes between its two looks, and where its parent goes.
    """
    for _ in range(_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=mode)
            return folder
        except FileNotFoundError:
            continue  # its parent went
        except FileExistsError:
            if folder.exists():  # a file, for good
                raise
    raise FileNotFoundError(f"{folder} is removed as often as it is made")
