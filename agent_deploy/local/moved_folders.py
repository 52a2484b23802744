"""Moves the folders that an earlier version made: they were called after their objects, letter by letter."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent_deploy.local.catalog.metastore import VOLUMES
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.registry.models import MODELS
from agent_deploy.local.tracking.artifacts import FOLDER as ARTIFACTS
from agent_deploy.tables.folders import CHECKPOINTS, TABLES, folder_name, is_derived

_DONE = "folders_moved"
_NAME, _FIXED, _JOINED = "one name", "always the same", "a name of several levels"
# What the folders below each of these were called after, level by level.
_ROOTS: Mapping[str, tuple[str, ...]] = {
    TABLES: (_NAME, _NAME, _NAME),
    VOLUMES: (_NAME, _NAME, _NAME),
    MODELS: (_NAME, _NAME, _NAME),
    ARTIFACTS: (_NAME, _FIXED, _NAME),
    CHECKPOINTS: (_JOINED,),
}
_log = logging.getLogger(__name__)


def move_folders(workspace: Workspace) -> None:
    """Once for a workspace, before anything reads the folders; a start that is killed meanwhile is gone on with."""
    if workspace.store.get("settings", _DONE) is not None:
        return
    for root, levels in _ROOTS.items():
        _move_below(workspace.folder / root, levels)
    _correct_locations(workspace)
    workspace.store.put("settings", _DONE, {})


def _move_below(folder: Path, levels: tuple[str, ...]) -> None:
    if not levels:
        return
    for found in list(_folders(folder)):
        wanted = found.with_name(_wanted(found.name, levels[0]))
        _move_below(found, levels[1:])
        if wanted == found:
            continue
        if wanted.exists():
            _log.warning("%s stays where it is: there is %s already", found, wanted)
            continue
        found.rename(wanted)
        _log.info("%s is %s now", found, wanted)


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (found for found in folder.iterdir() if found.is_dir() and not found.is_symlink())


def _wanted(name: str, level: str) -> str:
    if level == _FIXED:
        return name
    parts = name.split(".") if level == _JOINED else [name]
    return ".".join(part if is_derived(part) else folder_name(part) for part in parts)


def _correct_locations(workspace: Workspace) -> None:
    """Of tables and volumes whose folder has another name now."""
    for kind, root in (("table", TABLES), ("volume", VOLUMES)):
        for document in workspace.store.list(kind):
            levels = document["full_name"].split(".")
            if document.get("storage_location") == workspace.folder.joinpath(root, *levels).as_uri():
                moved = workspace.folder.joinpath(root, *map(folder_name, levels)).as_uri()
                parent = document["full_name"].rpartition(".")[0]
                workspace.store.put(kind, document["full_name"], {**document, "storage_location": moved}, parent)
