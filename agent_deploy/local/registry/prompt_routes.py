"""Routes of Unity Catalog's prompt registry: /api/2.0/mlflow/unity-catalog/prompts, as MLflow's client sends them.

To Unity Catalog a prompt is a function: CREATE FUNCTION makes it, EXECUTE reads it, MANAGE changes it.
Source: Databricks, "Prompt Registry", prerequisites.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ALREADY_EXISTS, ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import ANY_OBJECT, ID, OBJECTS, TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry.models import READY, Registry, model_key
from agent_deploy.local.registry.requests import conditions, page, required, tags

_PAGE = 100
_SHAPE = {
    "prompt": {"tags": OBJECTS},
    "prompt_version": {"tags": OBJECTS, "template": TEXT},
    "catalog_schema": ANY_OBJECT,
}
_SHAPE |= {
    "filter": TEXT,
    **dict.fromkeys(("page_token", "key", "value", "name"), TEXT),
    **dict.fromkeys(("max_results", "version"), ID),
}

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]
Answer = dict[str, Any]


def routes(prompts: Registry, access: Authorization, prefix: str) -> APIRouter:
    """Prompts, their versions, aliases and tags."""
    router = APIRouter(prefix=f"{prefix}/prompts")
    _add_prompts(router, prompts, access)
    _add_versions(router, prompts, access)
    _add_labels(router, prompts, access)
    return router


def _add_prompts(router: APIRouter, prompts: Registry, access: Authorization) -> None:
    @router.post("")
    def create(body: Body, principal: Caller) -> Answer:
        given = body.get("prompt") or {}
        full_name = model_key(body.get("name") or given.get("name"))
        access.require(principal, "CREATE_FUNCTION", "schema", full_name.rpartition(".")[0])
        description = str(given.get("description") or "")
        try:
            return _prompt(prompts.create_model(full_name, principal.name, description, tags=tags(given)))
        except ApiError as error:
            if error.error_code != ALREADY_EXISTS:
                raise
            # MLflow's client goes on with another version only after this word for it.
            raise ApiError(409, "ALREADY_EXISTS", error.message) from error

    @router.post("/search")
    def search(body: Body, principal: Caller) -> Answer:
        place = body.get("catalog_schema") or {}
        schema = f"{required(place, 'catalog_name')}.{required(place, 'schema_name')}".lower()
        access.require(principal, "USE_SCHEMA", "schema", schema)
        wanted = conditions(body.get("filter"))
        if unknown := wanted.keys() - {"name"}:
            raise invalid(f"filter: prompts are found by name = '…' here, not by {', '.join(sorted(unknown))}.")
        found = [each for each in prompts.models() if each["full_name"].rpartition(".")[0] == schema]
        found = [each for each in found if wanted.get("name") in (None, each["name"], each["full_name"])]
        shown = [_prompt(each) for each in found if access.visible(principal, "function", each["full_name"])]
        items, token = page(shown, body, _PAGE)
        return {"prompts": items, **({"next_page_token": token} if token else {})}

    @router.get("/{name}")
    def get(name: str, principal: Caller) -> Answer:
        return _prompt(prompts.get_model(_reached(prompts, access, name, principal, "EXECUTE")))

    @router.delete("/{name}")
    def delete(name: str, principal: Caller) -> Answer:
        prompts.delete_model(_reached(prompts, access, name, principal, "MANAGE"))
        return {}


def _add_versions(router: APIRouter, prompts: Registry, access: Authorization) -> None:
    @router.post("/{name}/versions")
    def create(name: str, body: Body, principal: Caller) -> Answer:
        full_name, given = _reached(prompts, access, name, principal, "MANAGE"), body.get("prompt_version") or {}
        fields: Answer = {"template": required(given, "template"), "comment": str(given.get("description") or "")}
        made = prompts.create_version(full_name, principal.name, status=READY, tags=tags(given), **fields)
        return _version(prompts, made)

    @router.post("/{name}/versions/search")
    def search(name: str, body: Body, principal: Caller) -> Answer:
        full_name = _reached(prompts, access, name, principal, "EXECUTE")
        found = [_version(prompts, version) for version in reversed(prompts.versions(full_name))]
        items, token = page(found, body, _PAGE)
        return {"prompt_versions": items, **({"next_page_token": token} if token else {})}

    @router.get("/{name}/versions/by-alias/{alias}")
    def by_alias(name: str, alias: str, principal: Caller) -> Answer:
        return _version(prompts, prompts.by_alias(_reached(prompts, access, name, principal, "EXECUTE"), alias))

    @router.get("/{name}/versions/{version}")
    def get(name: str, version: str, principal: Caller) -> Answer:
        return _version(prompts, prompts.get_version(_reached(prompts, access, name, principal, "EXECUTE"), version))

    @router.delete("/{name}/versions/{version}")
    def delete(name: str, version: str, principal: Caller) -> Answer:
        prompts.delete_version(_reached(prompts, access, name, principal, "MANAGE"), version, principal.name)
        return {}


def _add_labels(router: APIRouter, prompts: Registry, access: Authorization) -> None:
    @router.post("/{name}/aliases/{alias}")
    def set_alias(name: str, alias: str, body: Body, principal: Caller) -> Answer:
        full_name = _reached(prompts, access, name, principal, "MANAGE")
        prompts.set_alias(full_name, alias, required(body, "version"), principal.name)
        return {}

    @router.delete("/{name}/aliases/{alias}")
    def delete_alias(name: str, alias: str, principal: Caller) -> Answer:
        prompts.delete_alias(_reached(prompts, access, name, principal, "MANAGE"), alias, principal.name)
        return {}

    @router.post("/{name}/tags")
    def set_tag(name: str, body: Body, principal: Caller) -> Answer:
        full_name, tag = _reached(prompts, access, name, principal, "MANAGE"), _tag(body)
        prompts.change_model(full_name, principal.name, lambda prompt: prompt["tags"].update(tag))
        return {}

    @router.delete("/{name}/tags/{key}")
    def delete_tag(name: str, key: str, principal: Caller) -> Answer:
        full_name = _reached(prompts, access, name, principal, "MANAGE")
        prompts.change_model(full_name, principal.name, lambda prompt: prompt["tags"].pop(key, None))
        return {}

    @router.post("/{name}/versions/{version}/tags")
    def set_version_tag(name: str, version: str, body: Body, principal: Caller) -> Answer:
        full_name, tag = _reached(prompts, access, name, principal, "MANAGE"), _tag(body)
        prompts.change_version(full_name, version, principal.name, lambda each: each["tags"].update(tag))
        return {}

    @router.delete("/{name}/versions/{version}/tags/{key}")
    def delete_version_tag(name: str, version: str, key: str, principal: Caller) -> Answer:
        full_name = _reached(prompts, access, name, principal, "MANAGE")
        prompts.change_version(full_name, version, principal.name, lambda each: each["tags"].pop(key, None))
        return {}


def _reached(prompts: Registry, access: Authorization, name: str, principal: Principal, privilege: str) -> str:
    """The prompt's full name, when the caller has the privilege; raises 404 and 403."""
    full_name: str = prompts.get_model(name)["full_name"]
    access.require(principal, privilege, "function", full_name)
    return full_name


def _tag(body: Answer) -> dict[str, str]:
    return {required(body, "key"): str(body.get("value") or "")}


def _prompt(prompt: Document) -> Answer:
    aliases = [{"alias": alias, "version": str(version)} for alias, version in sorted(prompt["aliases"].items())]
    return {"name": prompt["full_name"], "aliases": aliases, **_common(prompt)}


def _version(prompts: Registry, version: Document) -> Answer:
    number = str(version["version"])
    aliases = [{"alias": alias, "version": number} for alias in prompts.aliases_of(version)]
    own = {"name": version["full_name"], "version": number, "template": version["template"], "aliases": aliases}
    return {**own, **_common(version)}


def _common(document: Document) -> Answer:
    return {
        "description": document.get("comment") or "",
        "tags": [{"key": key, "value": value} for key, value in sorted(document["tags"].items())],
        "creation_timestamp": _time(document["created_at"]),
        "last_updated_timestamp": _time(document["updated_at"]),
    }


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat().replace("+00:00", "Z")
