"""A Delta table as a dataset whose files are read without Python: what scans it may still do so when Python ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from deltalake import DeltaTable

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class ForeignFiles(ValueError):
    """The table's log names files that lie outside of its folder."""


def dataset(table: DeltaTable, folder: Path) -> Any:
    """A ``pyarrow.dataset.Dataset`` of the table in this folder.

    Raises ForeignFiles; then deltalake's DeltaProtocolError for a table with deletion vectors or column mapping.
    """
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    _require_own_files(table, folder)
    # Left to itself, deltalake reads files through objects of Python. Arrow's threads still read ahead when whoever
    # asked has enough, and one that then waits for Python while it ends takes the process with it (SIGABRT).
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(str(folder.absolute()), LocalFileSystem()))


def _require_own_files(table: DeltaTable, folder: Path) -> None:
    """Raises ForeignFiles: a pipeline's source writes logs and folders as well, and may name what is not its own."""
    import pyarrow as pa

    root = folder.resolve()
    paths = [unquote(path) for path in pa.table(table.get_add_actions()).column("path").to_pylist()]
    for path in paths:
        leaves = _SCHEME.match(path) or not {"", ".", ".."}.isdisjoint(path.split("/"))
        if leaves or not (root / path).resolve().is_relative_to(root):
            raise ForeignFiles("the log names files outside of its folder, which are not read")
