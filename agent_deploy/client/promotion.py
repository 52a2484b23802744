"""A model version is promoted: what stands where is looked up over REST, MLflow's client copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.masking import cause
from agent_deploy.client.model_registry import CATALOG, READY, ModelRegistry
from agent_deploy.client.workspace import Workspace
from agent_deploy.rules.promotion import CHAMPION, PROMOTED_BY, PROMOTED_FROM, Promotion, Source

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODELS = f"{CATALOG}/models"
_FORBIDDEN = 403
_VERSION = "/api/2.0/mlflow/unity-catalog/model-versions/get"


def looked_up(workspace: Workspace, source: Source, target: str, alias: str, previous: str) -> Promotion:
    """What stands where; raises WorkspaceError for a source that is not there or not READY."""
    path = f"{_MODELS}/{source.model}"
    at = f"versions/{source.version}" if source.version else f"aliases/{source.alias or CHAMPION}"
    found = workspace.find(f"{path}/{at}")
    if found is None:
        what = f"version {source.version}" if source.version else f"alias {source.alias or CHAMPION!r}"
        raise WorkspaceError(f"{source.model} has no {what}, or you may not see it")
    version, status = _number(found), found.get("status")
    if status not in (None, READY):
        raise WorkspaceError(f"{source.model} version {version} is {status}: a version that is {READY} can be promoted")
    wanted = Promotion(source.model, version, target, alias, previous)
    try:
        exists = workspace.find(f"{_MODELS}/{target}") is not None
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
        return wanted  # there, and not to be seen: `needs_of` then tells what is lacking
    if not exists:
        return replace(wanted, exists=False)
    return replace(
        wanted,
        copied="" if source.model == target else _copy_of(workspace, wanted),
        champion=_pointed_to(workspace, target, alias),
        former=_pointed_to(workspace, target, previous),
    )


def carry_out(workspace: Workspace, wanted: Promotion) -> str:
    """Does it, in an order in which a run that was cut off is finished by the next; returns the version's number."""
    if not wanted.moves:
        return wanted.number
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise WorkspaceError("promote copies with MLflow, which is not installed: pip install mlflow") from error
    client = MlflowClient(registry_uri="databricks-uc")
    try:
        number = _copied(workspace, client, wanted) if wanted.is_copy else wanted.number
        if wanted.champion:
            client.set_registered_model_alias(wanted.target, wanted.previous, wanted.champion)
        client.set_registered_model_alias(wanted.target, wanted.alias, number)
    except MlflowException as error:
        raise WorkspaceError(f"{wanted.target}: {cause(error)}. Run the same command again to go on") from None
    return number


def _copied(workspace: Workspace, client: MlflowClient, wanted: Promotion) -> str:
    """As `copy_model_version` does it, in its two steps.

    That one makes the model whether it is there or not, for which CREATE MODEL would be needed; and its copy would have
    our tags only afterwards.
    """
    if not wanted.exists:
        client.create_registered_model(wanted.target)
    source = client.get_model_version(wanted.source, wanted.version)
    who = workspace.user_name()
    copy = client.create_model_version(
        wanted.target,
        f"models:/{wanted.source}/{wanted.version}",
        run_id=source.run_id,
        tags={**source.tags, PROMOTED_FROM: wanted.origin, PROMOTED_BY: who},
        run_link=source.run_link,
        description=source.description,
        model_id=source.model_id,
    )
    return str(copy.version)


def _pointed_to(workspace: Workspace, model: str, alias: str) -> str:
    return _number(workspace.find(f"{_MODELS}/{model}/aliases/{alias}") or {})


def _number(found: Mapping[str, Any]) -> str:
    return str(found.get("version") or found.get("version_num") or "")


def _copy_of(workspace: Workspace, wanted: Promotion) -> str:
    """The newest version of the target that was made of that one; empty where none was."""
    versions = sorted(ModelRegistry(workspace, wanted.target).ready_versions(), reverse=True)
    return next((str(each) for each in versions if _origin(workspace, wanted.target, each) == wanted.origin), "")


def _origin(workspace: Workspace, model: str, version: int) -> str:
    found = workspace.get(_VERSION, {"name": model, "version": str(version)}).get("model_version") or {}
    tags = {str(each.get("key")): str(each.get("value") or "") for each in found.get("tags") or []}
    return tags.get(PROMOTED_FROM, "")
