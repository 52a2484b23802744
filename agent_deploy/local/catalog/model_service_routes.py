"""Model services: securables of a schema with the API's own form of names (model-services/catalog.schema.name).

They hold who may use them; nothing is sent to the models behind them here.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

KIND = "model_service"
Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]


def routes(metastore: Metastore, workspace: Workspace) -> APIRouter:
    """Create, get and delete; whoever creates one has CREATE SERVICE in the schema."""
    router, access = APIRouter(prefix="/api/2.1/unity-catalog/model-services"), workspace.authorization

    @router.post("")
    def create(body: Body, request: Request, principal: Caller) -> Document:
        query = dict(request.query_params)
        schema = str(required(query, "parent")).removeprefix("schemas/")
        access.require(principal, "CREATE_SERVICE", "schema", schema)
        levels = (*schema.split("."), str(required(query, "model_service_id")))
        return _shown(metastore.create(KIND, levels, principal.name, body))

    @router.get("/{full_name}")
    def get(full_name: str, principal: Caller) -> Document:
        access.require(principal, "BROWSE", KIND, full_name)
        return _shown(metastore.get(KIND, full_name))

    @router.delete("/{full_name}")
    def delete(full_name: str, principal: Caller) -> Document:
        access.require(principal, "MANAGE", KIND, full_name)
        metastore.delete(KIND, full_name)
        return {}

    return router


def _shown(document: Document) -> Document:
    """The API's own words: a resource name, and the owner as `effective_owner`."""
    shown = {name: document[name] for name in ("comment", "config", "metastore_id", "created_by", "updated_by")
             if document.get(name) is not None}  # fmt: skip
    shown |= {"name": f"model-services/{document['full_name']}", "effective_owner": document["owner"]}
    return {**shown, "create_time": _time(document["created_at"]), "update_time": _time(document["updated_at"])}


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat().replace("+00:00", "Z")
