"""Routes of /api/2.0/secrets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.secrets.scopes import MANAGE, READ, WRITE, Scopes

Caller = Annotated[Principal, Depends(caller)]
_SCOPE_FIELDS = ("scope", "initial_manage_principal", "scope_backend_type")
_SECRET_FIELDS = ("key", "string_value", "bytes_value", "principal", "permission")
_SHAPE = dict.fromkeys((*_SCOPE_FIELDS, *_SECRET_FIELDS), TEXT)
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def install(app: FastAPI, scopes: Scopes) -> None:
    """Add the routes."""
    app.include_router(_scope_routes(scopes))
    app.include_router(_secret_routes(scopes))
    app.include_router(_acl_routes(scopes))


def _scope_routes(scopes: Scopes) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/secrets/scopes")

    @router.post("/create")
    def create(body: Body, principal: Caller) -> Document:
        scopes.create_scope(body, principal)
        return {}

    @router.get("/list")
    def listing(principal: Caller) -> Document:
        return {"scopes": [{"name": s["name"], "backend_type": "DATABRICKS"} for s in scopes.scopes(principal)]}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        scopes.require(required(body, "scope"), principal, MANAGE)
        scopes.delete_scope(body["scope"])
        return {}

    return router


def _secret_routes(scopes: Scopes) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/secrets")

    @router.post("/put")
    def put(body: Body, principal: Caller) -> Document:
        scopes.require(required(body, "scope"), principal, WRITE)
        scopes.put(body["scope"], body)
        return {}

    @router.get("/get")
    def get(scope: str, key: str, principal: Caller) -> Document:
        return {"key": key, "value": scopes.value(scope, key, principal)}

    @router.get("/list")
    def listing(scope: str, principal: Caller) -> Document:
        scopes.require(scope, principal, READ)
        return {"secrets": scopes.secrets(scope)}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        scopes.require(required(body, "scope"), principal, WRITE)
        scopes.delete(body["scope"], required(body, "key"))
        return {}

    return router


def _acl_routes(scopes: Scopes) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/secrets/acls")

    @router.post("/put")
    def put(body: Body, principal: Caller) -> Document:
        scopes.require(required(body, "scope"), principal, MANAGE)
        scopes.put_acl(body["scope"], required(body, "principal"), body.get("permission"))
        return {}

    @router.get("/get")
    def get(scope: str, principal: str, by: Caller) -> Document:
        scopes.require(scope, by, MANAGE)
        return scopes.acl(scope, principal)

    @router.get("/list")
    def listing(scope: str, by: Caller) -> Document:
        scopes.require(scope, by, MANAGE)
        return {"items": scopes.acls(scope)}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        scopes.require(required(body, "scope"), principal, MANAGE)
        scopes.delete_acl(body["scope"], required(body, "principal"))
        return {}

    return router
