"""Routes of /api/2.0/agents/deployments; those of Review Apps are added here, too.

The shapes are those that databricks-agents 1.13 sends and reads; every answer has a JSON body.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.agents import note_routes, review_app_routes
from agent_deploy.local.agents.register import MANAGE, Register
from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving.endpoints import Endpoints
from agent_deploy.local.tracking.experiments import Experiments

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[Document, Depends(json_body)]

PREFIX = "/api/2.0/agents/deployments"
_SENT = ("model_name", "model_version", "endpoint_name", "served_entity_name", "query_endpoint")


def install(
    app: FastAPI, workspace: Workspace, register: Register, endpoints: Endpoints, experiments: Experiments
) -> None:
    """Add the routes."""
    app.include_router(_deployments(workspace, register, endpoints), prefix=PREFIX)
    app.include_router(note_routes.routes(workspace, register), prefix=PREFIX)
    app.include_router(review_app_routes.routes(workspace.store, experiments), prefix="/api/2.0/managed-evals")


def _deployments(workspace: Workspace, register: Register, endpoints: Endpoints) -> APIRouter:
    router = APIRouter()

    @router.post("")
    async def add(body: Body, principal: Caller) -> Any:
        # Clients send the version as a number, and compare it as a string later.
        chain = {name: str(required(body, name)) for name in _SENT if name != "query_endpoint"}
        endpoint = endpoints.get(chain["endpoint_name"])
        # The record that this one replaces may be another endpoint's.
        register.require(principal, [chain, *register.records(chain["model_name"], chain["model_version"])])
        path = f"/serving-endpoints/{endpoint.name}/served-models/{chain['served_entity_name']}/invocations"
        chain["query_endpoint"] = str(body.get("query_endpoint") or workspace.host + path)
        # A Review App of version 2: clients would otherwise set one up whenever they read the register.
        chain["review_app_url"] = f"{workspace.host}/ml/review-v2/chat?endpoint={endpoint.name}"
        register.put(chain)
        return {"deployed_chain": chain}

    @router.get("")
    async def everything(principal: Caller) -> Any:
        return {"chain_deployments": register.visible(principal)}

    @router.get("/{model}")
    async def of_model(model: str, principal: Caller) -> Any:
        return {"chain_deployments": register.visible(principal, model)}

    @router.get("/{model}/versions/{version}")
    async def of_version(model: str, version: str, principal: Caller) -> Any:
        return {"chain_deployments": register.visible(principal, model, version)}

    async def forget(model: str, principal: Caller, version: str | None = None) -> Any:
        for record in register.records(model, version):
            if register.allows(principal, record, MANAGE):
                register.forget(record)
        return {}

    router.delete("/{model}")(forget)
    router.delete("/{model}/versions/{version}")(forget)
    return router
