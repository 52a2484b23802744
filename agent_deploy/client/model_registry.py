"""Registered models in Unity Catalog over REST: what there is, and a version made from files, without MLflow.

Source of the steps: MLflow's Unity Catalog store, which does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from agent_deploy.client.errors import ApiError, ConnectionLost, WorkspaceError
from agent_deploy.client.workspace import LIBRARY_ERRORS, Workspace, segment

_REGISTRY = "/api/2.0/mlflow/unity-catalog"
CATALOG = "/api/2.1/unity-catalog"
_FILES = "/api/2.0/fs/files"
_OVER_FILES_API = "is_databricks_sdk_models_artifact_repository_enabled"
_PAGE = 1000  # versions in one answer
READY = "READY"
UPLOAD_SECONDS = 60.0


@dataclass(frozen=True)
class RegisteredModel:
    """A model and its tags."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


def identity_of(version: Mapping[str, Any]) -> str:
    """What tells a version from one that is registered later under its name and number; empty where nothing does."""
    return str(version.get("id") or version.get("created_at") or "")


class ModelRegistry:
    """One model by its full name. Every call raises WorkspaceError."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace, self._name = workspace, name

    def model(self) -> RegisteredModel | None:
        """The model; None when there is none, or none that the caller may see."""
        try:
            answer = self._workspace.get(f"{_REGISTRY}/registered-models/get", {"name": self._name})
        except ApiError as error:
            if error.is_missing:
                return None
            raise
        tags = (answer.get("registered_model") or {}).get("tags") or []
        return RegisteredModel(self._name, {str(tag["key"]): str(tag.get("value") or "") for tag in tags})

    def create(self, description: str, tags: Mapping[str, str]) -> None:
        """Registers the model, still without a version."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        body = {"name": self._name, "description": description, "tags": listed}
        self._workspace.post(f"{_REGISTRY}/registered-models/create", body)

    def delete(self) -> None:
        """Removes the model with its versions, their files and its grants."""
        self._workspace.request("DELETE", f"{_REGISTRY}/registered-models/delete", body={"name": self._name})

    def set_tag(self, key: str, value: str) -> None:
        """Writes one tag of the model."""
        body = {"name": self._name, "key": key, "value": value}
        self._workspace.post(f"{_REGISTRY}/registered-models/set-tag", body, repeatable=True)

    def delete_tag(self, key: str) -> None:
        """Removes one tag of the model."""
        body = {"name": self._name, "key": key}
        self._workspace.request("DELETE", f"{_REGISTRY}/registered-models/delete-tag", body=body)

    def grant(self, privilege: str, principal: str) -> None:
        """Adds a privilege; one that is held already is no error."""
        change = {"principal": principal, "add": [privilege]}
        self._workspace.patch(f"{CATALOG}/permissions/function/{segment(self._name)}", {"changes": [change]})

    def ready_versions(self) -> dict[int, str]:
        """Numbers of the versions that can be served, the lowest first, and what tells each from others."""
        ready = {int(each["version"]): identity_of(each) for each in self._versions() if each.get("status") == READY}
        return dict(sorted(ready.items()))

    def has_version(self, version: str) -> bool:
        """Whether that version is there, in whichever state."""
        return any(str(each["version"]) == version for each in self._versions())

    def text(self, version: str, path: str) -> str:
        """One file of a version."""
        return self._workspace.text(f"{_FILES}{quote(self._path(version, path))}")

    def register(self, source: str, description: str, files: Mapping[str, str]) -> str:
        """A new version of these files, in their order; returns its number when it is READY."""
        body = {"name": self._name, "source": source, "description": description, "feature_deps": ""}
        made = self._workspace.post(f"{_REGISTRY}/model-versions/create", body, repeatable=True)
        version = str(made["model_version"]["version"])
        upload = self._upload(version)
        for path, content in files.items():
            upload(self._path(version, path), content.encode())
        body = {"name": self._name, "version": version}
        self._workspace.post(f"{_REGISTRY}/model-versions/finalize", body, repeatable=True)
        return version

    def _versions(self) -> Iterator[dict[str, Any]]:
        query: dict[str, Any] = {"max_results": _PAGE}
        while True:
            answer = self._workspace.get(f"{CATALOG}/models/{segment(self._name)}/versions", query)
            yield from answer.get("model_versions") or []
            if not answer.get("next_page_token"):
                return
            query["page_token"] = answer["next_page_token"]

    def _path(self, version: str, path: str) -> str:
        return "/".join(("/Models", *self._name.split("."), version, path))

    def _upload(self, version: str) -> Any:
        """How this workspace takes a version's files: over the Files API, or by signed URLs."""
        flag = self._workspace.get(
            f"{_REGISTRY}/registered-models:is-databricks-sdk-models-artifact-repository-enabled"
        )
        if flag.get(_OVER_FILES_API):
            return self._put
        body = {"name": self._name, "version": version, "operation": "MODEL_VERSION_OPERATION_READ_WRITE"}
        path = f"{_REGISTRY}/model-versions/generate-temporary-credentials"
        answer = self._workspace.post(path, body, repeatable=True)
        if (answer.get("credentials") or {}).get("storage_mode") == "DEFAULT_STORAGE":
            return self._put_signed
        raise WorkspaceError(
            f"{self._name}: this workspace takes a model's files only through its cloud's own storage client, which "
            "MLflow brings and this plugin does not. Register the model once with MLflow, as docs/feedback.md shows, "
            "and it is used from then on; or leave it out"
        )

    def _put(self, path: str, content: bytes) -> None:
        self._workspace.request(
            "PUT",
            f"{_FILES}{quote(path)}",
            params={"overwrite": "true"},
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )

    def _put_signed(self, path: str, content: bytes) -> None:
        signed = self._workspace.post("/api/2.0/fs/create-upload-url", {"path": path}, repeatable=True)
        headers = {str(header["name"]): str(header["value"]) for header in signed.get("headers") or []}
        try:
            answer = httpx.put(signed["url"], content=content, headers=headers, timeout=UPLOAD_SECONDS)
        except LIBRARY_ERRORS as error:
            # Not the URL: it is a credential.
            raise ConnectionLost(f"The upload of {path} broke ({type(error).__name__}).") from None
        if not answer.is_success:
            raise WorkspaceError(f"The storage refused the upload of {path} with HTTP {answer.status_code}.")
