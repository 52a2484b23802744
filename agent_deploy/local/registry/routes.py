"""Routes of MLflow's Unity Catalog registry: /api/2.0/mlflow/unity-catalog/…"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry import prompt_routes
from agent_deploy.local.registry.models import Registry, model_key
from agent_deploy.local.registry.requests import conditions, page, required, sent, tags
from agent_deploy.local.registry.responses import found_model, found_version, model_version, registered_model
from agent_deploy.local.tracking.experiments import Experiments

PREFIX = "/api/2.0/mlflow/unity-catalog"
_MODELS_PAGE, _VERSIONS_PAGE = 100, 10_000  # what MLflow asks for when the user says nothing

Caller = Annotated[Principal, Depends(caller)]
Fields = Annotated[dict[str, Any], Depends(sent)]
Answer = dict[str, Any]


def install(
    app: FastAPI, access: Authorization, registry: Registry, prompts: Registry, experiments: Experiments
) -> None:
    """Add the routes."""
    app.include_router(prompt_routes.routes(prompts, access, PREFIX))
    app.include_router(_model_routes(registry, access))
    app.include_router(_alias_routes(registry, access))
    app.include_router(_version_routes(registry, access, experiments))
    app.include_router(_artifact_routes(registry, access))


def _model_routes(registry: Registry, access: Authorization) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/registered-models")

    @router.post("/create")
    def create(fields: Fields, principal: Caller) -> Answer:
        full_name = model_key(required(fields, "name"))
        access.require(principal, "CREATE_MODEL", "schema", full_name.rpartition(".")[0])
        more: Answer = {"tags": tags(fields), "deployment_job_id": fields.get("deployment_job_id")}
        model = registry.create_model(full_name, principal.name, fields.get("description") or "", **more)
        return {"registered_model": registered_model(model)}

    @router.get("/get")
    def get(fields: Fields, principal: Caller) -> Answer:
        model = registry.get_model(required(fields, "name"))
        access.require(principal, "BROWSE", "function", model["full_name"])
        return {"registered_model": registered_model(model)}

    @router.patch("/update")
    def update(fields: Fields, principal: Caller) -> Answer:
        name = _managed(registry, access, fields, principal)
        if new_name := fields.get("new_name"):
            name = registry.rename_model(name, new_name, principal.name)["full_name"]
        changed = {key: fields[key] for key in ("deployment_job_id",) if key in fields}
        if "description" in fields:
            changed["comment"] = fields["description"]
        model = registry.change_model(name, principal.name, lambda document: document.update(changed))
        return {"registered_model": registered_model(model)}

    @router.delete("/delete")
    def delete(fields: Fields, principal: Caller) -> Answer:
        registry.delete_model(_managed(registry, access, fields, principal))
        return {}

    @router.get("/search")
    def search(fields: Fields, principal: Caller) -> Answer:
        shown = [m for m in registry.models() if access.visible(principal, "function", m["full_name"])]
        found, token = page(shown, fields, _MODELS_PAGE)
        return _page("registered_models", [found_model(model) for model in found], token)

    @router.post("/set-tag")
    def set_tag(fields: Fields, principal: Caller) -> Answer:
        name, key = _managed(registry, access, fields, principal), required(fields, "key")
        value = str(fields.get("value", ""))
        registry.change_model(name, principal.name, lambda model: model["tags"].update({key: value}))
        return {}

    @router.delete("/delete-tag")
    def delete_tag(fields: Fields, principal: Caller) -> Answer:
        name, key = _managed(registry, access, fields, principal), required(fields, "key")
        registry.change_model(name, principal.name, lambda model: model["tags"].pop(key, None))
        return {}

    return router


def _alias_routes(registry: Registry, access: Authorization) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/registered-models/alias")

    @router.post("")
    def set_alias(fields: Fields, principal: Caller) -> Answer:
        name = _managed(registry, access, fields, principal)
        registry.set_alias(name, required(fields, "alias"), required(fields, "version"), principal.name)
        return {}

    @router.delete("")
    def delete_alias(fields: Fields, principal: Caller) -> Answer:
        name = _managed(registry, access, fields, principal)
        registry.delete_alias(name, required(fields, "alias"), principal.name)
        return {}

    @router.get("")
    def by_alias(fields: Fields, principal: Caller) -> Answer:
        name = registry.get_model(required(fields, "name"))["full_name"]
        access.require(principal, "BROWSE", "function", name)
        return _version(registry, registry.by_alias(name, required(fields, "alias")))

    return router


def _version_routes(registry: Registry, access: Authorization, experiments: Experiments) -> APIRouter:
    router = APIRouter(prefix=f"{PREFIX}/model-versions")

    @router.post("/create")
    def create(fields: Fields, principal: Caller) -> Answer:
        name = registry.get_model(required(fields, "name"))["full_name"]
        access.require(principal, "CREATE_MODEL_VERSION", "function", name)
        given = {key: fields.get(key) or "" for key in ("source", "run_id", "run_tracking_server_id", "model_id")}
        given |= {"comment": fields.get("description") or "", "tags": tags(fields)}
        given |= {"dependencies": fields.get("model_version_dependencies") or []}
        given |= {"feature_deps": fields.get("feature_deps") or ""}
        given["run_experiment_id"] = experiments.experiment_of(given["run_id"], given["model_id"])
        return _version(registry, registry.create_version(name, principal.name, **given))

    @router.get("/get")
    def get(fields: Fields, principal: Caller) -> Answer:
        return _version(registry, _read(registry, access, fields, principal, "BROWSE"))

    @router.patch("/update")
    def update(fields: Fields, principal: Caller) -> Answer:
        name, version = _managed(registry, access, fields, principal), required(fields, "version")
        changed = {"comment": fields["description"]} if "description" in fields else {}
        document = registry.change_version(name, version, principal.name, lambda document: document.update(changed))
        return _version(registry, document)

    @router.delete("/delete")
    def delete(fields: Fields, principal: Caller) -> Answer:
        name = _managed(registry, access, fields, principal)
        registry.delete_version(name, required(fields, "version"), principal.name)
        return {}

    @router.get("/search")
    def search(fields: Fields, principal: Caller) -> Answer:
        wanted = conditions(fields.get("filter"))
        name = wanted.pop("name", None)
        versions = registry.versions(name) if name else registry.all_versions()
        matching = [version for version in versions if all(version.get(key) == wanted[key] for key in wanted)]
        names = {version["full_name"] for version in matching}
        visible = {name for name in names if access.visible(principal, "function", name)}
        shown = [version for version in reversed(matching) if version["full_name"] in visible]
        found, token = page(shown, fields, _VERSIONS_PAGE)
        return _page("model_versions", [found_version(version) for version in found], token)

    @router.post("/set-tag")
    def set_tag(fields: Fields, principal: Caller) -> Answer:
        name, key = _managed(registry, access, fields, principal), required(fields, "key")
        tag, version = {key: str(fields.get("value", ""))}, required(fields, "version")
        registry.change_version(name, version, principal.name, lambda document: document["tags"].update(tag))
        return {}

    @router.delete("/delete-tag")
    def delete_tag(fields: Fields, principal: Caller) -> Answer:
        name, key = _managed(registry, access, fields, principal), required(fields, "key")
        version = required(fields, "version")
        registry.change_version(name, version, principal.name, lambda document: document["tags"].pop(key, None))
        return {}

    return router


def _artifact_routes(registry: Registry, access: Authorization) -> APIRouter:
    """The steps around a version's files, which themselves travel over the Files API."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/registered-models:is-databricks-sdk-models-artifact-repository-enabled")
    def over_files_api() -> Answer:
        return {"is_databricks_sdk_models_artifact_repository_enabled": True}

    @router.post("/model-versions/generate-temporary-credentials")
    def credentials(fields: Fields, principal: Caller) -> Answer:
        operation = required(fields, "operation")
        if operation not in ("MODEL_VERSION_OPERATION_READ", "MODEL_VERSION_OPERATION_READ_WRITE"):
            raise invalid(f"operation {operation!r}: expected MODEL_VERSION_OPERATION_READ or …_READ_WRITE.")
        privilege = "CREATE_MODEL_VERSION" if operation.endswith("WRITE") else "EXECUTE"
        _read(registry, access, fields, principal, privilege)
        # Default storage: clients then read and write with presigned URLs of the Files API.
        return {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}

    @router.get("/model-versions/get-download-uri")
    def download_uri(fields: Fields, principal: Caller) -> Answer:
        version = _read(registry, access, fields, principal, "EXECUTE")
        return {"artifact_uri": version["storage_location"]}

    @router.post("/model-versions/finalize")
    def finalize(fields: Fields, principal: Caller) -> Answer:
        version = _read(registry, access, fields, principal, "CREATE_MODEL_VERSION")
        return _version(registry, registry.finalize(version["full_name"], version["version"], principal.name))

    @router.post("/model-versions/emit-lineage")
    def emit_lineage(fields: Fields, principal: Caller) -> Answer:
        _read(registry, access, fields, principal, "BROWSE")
        return {}

    return router


def _managed(registry: Registry, access: Authorization, fields: Answer, principal: Principal) -> str:
    """The model's full name, when the caller may change it: as its owner or with MANAGE."""
    name: str = registry.get_model(required(fields, "name"))["full_name"]
    access.require(principal, "MANAGE", "function", name)
    return name


def _read(registry: Registry, access: Authorization, fields: Answer, principal: Principal, privilege: str) -> Document:
    name = registry.get_model(required(fields, "name"))["full_name"]
    access.require(principal, privilege, "function", name)
    return registry.get_version(name, required(fields, "version"))


def _version(registry: Registry, version: Document) -> Answer:
    return {"model_version": model_version(version, registry.aliases_of(version))}


def _page(name: str, items: list[Document], token: str | None) -> Answer:
    return {name: items, "next_page_token": token} if token else {name: items}
