"""Unity Catalog's own routes of registered models; MLflow's registry has others for the same documents."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.catalog.models import Models
from agent_deploy.local.catalog.paging import asked_page
from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import Workspace, caller
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import ID, TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry.models import Registry

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"new_name": TEXT, "owner": TEXT, "comment": TEXT, "version_num": ID}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def routes(workspace: Workspace, metastore: Metastore, registry: Registry) -> APIRouter:
    """/models, /models/{full_name}/versions and /models/{full_name}/aliases."""
    router = APIRouter(prefix="/api/2.1/unity-catalog/models")
    models = Models(workspace, metastore, registry)
    _add_models(router, models)
    _add_versions(router, models)
    _add_aliases(router, models)
    return router


def _add_models(router: APIRouter, models: Models) -> None:
    access, registry = models.access, models.registry

    @router.post("")
    def create(body: Body, principal: Caller) -> Document:
        schema = f"{required(body, 'catalog_name')}.{required(body, 'schema_name')}"
        access.require(principal, "CREATE_MODEL", "schema", schema)
        name = f"{schema}.{required(body, 'name')}".lower()
        return models.shown(registry.create_model(name, principal.name, str(body.get("comment") or "")))

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        query = request.query_params
        found = [m for m in registry.models() if _is_in(m, query.get("catalog_name"), query.get("schema_name"))]
        visible = [models.shown(m) for m in found if access.visible(principal, "function", m["full_name"])]
        return asked_page("registered_models", visible, query)

    @router.get("/{full_name}")
    def get(full_name: str, request: Request, principal: Caller) -> Document:
        model = models.reached(principal, "BROWSE", full_name)
        return models.shown(model, aliases=request.query_params.get("include_aliases") == "true")

    @router.patch("/{full_name}")
    def change(full_name: str, body: Body, principal: Caller) -> Document:
        model = models.reached(principal, "MANAGE", full_name)
        if (new_name := body.get("new_name")) and new_name.lower() != model["name"]:
            moved = f"{model['full_name'].rpartition('.')[0]}.{new_name}"
            model = registry.rename_model(model["full_name"], moved, principal.name)
        if (owner := body.get("owner")) and not models.principals.exists(owner):
            raise not_found(f"Could not find principal with name {owner}.")
        # The databricks provider sends the whole object back: what cannot be changed is ignored.
        given = {name: body[name] for name in ("comment", "owner") if body.get(name) is not None}
        return models.shown(registry.change_model(model["full_name"], principal.name, lambda m: m.update(given)))

    @router.delete("/{full_name}")
    def delete(full_name: str, principal: Caller) -> Document:
        model = models.reached(principal, "MANAGE", full_name)
        if versions := registry.versions(model["full_name"]):
            message = (
                f"Registered Model '{model['full_name']}' is not empty: delete its {len(versions)} version(s) first."
            )
            raise ApiError(400, "INVALID_STATE", message)
        registry.delete_model(model["full_name"])
        return {}


def _add_versions(router: APIRouter, models: Models) -> None:
    registry = models.registry

    @router.get("/{full_name}/versions")
    def listing(full_name: str, request: Request, principal: Caller) -> Document:
        model, query = models.reached(principal, "BROWSE", full_name), request.query_params
        versions = [models.shown_version(version) for version in reversed(registry.versions(model["full_name"]))]
        return asked_page("model_versions", versions, query)

    @router.get("/{full_name}/versions/{version}")
    def get(full_name: str, version: str, principal: Caller) -> Document:
        model = models.reached(principal, "BROWSE", full_name)
        return models.shown_version(registry.get_version(model["full_name"], version))

    @router.patch("/{full_name}/versions/{version}")
    def change(full_name: str, version: str, body: Body, principal: Caller) -> Document:
        model, given = models.reached(principal, "MANAGE", full_name), {"comment": body.get("comment") or ""}
        changed = registry.change_version(
            model["full_name"], version, principal.name, lambda document: document.update(given)
        )
        return models.shown_version(changed)

    @router.delete("/{full_name}/versions/{version}")
    def delete(full_name: str, version: str, principal: Caller) -> Document:
        model = models.reached(principal, "MANAGE", full_name)
        registry.delete_version(model["full_name"], version, principal.name)
        return {}


def _add_aliases(router: APIRouter, models: Models) -> None:
    registry = models.registry

    @router.get("/{full_name}/aliases/{alias}")
    def get(full_name: str, alias: str, principal: Caller) -> Document:
        model = models.reached(principal, "BROWSE", full_name)
        return models.shown_version(registry.by_alias(model["full_name"], alias))

    @router.put("/{full_name}/aliases/{alias}")
    def put(full_name: str, alias: str, body: Body, principal: Caller) -> Document:
        model = models.reached(principal, "MANAGE", full_name)
        number = required(body, "version_num")
        registry.set_alias(model["full_name"], alias, number, principal.name)
        return {"alias_name": alias.lower(), "version_num": int(number)}

    @router.delete("/{full_name}/aliases/{alias}")
    def delete(full_name: str, alias: str, principal: Caller) -> Document:
        model = models.reached(principal, "MANAGE", full_name)
        registry.delete_alias(model["full_name"], alias, principal.name)
        return {}


def _is_in(model: Document, catalog: str | None, schema: str | None) -> bool:
    return (not catalog or model["catalog_name"] == catalog.lower()) and (
        not schema or model["schema_name"] == schema.lower()
    )
