"""Artifacts of runs, logged models and traces: where they lie, who may reach them, the URLs that clients are given."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT, TEXTS
from agent_deploy.local.files.storage import Files, Mount
from agent_deploy.local.tracking.access import EDIT, READ
from agent_deploy.local.tracking.experiments import Experiments
from agent_deploy.tables.folders import folder_name

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"run_id": TEXT, "path": TEXTS, "paths": TEXTS}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]

Transfer = Literal["download", "upload"]

FOLDER = "mlflow/artifacts"  # in the workspace's folder
BASE = "/WorkspaceInternal/Mlflow/Artifacts"  # as MLflow's Databricks client calls it in the Files API
_KINDS = {"Runs": "run", "LoggedModels": "model", "Traces": "trace"}
_FOLDERS = {kind: folder for folder, kind in _KINDS.items()}
_TRACE_DATA = "traces.json"
# Clients put the whole file to a URL of this type; for AWS's they would ask for one URL per part.
_URL_TYPE = "GCP_SIGNED_URL"


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


def routes(experiments: Experiments, files: Files) -> APIRouter:
    """Listings, and URLs for reading and writing, which older clients ask for and newer ones fall back to."""
    router = APIRouter(prefix="/api/2.0/mlflow")

    def urls(principal: Principal, kind: str, key: str, paths: list[str], method: str) -> Iterator[dict[str, Any]]:
        root = _root(experiments, kind, key)
        for path in paths:
            url = files.sign(principal, posixpath.join(root, path), method)
            yield {"path": path, "signed_uri": url, "type": _URL_TYPE, "headers": []}

    @router.get("/artifacts/list")
    def run_artifacts(principal: Caller, run_id: str, path: str = "") -> dict[str, Any]:
        root = _root(experiments, "run", run_id)
        return {"root_uri": _uri(root), "files": _listing(files, principal, root, path)}

    @router.get("/logged-models/{model_id}/artifacts/directories")
    def model_artifacts(principal: Caller, model_id: str, artifact_directory_path: str = "") -> dict[str, Any]:
        root = _root(experiments, "model", model_id)
        return {"root_uri": _uri(root), "files": _listing(files, principal, root, artifact_directory_path)}

    @router.post("/artifacts/credentials-for-{purpose}")
    def run_urls(principal: Caller, body: Body, purpose: Literal["read", "write"]) -> dict[str, Any]:
        run_id, method = required(body, "run_id"), {"read": "GET", "write": "PUT"}[purpose]
        found = urls(principal, "run", run_id, body.get("path") or [], method)
        return {"credential_infos": [{"run_id": run_id, **url} for url in found]}

    @router.post("/logged-models/{model_id}/artifacts/credentials-for-{purpose}")
    def model_urls(principal: Caller, body: Body, model_id: str, purpose: Transfer) -> dict[str, Any]:
        method = {"download": "GET", "upload": "PUT"}[purpose]
        found = urls(principal, "model", model_id, body.get("paths") or [], method)
        return {"credentials": [{"credential_info": {"model_id": model_id, **url}} for url in found]}

    @router.get("/traces/{trace_id}/credentials-for-data-{purpose}")
    def trace_url(
        principal: Caller, trace_id: str, purpose: Transfer, path: str = Query(_TRACE_DATA)
    ) -> dict[str, Any]:
        method = {"download": "GET", "upload": "PUT"}[purpose]
        (url,) = urls(principal, "trace", trace_id, [path], method)
        return {"credential_info": url}

    return router


def _root(experiments: Experiments, kind: str, key: str) -> str:
    experiment_id = experiments.find(kind, key)
    if not experiment_id:
        raise not_found(f"{kind.capitalize()} '{key}' not found.")
    return f"{BASE}/{experiment_id}/{_FOLDERS[kind]}/{key}/artifacts"


def _uri(root: str) -> str:
    _, _, _, _, experiment_id, folder, key, _ = root.split("/")
    return f"dbfs:/databricks/mlflow-tracking/{experiment_id}/{_IN_URI[folder]}{key}/artifacts"


_IN_URI = {"Runs": "", "LoggedModels": "logged_models/", "Traces": ""}


def _listing(files: Files, principal: Principal, root: str, path: str) -> list[dict[str, Any]]:
    folder = files.locate(principal, posixpath.join(root, path), write=False)
    if folder.is_file():
        return [{"path": path, "is_dir": False, "file_size": folder.stat().st_size}]
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_entry(posixpath.join(path, entry.name), entry) for entry in entries]


def _entry(path: str, entry: Path) -> dict[str, Any]:
    if entry.is_dir():
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.stat().st_size}
