"""Routes of SCIM: one loop over users, service principals and groups; /Me; tokens and OAuth beside it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response

from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.identity import oauth_routes, token_routes
from agent_deploy.local.identity.resources import KINDS, SERVICE_PRINCIPAL, USER, Kind, Resources
from agent_deploy.local.identity.scim import ScimError, matching, page, patched, selected

PREFIX = "/api/2.0/preview/scim/v2"

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"Operations": [{"op": TEXT, "path": TEXT}]}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def install(app: FastAPI, workspace: Workspace, resources: Resources) -> None:
    """Add the routes."""
    app.include_router(_me(resources))
    for kind in KINDS:
        app.include_router(_routes(kind, resources))
    app.include_router(oauth_routes.routes(workspace))
    app.include_router(token_routes.routes(workspace))


def _me(resources: Resources) -> APIRouter:
    router = APIRouter(prefix=PREFIX)

    @router.get("/Me")
    def me(request: Request, principal: Caller) -> Document:
        kind = USER if principal.kind == "user" else SERVICE_PRINCIPAL
        answer = resources.shown(kind, resources.own(kind, principal.id))
        # A service principal's user name is its application id: clients ask nothing else of /Me.
        answer = {**answer, "userName": principal.name}
        return selected(answer, None, request.query_params.get("excludedAttributes"))

    return router


def _routes(kind: Kind, resources: Resources) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/{kind.route}")

    @router.get("")
    def listing(request: Request) -> Document:
        query, found = request.query_params, resources.list(kind)
        if expression := query.get("filter"):
            found = list(filter(matching(expression), found))
        shown = [selected(resource, query.get("attributes"), query.get("excludedAttributes")) for resource in found]
        return page(shown, query.get("startIndex"), query.get("count"))

    @router.post("", status_code=201)
    def create(body: Body, principal: Caller) -> Document:
        _require_admin(principal)
        return resources.shown(kind, resources.create(kind, body))

    @router.get("/{resource_id}")
    def get(resource_id: str, request: Request) -> Document:
        query, document = request.query_params, resources.get(kind, resource_id)
        return selected(resources.shown(kind, document), query.get("attributes"), query.get("excludedAttributes"))

    @router.put("/{resource_id}")
    def replace(resource_id: str, body: Body, principal: Caller) -> Document:
        _require_admin(principal)
        return resources.shown(kind, resources.replace(kind, resource_id, body))

    @router.patch("/{resource_id}")
    def change(resource_id: str, body: Body, principal: Caller) -> Document:
        _require_admin(principal)
        document = patched(resources.get(kind, resource_id), body.get("Operations") or [])
        return resources.shown(kind, resources.change(kind, resource_id, document))

    @router.delete("/{resource_id}", status_code=204)
    def delete(resource_id: str, principal: Caller) -> Response:
        _require_admin(principal)
        if resource_id == principal.id:
            raise ScimError(400, "mutability", "Nobody can delete himself: ask another workspace admin.")
        resources.delete(kind, resource_id)
        return Response(status_code=204)

    return router


def _require_admin(principal: Principal) -> None:
    if not principal.is_admin:
        raise ScimError(403, "", "Only workspace admins may change users, groups and service principals.")
