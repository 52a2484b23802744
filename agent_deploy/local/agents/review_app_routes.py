"""Review Apps of experiments: the little of /api/2.0/managed-evals that a deployment asks for.

An app has no permissions of its own: who logs to its experiment changes it, who reads the experiment sees it.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document, Store
from agent_deploy.local.tracking.experiments import Experiments

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[Document, Depends(json_body)]

_REVIEW_APP = "review_app"
_CHANGEABLE = ("agents", "labeling_schemas")
_WRITE = "CAN_EDIT"


def routes(store: Store, experiments: Experiments) -> APIRouter:
    """/monitors/{endpoint} and /review-apps."""
    router = APIRouter()

    @router.get("/monitors/{endpoint}")
    async def monitor(endpoint: str) -> Any:
        raise not_found(f"There is no monitor for endpoint '{endpoint}'.")

    @router.get("/review-apps")
    async def find(request: Request, principal: Caller) -> Any:
        wanted = request.query_params.get("filter", "").removeprefix("experiment_id=")
        found = [app for app in store.list(_REVIEW_APP) if wanted in ("", app["experiment_id"])]
        return {"review_apps": [app for app in found if experiments.readable(principal, app["experiment_id"])]}

    @router.post("/review-apps")
    async def create(body: Body, principal: Caller) -> Any:
        experiment_id = str(required(body, "experiment_id"))
        experiments.require(principal, experiment_id, _WRITE)
        app_id = secrets.token_hex(16)
        app = {"review_app_id": app_id, "experiment_id": experiment_id}
        return store.put(_REVIEW_APP, app_id, app | {name: body.get(name) or [] for name in _CHANGEABLE})

    @router.patch("/review-apps/{app_id}")
    async def change(app_id: str, body: Body, principal: Caller, update_mask: str = "agents") -> Any:
        app = store.get(_REVIEW_APP, app_id)
        if app is None:
            raise not_found(f"Review app '{app_id}' does not exist.")
        experiments.require(principal, app["experiment_id"], _WRITE)
        fields = update_mask.split(",")
        if unknown := [field for field in fields if field not in _CHANGEABLE]:
            expected = f"expected one or both of {', '.join(_CHANGEABLE)}; nothing else of a Review App changes"
            raise invalid(f"update_mask {', '.join(unknown)!r}: {expected}.")
        return store.put(_REVIEW_APP, app_id, {**app, **{field: body[field] for field in fields if field in body}})

    return router
