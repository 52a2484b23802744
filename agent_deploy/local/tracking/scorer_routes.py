"""Routes of registered scorers: /api/2.0/managed-evals, as MLflow's client for Databricks sends them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import NUMBER, TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.tracking.access import EDIT, READ
from agent_deploy.local.tracking.experiments import Experiments
from agent_deploy.local.tracking.scorers import Scorers, shown

Caller = Annotated[Principal, Depends(caller)]
_SCORER = {"name": TEXT, "serialized_scorer": TEXT, "sample_rate": NUMBER, "filter_string": TEXT}
Body = Annotated[dict[str, Any], Depends(body_of({"scheduled_scorers": {"scorers": [_SCORER]}, "update_mask": TEXT}))]


def routes(scorers: Scorers, experiments: Experiments) -> APIRouter:
    """How scorers are scheduled, and their versions. Nothing runs them by itself here."""
    router = APIRouter(prefix="/api/2.0/managed-evals")
    _add_schedules(router, scorers, experiments)
    _add_versions(router, scorers, experiments)
    return router


def _add_schedules(router: APIRouter, scorers: Scorers, experiments: Experiments) -> None:
    @router.get("/scheduled-scorers/{experiment_id}")
    def get(experiment_id: str, principal: Caller) -> Document:
        experiments.require(principal, experiment_id, READ)
        return _answer(experiment_id, scorers.scheduled(experiment_id))

    @router.post("/scheduled-scorers/{experiment_id}")
    def create(experiment_id: str, body: Body, principal: Caller) -> Document:
        experiments.require(principal, experiment_id, EDIT)
        return _answer(experiment_id, scorers.create(experiment_id, _wanted(body)))

    @router.patch("/scheduled-scorers/{experiment_id}")
    def update(experiment_id: str, body: Body, principal: Caller) -> Document:
        experiments.require(principal, experiment_id, EDIT)
        scorers.require(experiment_id)
        return _answer(experiment_id, scorers.replace(experiment_id, _wanted(body)))


def _add_versions(router: APIRouter, scorers: Scorers, experiments: Experiments) -> None:
    @router.get("/experiments/{experiment_id}/scorers/{key}/versions")
    def listing(experiment_id: str, key: str, principal: Caller) -> Document:
        experiments.require(principal, experiment_id, READ)
        name = _name(key)
        found = scorers.versions(experiment_id, name)
        return {"scorer_versions": [shown(experiment_id, key, name, version) for version in found]}

    @router.get("/experiments/{experiment_id}/scorers/{key}/versions/{version}")
    def get(experiment_id: str, key: str, version: int, principal: Caller) -> Document:
        experiments.require(principal, experiment_id, READ)
        name = _name(key)
        return shown(experiment_id, key, name, scorers.version(experiment_id, name, version))

    @router.delete("/experiments/{experiment_id}/scorers/{key}/versions/{version}")
    def delete(experiment_id: str, key: str, version: int, principal: Caller) -> Document:
        experiments.require(principal, experiment_id, EDIT)
        scorers.delete_version(experiment_id, _name(key), version)
        return {}


def _wanted(body: Document) -> list[Document]:
    given: list[Document] = (body.get("scheduled_scorers") or {}).get("scorers") or []
    for scorer in given:
        for field in ("name", "serialized_scorer"):
            required(scorer, field)
    return given


def _name(key: str) -> str:
    try:
        return urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid(f"scorer {key!r}: expected its name in base64, without padding.") from error


def _answer(experiment_id: str, found: list[Document]) -> Document:
    return {"scheduled_scorers": {"scorers": found}, "experiment_id": experiment_id}
