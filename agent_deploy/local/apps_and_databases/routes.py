"""Routes of apps (/api/2.0/apps) and database instances (/api/2.0/database/instances): one loop over their kinds."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import already_exists, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.object_permissions import CAN_MANAGE

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]

CAN_USE = "CAN_USE"
# Source: Databricks, the APIs' references: both names become part of a host name.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Kind:
    """``type`` is the permissions API's path, which knows such an object by its name."""

    type: str
    path: str
    listed_as: str  # the list's key in answers
    id_field: str
    created_field: str
    fields: tuple[str, ...]  # that a request may give
    state: Mapping[str, Any]  # what the platform shows of one that is not running


KINDS = (
    Kind(
        "apps",
        "/api/2.0/apps",
        "apps",
        "id",
        "create_time",
        ("description", "resources", "user_api_scopes"),
        {"compute_status": {"state": "STOPPED", "message": "The local workspace runs no apps."}},
    ),
    Kind(
        "database-instances",
        "/api/2.0/database/instances",
        "database_instances",
        "uid",
        "creation_time",
        ("capacity", "stopped", "node_count", "retention_window_in_days"),
        {"state": "STOPPED"},
    ),
)


def install(app: FastAPI, workspace: Workspace) -> None:
    """Add the routes."""
    for kind in KINDS:
        app.include_router(_routes(kind, workspace))


def _routes(kind: Kind, workspace: Workspace) -> APIRouter:
    router, store, access = APIRouter(prefix=kind.path), workspace.store, workspace.authorization

    def kept(name: str) -> Document:
        access.object(kind.type, name)
        document = store.get(kind.type, name)
        assert document is not None
        return document

    @router.post("")
    def create(body: Body, principal: Caller) -> Document:
        name = str(required(body, "name"))
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid name {name!r}: expected 1 to 63 letters, digits and '-'.")
        if store.get(kind.type, name) is not None:
            raise already_exists(f"{name} already exists.")
        made = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        document: Document = {"name": name, kind.id_field: str(uuid.uuid4()), "creator": principal.name}
        document |= {kind.created_field: made, **kind.state}
        document |= {field: body[field] for field in kind.fields if body.get(field) is not None}
        store.put(kind.type, name, document)
        access.register_object(kind.type, name, principal)
        return document

    @router.get("")
    def listing(principal: Caller) -> Document:
        seen = (found for found in store.list(kind.type) if access.object_levels(principal, kind.type, found["name"]))
        return {kind.listed_as: list(seen)}

    @router.get("/{name}")
    def get(name: str, principal: Caller) -> Document:
        document = kept(name)
        access.require_object(principal, kind.type, name, CAN_USE)
        return document

    @router.delete("/{name}")
    def delete(name: str, principal: Caller) -> Document:
        document = kept(name)
        access.require_object(principal, kind.type, name, CAN_MANAGE)
        store.delete(kind.type, name)
        access.forget_object(kind.type, name)
        return document

    return router
