"""Routes of Unity Catalog: one loop over the kinds of securable, the metastore's own, models, grants."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.catalog import grant_routes, model_routes, model_service_routes
from agent_deploy.local.catalog.metastore import DEFAULT_CATALOG, Metastore
from agent_deploy.local.catalog.ownership import require_owner, require_transfer
from agent_deploy.local.catalog.paging import asked_page
from agent_deploy.local.catalog.securables import KINDS, Kind
from agent_deploy.local.core.authorization import METASTORE, Authorization
from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import ANY_OBJECT, FLAG, TEXT, Shape, Whole
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry.models import Registry
from agent_deploy.rules.groups import ADMINS

PREFIX = "/api/2.1/unity-catalog"

_LEVELS = {1: ("name",), 2: ("catalog_name", "name"), 3: ("catalog_name", "schema_name", "name")}

Caller = Annotated[Principal, Depends(caller)]
# What `information_schema` shows to everybody, and every statement on the table relies on.
_COLUMN: dict[str, Shape] = {
    "name": TEXT,
    "type_text": TEXT,
    "type_name": TEXT,
    "type_json": TEXT,
    "comment": TEXT,
    "nullable": FLAG,
}
_COLUMN |= {"position": Whole(0, 100_000)}
_PARAMETERS = {"parameters": [_COLUMN]}
_SECURABLE: dict[str, Shape] = {"owner": TEXT, "comment": TEXT, "new_name": TEXT, "columns": [_COLUMN]}
_SECURABLE |= {"options": ANY_OBJECT, "properties": ANY_OBJECT, "table_type": TEXT, "data_source_format": TEXT}
_SECURABLE |= {"data_type": TEXT, "full_data_type": TEXT, "routine_definition": TEXT, "sql_path": TEXT}
_SECURABLE |= {"input_params": _PARAMETERS, "return_params": _PARAMETERS, "volume_type": TEXT}
_SHAPE = {**_SECURABLE, "view_definition": TEXT, "function_info": _SECURABLE}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def install(app: FastAPI, workspace: Workspace, metastore: Metastore, registry: Registry) -> None:
    """Add the routes."""
    app.include_router(_metastore_routes(metastore, workspace))
    app.include_router(_table_routes(metastore, workspace.authorization))
    for kind in KINDS.values():
        if not kind.own_routes:
            app.include_router(_routes(kind, metastore, workspace))
    app.include_router(model_service_routes.routes(metastore, workspace))
    app.include_router(model_routes.routes(workspace, metastore, registry))
    app.include_router(grant_routes.routes(workspace, metastore))


def _metastore_routes(metastore: Metastore, workspace: Workspace) -> APIRouter:
    router = APIRouter(prefix=PREFIX)

    @router.get("/current-metastore-assignment")
    def assignment() -> Document:
        number = int(workspace.workspace_id)
        return {"metastore_id": metastore.id, "workspace_id": number, "default_catalog_name": DEFAULT_CATALOG}

    @router.get("/metastore_summary")
    def summary() -> Document:
        names = {"metastore_id": metastore.id, "name": "local", "global_metastore_id": f"local:{metastore.id}"}
        return {**names, "cloud": "local", "region": "local", "owner": ADMINS, "privilege_model_version": "1.0"}

    return router


def _table_routes(metastore: Metastore, access: Authorization) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/tables")

    @router.get("/{full_name}/exists")
    def exists(full_name: str, principal: Caller) -> Document:
        schema = full_name.rpartition(".")[0]
        access.require(principal, "BROWSE", "schema", schema)
        return {"table_exists": any(t["full_name"] == full_name.lower() for t in metastore.list("table", schema))}

    return router


def _routes(kind: Kind, metastore: Metastore, workspace: Workspace) -> APIRouter:
    router, access = APIRouter(prefix=f"{PREFIX}/{kind.route}"), workspace.authorization

    @router.post("")
    def create(body: Body, principal: Caller) -> Document:
        fields = body["function_info"] if kind.name == "function" and "function_info" in body else body
        _check_names(fields)
        levels = tuple(str(required(fields, name)) for name in _LEVELS[kind.levels])
        parent_type, parent = _parent(levels)
        access.require(principal, kind.creator, parent_type, parent)
        if (owner := fields.get("owner")) is not None:
            require_transfer(workspace, principal, kind.name, fields, owner)
        return shown(metastore.create(kind.name, levels, principal.name, fields))

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        query = request.query_params
        names = [str(required(dict(query), name)) for name in _LEVELS[kind.levels][:-1]]
        parent_type, parent = _parent((*names, ""))
        if parent_type != METASTORE:
            access.require(principal, "BROWSE", parent_type, parent)
        found = metastore.list(kind.name, parent if names else None)
        visible = [shown(document) for document in found if access.visible(principal, kind.name, document["full_name"])]
        return asked_page(kind.route, visible, query)

    @router.get("/{full_name}")
    def get(full_name: str, principal: Caller) -> Document:
        access.require(principal, "BROWSE", kind.name, full_name)
        return shown(metastore.get(kind.name, full_name))

    @router.patch("/{full_name}")
    def change(full_name: str, body: Body, principal: Caller) -> Document:
        access.require(principal, "MANAGE", kind.name, full_name)
        _check_names(body)

        def check(held: Document, changed: Document) -> None:
            if changed["owner"] != held["owner"]:
                require_transfer(workspace, principal, kind.name, changed, changed["owner"])
            if changed.get("view_definition") != held.get("view_definition"):
                require_owner(principal, held, "change the query of a view")

        return shown(metastore.change(kind.name, full_name, principal.name, body, check))

    @router.delete("/{full_name}")
    def delete(full_name: str, request: Request, principal: Caller) -> Document:
        access.require(principal, "MANAGE", kind.name, full_name)
        metastore.get(kind.name, full_name)
        metastore.delete(kind.name, full_name, request.query_params.get("force") == "true")
        return {}

    return router


def _check_names(fields: Document) -> None:
    """Raises 400 for a column or parameter without a name."""
    listed = {"columns": fields.get("columns")}
    for params in ("input_params", "return_params"):
        listed[f"{params}.parameters"] = (fields.get(params) or {}).get("parameters")
    for where, columns in listed.items():
        for index, column in enumerate(columns or []):
            if not column.get("name"):
                raise invalid(f"{where}[{index}].name: expected a name.")


def shown(document: Document) -> Document:
    """What answers show: all but credentials."""
    return {name: value for name, value in document.items() if name != "sealed_options"}


def _parent(levels: tuple[str, ...]) -> tuple[str, str]:
    kinds = (METASTORE, "catalog", "schema")
    return kinds[len(levels) - 1], ".".join(levels[:-1]) or METASTORE
