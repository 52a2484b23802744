"""Routes of /api/2.0/agents/deployments and the little of /api/2.0/managed-evals that a deployment asks for.

The shapes are those that databricks-agents 1.13 sends and reads; every answer has a JSON body.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import forbidden, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document, Store

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[Document, Depends(json_body)]

_RECORD, _NOTES, _REVIEW_APP = "agent_deployment", "agent_review", "review_app"
_OBJECT = "serving-endpoints"
_SENT = ("model_name", "model_version", "endpoint_name", "served_entity_name", "query_endpoint")


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the routes."""
    app.include_router(_deployments(workspace), prefix="/api/2.0/agents/deployments")
    app.include_router(_review_apps(workspace.store), prefix="/api/2.0/managed-evals")


def _deployments(workspace: Workspace) -> APIRouter:
    router, store = APIRouter(), workspace.store

    def managed(principal: Principal, endpoint_name: str, level: str) -> bool:
        """Whether the caller has the level on the endpoint; who has lost it may still tidy up."""
        endpoint = workspace.services["serving"].find(endpoint_name)
        if endpoint is None:
            return True
        return bool(workspace.authorization.allows_object(principal, _OBJECT, endpoint.document["id"], level))

    def records(principal: Principal, model: str | None = None, version: str | None = None) -> list[Document]:
        return [
            record
            for record in store.list(_RECORD)
            if model in (None, record["model_name"])
            and version in (None, record["model_version"])
            and managed(principal, record["endpoint_name"], "CAN_VIEW")
        ]

    @router.post("")
    async def register(body: Body, principal: Caller) -> Any:
        # Clients send the version as a number, and compare it as a string later.
        chain = {name: str(required(body, name)) for name in _SENT if name != "query_endpoint"}
        endpoint = workspace.services["serving"].get(chain["endpoint_name"])
        if not managed(principal, endpoint.name, "CAN_MANAGE"):
            raise forbidden(f"User {principal.name} does not have permission CAN_MANAGE on endpoint '{endpoint.name}'.")
        path = f"/serving-endpoints/{endpoint.name}/served-models/{chain['served_entity_name']}/invocations"
        chain["query_endpoint"] = str(body.get("query_endpoint") or workspace.host + path)
        # A Review App of version 2: clients would otherwise set one up whenever they read the register.
        chain["review_app_url"] = f"{workspace.host}/ml/review-v2/chat?endpoint={endpoint.name}"
        key = f"{chain['model_name']}/{chain['model_version']}"
        store.delete(_RECORD, key)  # the latest deployment is the last of the list
        store.put(_RECORD, key, chain, parent=chain["model_name"])
        return {"deployed_chain": chain}

    @router.get("")
    async def everything(principal: Caller) -> Any:
        return {"chain_deployments": records(principal)}

    @router.get("/{model}")
    async def of_model(model: str, principal: Caller) -> Any:
        return {"chain_deployments": records(principal, model)}

    @router.get("/{model}/versions/{version}")
    async def of_version(model: str, version: str, principal: Caller) -> Any:
        return {"chain_deployments": records(principal, model, version)}

    async def forget(model: str, principal: Caller, version: str | None = None) -> Any:
        for record in records(principal, model, version):
            if managed(principal, record["endpoint_name"], "CAN_MANAGE"):
                store.delete(_RECORD, f"{record['model_name']}/{record['model_version']}")
        return {}

    router.delete("/{model}")(forget)
    router.delete("/{model}/versions/{version}")(forget)
    _add_notes(router, store)
    return router


def _add_notes(router: APIRouter, store: Store) -> None:
    # What reviewers are shown: deprecated by the platform, still asked for by its client.
    for name in ("artifacts", "instructions"):

        async def put(model: str, body: Body, field: str = name) -> Any:
            document = store.get(_NOTES, model) or {}
            store.put(_NOTES, model, {**document, field: body.get(field)})
            return {}

        async def get(model: str, field: str = name) -> Any:
            document = store.get(_NOTES, model) or {}
            return {field: document[field]} if document.get(field) else {}

        router.post(f"/{{model}}/{name}")(put)
        router.get(f"/{{model}}/{name}")(get)


def _review_apps(store: Store) -> APIRouter:
    router = APIRouter()

    @router.get("/monitors/{endpoint}")
    async def monitor(endpoint: str) -> Any:
        raise not_found(f"There is no monitor for endpoint '{endpoint}'.")

    @router.get("/review-apps")
    async def find(request: Request) -> Any:
        wanted = request.query_params.get("filter", "").removeprefix("experiment_id=")
        return {"review_apps": [app for app in store.list(_REVIEW_APP) if wanted in ("", app["experiment_id"])]}

    @router.post("/review-apps")
    async def create(body: Body) -> Any:
        app = {"agents": [], "labeling_schemas": [], **body, "experiment_id": str(required(body, "experiment_id"))}
        app["review_app_id"] = secrets.token_hex(16)
        return store.put(_REVIEW_APP, app["review_app_id"], app)

    @router.patch("/review-apps/{app_id}")
    async def change(app_id: str, body: Body, update_mask: str = "agents") -> Any:
        app = store.get(_REVIEW_APP, app_id)
        if app is None:
            raise not_found(f"Review app '{app_id}' does not exist.")
        fields = {field: body[field] for field in update_mask.split(",") if field in body}
        return store.put(_REVIEW_APP, app_id, {**app, **fields})

    return router
