"""The feedback model of a schema as it is, before anybody serves it: there, to be made, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent_deploy.client.errors import ApiError
from agent_deploy.client.model_registry import ModelRegistry
from agent_deploy.provider.plugin.resource import UserError
from agent_deploy.rules.feedback_model import MADE_BY_TAG, is_feedback_model

_WITHOUT = "Or do without feedback: feedback_model=False"


class NoFeedbackModel(UserError):
    """The name belongs to something that does not take feedback, or that may not be used: then it is ``hidden``."""

    def __init__(self, text: str, hidden: bool = False) -> None:
        super().__init__(text)
        self.hidden = hidden


@dataclass(frozen=True)
class FeedbackModel:
    """What is there. ``version`` is the highest that is READY, or empty, ``version_id`` what tells it from others.

    ``created``: by one of our runs.
    """

    exists: bool = False
    version: str = ""
    created: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    version_id: str = ""


def feedback_model(registry: ModelRegistry, name: str) -> FeedbackModel:
    """The model as it is; raises NoFeedbackModel."""
    try:
        model = registry.model()
        if model is None:
            return FeedbackModel()
        ready = registry.ready_versions()
    except ApiError as error:
        if error.status != 403:
            raise
        raise NoFeedbackModel(_closed(name, error), hidden=True) from error
    newest, identity = max(ready.items(), default=("", ""))
    version = str(newest)
    if MADE_BY_TAG in model.tags:
        return FeedbackModel(True, version, True, model.tags, identity)
    if not version:
        raise NoFeedbackModel(
            f"{name} exists without a version that is READY, and no run of ours has made it: finish it, or remove it. "
            f"{_WITHOUT}"
        )
    _require_feedback(registry, name, version)
    return FeedbackModel(True, version, False, model.tags, identity)


def _require_feedback(registry: ModelRegistry, name: str, version: str) -> None:
    from agent_deploy.rules.mlmodel import MLmodelError, parsed

    try:
        document = parsed(registry.text(version, "MLmodel"))
    except MLmodelError:
        document = {}
    except ApiError as error:
        if error.status != 403 and not error.is_missing:
            raise
        raise NoFeedbackModel(_closed(name, error), hidden=True) from error
    if not is_feedback_model(document):
        raise NoFeedbackModel(
            f"{name} version {version} is another kind of model: a feedback model takes request_id, source, "
            f"text_assessments and retrieval_assessments. Rename it, as agents of this schema need the name. {_WITHOUT}"
        )


def _closed(name: str, error: ApiError) -> str:
    return (
        f"{name} exists, but you may not use it ({error.message}): its owner can grant it (GRANT EXECUTE ON FUNCTION "
        f"{name} TO …). {_WITHOUT}"
    )
