"""Where a local workspace keeps what a named object holds: folders whose names are derived from the object's name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

TABLES: Final = "tables"  # in a workspace's folder
CHECKPOINTS: Final = "pipelines"  # beside it: how far a pipeline has read
# Names that every file system and every library that is given a path takes for what they are: Delta Lake and Spark
# have folders of their own whose names begin with an underscore.
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
_DIGEST: Final = re.compile(r"sha256-[0-9a-f]{64}")
_LONGEST: Final = 255  # bytes of a file's name


def folder_name(name: str) -> str:
    """One folder's name for one name: a plain name is its own, any other one's is a digest of it.

    Two names never share a folder, and none has a meaning in a path: Delta Lake's library reads ``%2e%2e`` and a
    backslash as a way upwards, some file systems take ``ü`` for two names and others ``A`` and ``a`` for one.
    """
    if _PLAIN.fullmatch(name) and not _DIGEST.fullmatch(name):
        return name
    return f"sha256-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def is_derived(folder: str) -> bool:
    """Whether a folder has the digest of a name for its own."""
    return _DIGEST.fullmatch(folder) is not None


def is_full_name(name: str) -> bool:
    """Whether the name has the three levels of ``catalog.schema.name``."""
    return name.count(".") == 2 and all(name.split("."))


def securable_folder(root: Path, full_name: str) -> Path:
    """The folder of ``catalog.schema.name`` below ``root``; raises ValueError for a name of other than three levels."""
    if not is_full_name(full_name):
        raise ValueError(f"{full_name!r}: expected a name of three levels, catalog.schema.name")
    return root.joinpath(*map(folder_name, full_name.lower().split(".")))


def table_folder(folder: Path, full_name: str) -> Path:
    """Where the workspace in ``folder`` keeps a Delta table."""
    return securable_folder(folder / TABLES, full_name)


def joined_name(full_name: str) -> str:
    """One folder's name for a name of several levels."""
    joined = ".".join(map(folder_name, full_name.lower().split(".")))
    return joined if len(joined) <= _LONGEST else folder_name(full_name.lower())
