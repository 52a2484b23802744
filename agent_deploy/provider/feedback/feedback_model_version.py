"""The resource FeedbackModelVersion: the feedback model of a schema, adopted or registered, shared by its agents.

Tags of the registered model say that a run of ours made it, and who uses it: the last one to leave takes it along.
"""

from __future__ import annotations

import hashlib
import platform
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.resources import files as package_files
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError, ConnectionLost, WorkspaceError
from agent_deploy.client.model_registry import ModelRegistry, RegisteredModel
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.feedback.feedback_look_up import FeedbackModel, feedback_model
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Failure,
    Found,
    PartialFailure,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import LOOK_UP_PATIENCE, workspace_of
from agent_deploy.provider.workspace.unity_tables import same_name
from agent_deploy.rules.feedback_model import EXECUTED_BY, MADE_BY_TAG, USED_BY_TAG, files
from agent_deploy.rules.names import check_model_name

DESCRIPTION = "Takes feedback on the answers of this schema's agents, and refuses what is none. Made by agent_deploy."


class FeedbackModelVersion(Resource):
    """Id: the model's full name. ``created``: one of our runs made the model, whichever stack's."""

    inputs: ClassVar[tuple[str, ...]] = ("modelName", "ownerMark")
    outputs: ClassVar[tuple[str, ...]] = ("version", "created")
    replaces: ClassVar[frozenset[str]] = frozenset({"modelName"})

    def __init__(self) -> None:
        # Agents of one stack share their schema's model, and are created at the same time.
        self._lock = threading.Lock()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """The name's form; and for a new one whether the model that is there, if there is one, is a feedback model."""
        name = inputs.get("modelName")
        if name is UNKNOWN:
            return inputs, []
        if problems := check_model_name("modelName", name):
            return inputs, [Failure("", str(problem)) for problem in problems]
        if old_inputs.get("modelName") != name:
            try:
                feedback_model(ModelRegistry(workspace_of(context, LOOK_UP_PATIENCE), str(name)), str(name))
            except UserError as error:
                return inputs, [Failure("", str(error))]
        return inputs, []

    def create(self, context: Context, inputs: Values) -> Created:
        """Adopts the highest version that is READY, or registers the model and its first version."""
        return Created(str(inputs["modelName"]), self._settled(context, inputs))

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """Whether the version is still there."""
        registry = ModelRegistry(workspace_of(context, LOOK_UP_PATIENCE), id)
        model = registry.model()
        version = str(old.get("version") or "")
        if model is not None and not old_inputs:
            version = feedback_model(registry, id).version  # an import
        if model is None or not version or not registry.has_version(version):
            return None
        inputs = old_inputs or {"modelName": id}
        return Found(id, {**inputs, "version": version, "created": MADE_BY_TAG in model.tags}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Goes on where an earlier run stopped, or writes another owner's mark."""
        properties = self._settled(context, inputs, str(old.get("version") or ""))
        if properties["created"] and old_inputs.get("ownerMark") != inputs.get("ownerMark"):
            _unmark(ModelRegistry(workspace_of(context), id), old_inputs)
        return properties

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes the model when a run of ours made it and nobody uses it any more; else says why it stays."""
        with self._lock:
            registry = ModelRegistry(workspace_of(context), id)
            model = registry.model()
            if model is None:
                return
            if MADE_BY_TAG not in model.tags:
                context.info(f"{id} is kept: it was there before, and was only used")
                return
            _unmark(registry, old_inputs)
            if users := _users(workspace_of(context), id, model, _tag_of(old_inputs)):
                context.info(f"{id} is kept: it is still used by {', '.join(users)}, and leaves with the last of them")
                return
            try:
                registry.delete()
            except ApiError as error:
                if not error.is_missing:
                    raise

    def _settled(self, context: Context, inputs: Values, version: str = "") -> Values:
        name = str(inputs["modelName"])
        with self._lock:
            registry = ModelRegistry(workspace_of(context), name)
            found = feedback_model(registry, name)
            if not found.exists:
                found = _made(registry, name, inputs)
            partial = {**inputs, "version": version or found.version, "created": found.created}
            if not found.created:
                return partial
            try:
                _mark(registry, found.tags, inputs)
                if not partial["version"]:
                    registry.grant("EXECUTE", EXECUTED_BY)
                    partial["version"] = registry.register("agent_deploy", DESCRIPTION, _files())
            except WorkspaceError as error:
                # The model is there: the next run goes on from here, and a destroy takes it away.
                raise PartialFailure(name, partial, inputs, [str(error)]) from error
            return partial


def _made(registry: ModelRegistry, name: str, inputs: Values) -> FeedbackModel:
    """Registers the model with our tag; somebody else may do so at the same time, or have done it unseen."""
    try:
        registry.create(DESCRIPTION, {MADE_BY_TAG: str(inputs.get("ownerMark") or "agent_deploy")})
        return FeedbackModel(exists=True, created=True)
    except ConnectionLost:
        if registry.model() is None:
            raise
    except ApiError as error:
        if not error.already_exists:
            raise
        if registry.model() is None:
            raise UserError(
                f"{name} exists, but you may not see it: ask its owner for EXECUTE on it (GRANT EXECUTE ON FUNCTION "
                f"{name} TO …), or do without feedback: feedback_model=False"
            ) from error
    return feedback_model(registry, name)


def _files() -> dict[str, str]:
    code = package_files("agent_deploy.rules").joinpath("feedback.py").read_text()
    created = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    return files(code, platform.python_version(), uuid.uuid4().hex, created)


def _tag_of(inputs: Mapping[str, Any]) -> str:
    """The tag's key for one user of the model: keys take fewer characters than marks have."""
    mark = str(inputs.get("ownerMark") or "")
    return USED_BY_TAG + hashlib.sha256(mark.encode()).hexdigest()[:12] if mark else ""


def _mark(registry: ModelRegistry, tags: Mapping[str, str], inputs: Values) -> None:
    key = _tag_of(inputs)
    if not key or key in tags:
        return
    try:
        registry.set_tag(key, str(inputs["ownerMark"]))
    except ApiError as error:
        # Made by another deployer, whose model we only may execute: our endpoint shows that it is used.
        if error.status != 403:
            raise


def _unmark(registry: ModelRegistry, inputs: Values) -> None:
    if not (key := _tag_of(inputs)):
        return
    try:
        registry.delete_tag(key)
    except ApiError as error:
        if error.status != 403 and not error.is_missing:  # see `_mark`
            raise


def _users(workspace: Workspace, name: str, model: RegisteredModel, own_tag: str) -> list[str]:
    """Who else uses the model: by their marks, and endpoints that serve it."""
    marks = [value for key, value in model.tags.items() if key.startswith(USED_BY_TAG) and key != own_tag]
    endpoints = workspace.get(states.PATH).get("endpoints") or []
    serving = [
        f"serving endpoint {endpoint['name']}"
        for endpoint in endpoints
        for config in (endpoint.get("config"), endpoint.get("pending_config"))
        if any(same_name(entity.get("entity_name"), name) for entity in (config or {}).get("served_entities") or ())
    ]
    return [*sorted(marks), *dict.fromkeys(serving)]
