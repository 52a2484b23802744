"""The workspace's state is its owner's alone, whoever made its folder: tokens, keys and people's data lie in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent_deploy.local.core.folders import make

OTHERS = 0o077  # what the group and everybody may
# What lies in a workspace's folder and is ours; a user may have put other things there.
OURS = (
    *(
        "admin.token",
        "server.json",
        "server.lock",
        "server.port",
        "workspace.db",
        "workspace.db-shm",
        "workspace.db-wal",
    ),
    *("workspace.key", ".gitignore", "files", "logs", "mlflow", "models", "pipelines", "pulumi", "pulumi.key"),
    *("scratch", "serving", "statements", "tables"),
)


def make_private(folder: Path) -> None:
    """The folder, made when it is missing, and closed to others; raises PermissionError when it is another user's."""
    make(folder, 0o700)
    _close(folder)


def never_commit(folder: Path) -> None:
    """Tokens and keys lie there: it may stand in a repository, but git passes it over."""
    (folder / ".gitignore").write_text("*\n")


def close_state(folder: Path) -> None:
    """Everything of a workspace's in its folder is closed to others, whoever left it open."""
    for path in _found(folder):
        _close(path)


def _found(folder: Path) -> Iterator[Path]:
    for name in OURS:
        root = folder / name
        if root.is_symlink() or not root.exists():
            continue
        yield root
        for inner, folders, files in os.walk(root):
            yield from (Path(inner, name) for name in (*folders, *files))


def _close(path: Path) -> None:
    mode = path.lstat().st_mode
    # Links have no modes of their own; what they lead to is not ours to change.
    if not stat.S_ISLNK(mode) and mode & OTHERS:
        path.chmod(stat.S_IMODE(mode) & ~OTHERS)
