"""Routes of cluster policies: create, get, list, edit, delete; nothing here makes clusters."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import not_found
from agent_deploy.local.core.json_text import parse_field
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"definition": TEXT}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]
_CHANGEABLE = ("name", "definition", "description", "max_clusters_per_user")


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the routes; policies are documents ``cluster_policy`` by id."""
    router, store = APIRouter(prefix="/api/2.0/policies/clusters"), workspace.store

    def found(policy_id: object) -> Document:
        document = store.get("cluster_policy", str(policy_id))
        if document is None:
            raise not_found(f"Can't find a cluster policy with id: {policy_id}.")
        return document

    @router.post("/create")
    def create(body: Body, principal: Caller) -> Document:
        workspace.authorization.require_admin(principal, "create cluster policies")
        policy_id = uuid.uuid4().hex[:16].upper()
        document = {"policy_id": policy_id, "creator_user_name": principal.name, **_fields(body)}
        store.put("cluster_policy", policy_id, {**document, "created_at_timestamp": int(time.time() * 1000)})
        return {"policy_id": policy_id}

    @router.get("/get")
    def get(policy_id: str, principal: Caller) -> Document:
        return found(policy_id)

    @router.get("/list")
    def listing(principal: Caller) -> Document:
        return {"policies": store.list("cluster_policy")}

    @router.post("/edit")
    def edit(body: Body, principal: Caller) -> Document:
        workspace.authorization.require_admin(principal, "change cluster policies")
        held = found(required(body, "policy_id"))
        store.put("cluster_policy", held["policy_id"], {**held, **_fields(body)})
        return {}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        workspace.authorization.require_admin(principal, "delete cluster policies")
        store.delete("cluster_policy", found(required(body, "policy_id"))["policy_id"])
        return {}

    app.include_router(router)


def _fields(body: Document) -> Document:
    fields = {name: body[name] for name in _CHANGEABLE if body.get(name) is not None}
    required(fields, "name")
    parse_field(fields.get("definition") or "{}", "definition")
    return fields
