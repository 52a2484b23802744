"""Artifacts of runs, logged models and traces: where they lie, and who may reach them."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.files.storage import Files, Mount
from agent_deploy.local.tracking.access import EDIT, READ
from agent_deploy.local.tracking.experiments import Experiments
from agent_deploy.tables.folders import folder_name

FOLDER = "mlflow/artifacts"  # in the workspace's folder
BASE = "/WorkspaceInternal/Mlflow/Artifacts"  # as MLflow's Databricks client calls it in the Files API
_KINDS = {"Runs": "run", "LoggedModels": "model", "Traces": "trace"}
_FOLDERS = {kind: folder for folder, kind in _KINDS.items()}


def mount(workspace: Workspace, experiments: Experiments) -> Mount:
    """``/WorkspaceInternal/Mlflow/Artifacts/<experiment>/Runs|LoggedModels|Traces/<id>/…``."""

    def resolve(principal: Principal, segments: tuple[str, ...], write: bool) -> Path:
        if len(segments) < 5 or segments[:2] != ("Mlflow", "Artifacts") or segments[3] not in _KINDS:
            raise ApiError(404, "NOT_FOUND", f"Artifacts lie in {BASE}/<experiment>/Runs|LoggedModels|Traces/<id>/.")
        experiment_id, folder, key = segments[2:5]
        experiments.require(principal, experiment_id, EDIT if write else READ)
        if experiments.find(_KINDS[folder], key) != experiment_id:
            raise not_found(f"Experiment {experiment_id} has no {_KINDS[folder]} '{key}'.")
        root = workspace.folder.joinpath(FOLDER, folder_name(experiment_id), folder, folder_name(key))
        return root.joinpath(*segments[5:])

    return resolve


def root_of(experiments: Experiments, kind: str, key: str) -> str:
    """The folder of its artifacts, as a path of the Files API; raises 404."""
    experiment_id = experiments.find(kind, key)
    if not experiment_id:
        raise not_found(f"{kind.capitalize()} '{key}' not found.")
    return f"{BASE}/{experiment_id}/{_FOLDERS[kind]}/{key}/artifacts"


def uri(root: str) -> str:
    """The same folder as MLflow's clients call it."""
    _, _, _, _, experiment_id, folder, key, _ = root.split("/")
    return f"dbfs:/databricks/mlflow-tracking/{experiment_id}/{_IN_URI[folder]}{key}/artifacts"


_IN_URI = {"Runs": "", "LoggedModels": "logged_models/", "Traces": ""}


def listing(files: Files, principal: Principal, root: str, path: str) -> list[dict[str, Any]]:
    """What lies there, files with their sizes."""
    folder = files.locate(principal, posixpath.join(root, path), write=False)
    if folder.is_file():
        return [{"path": path, "is_dir": False, "file_size": folder.stat().st_size}]
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_entry(posixpath.join(path, entry.name), entry) for entry in entries]


def _entry(path: str, entry: Path) -> dict[str, Any]:
    if entry.is_dir():
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.stat().st_size}
