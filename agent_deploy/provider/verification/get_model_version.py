"""A version of a registered model, by number or alias; mistakes come back as data."""

from __future__ import annotations

from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.model_registry import identity_of
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.plugin.resource import Values

MODELS = "/api/2.1/unity-catalog/models"
MLFLOW_VERSIONS = "/api/2.0/mlflow/unity-catalog/model-versions/get"
READY = "READY"
# How many of the versions that there are an error names.
MAX_NAMED = 20


NOT_FOUND: Values = {
    "modelName": "",
    "version": "",
    "versionId": "",
    "status": "",
    "runId": "",
    "experimentId": "",
    "aliases": [],
    "found": False,
    "workspaceUrl": "",
    "problem": "",
}


def describe_version(workspace: Workspace, name: str, version: str, alias: str) -> Values:
    """``problem`` says why it cannot be deployed, and is empty when it can; raises WorkspaceError."""
    found = _find(workspace, name, version, alias)
    result = {**NOT_FOUND, "modelName": name, "version": version}
    if isinstance(found, str):
        return {**result, "problem": found}
    return {**result, "workspaceUrl": workspace.host, **_described(workspace, name, found)}


def _find(workspace: Workspace, name: str, version: str, alias: str) -> dict[str, Any] | str:
    """The version as the catalog has it, or what is wrong."""
    if version and not version.isdigit():
        return f"{name}: {version!r} is not the number of a version. An alias is given as alias"
    which = f"versions/{version}" if version else f"aliases/{segment(alias)}"
    if (found := workspace.find(f"{MODELS}/{segment(name)}/{which}", {"include_aliases": "true"})) is not None:
        return found
    listed = workspace.find(f"{MODELS}/{segment(name)}/versions", {"max_results": MAX_NAMED})
    if listed is None:
        return f"there is no registered model {name}. Register it in Unity Catalog (registry URI databricks-uc)"
    numbers = sorted(int(each["version"]) for each in listed.get("model_versions") or [])
    there = ", ".join(map(str, numbers)) or "none"
    if version:
        return f"{name} has no version {version} (there: {there}). Register it, or give one that is there"
    return f"{name} has no alias {alias!r} (versions: {there}). Set it in Unity Catalog, or give a version"


def _described(workspace: Workspace, name: str, found: dict[str, Any]) -> Values:
    version, status, run = (str(found.get(key) or "") for key in ("version", "status", "run_id"))
    described: Values = {
        "version": version,
        "versionId": identity_of(found),
        "status": status,
        "runId": run,
        "experimentId": _experiment(workspace, run) if run else _experiment_of_logged_model(workspace, name, version),
        "aliases": sorted(str(alias["alias_name"]) for alias in found.get("aliases") or []),
        "found": True,
    }
    if status and status != READY:
        described["problem"] = f"{name} version {version} is {status}, not READY: wait for its registration, or redo it"
    return described


def _experiment(workspace: Workspace, run: str) -> str:
    """The experiment in which the version was logged; empty when the run is gone or not ours to see."""
    try:
        answer = workspace.get("/api/2.0/mlflow/runs/get", {"run_id": run})
    except ApiError as error:
        if error.is_missing or error.status == 403:
            return ""
        raise
    return str(((answer.get("run") or {}).get("info") or {}).get("experiment_id") or "")


def _experiment_of_logged_model(workspace: Workspace, name: str, version: str) -> str:
    """MLflow 3 logs models without a run, too: the version then names the logged model, which knows its experiment."""
    try:
        found = workspace.get(MLFLOW_VERSIONS, {"name": name, "version": version})
        model = str((found.get("model_version") or {}).get("model_id") or "")
        if not model:
            return ""
        answer = workspace.get(f"/api/2.0/mlflow/logged-models/{segment(model)}")
    except ApiError as error:
        if error.is_missing or error.status == 403:
            return ""
        raise
    return str(((answer.get("model") or {}).get("info") or {}).get("experiment_id") or "")
