"""Routes of /api/2.0/serving-endpoints; invocations have their own, ahead of these."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.responses import PlainTextResponse, Response

from agent_deploy.local.core.body import body_of
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ApiError, already_exists, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import ANY_OBJECT, OBJECTS, TEXTS
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving import checks, deployment, gateway, openapi, pins, views
from agent_deploy.local.serving.endpoints import OBJECT, OWN_PREFIX, Endpoint, Endpoints
from agent_deploy.local.serving.invocations import OPENAI, Invocations
from agent_deploy.local.serving.logs import read
from agent_deploy.local.serving.process import BuildFailed

Caller = Annotated[Principal, Depends(caller)]
_CONFIG = {"served_models": OBJECTS, "traffic_config": {"routes": OBJECTS}}
_GATEWAY = {"usage_tracking_config": ANY_OBJECT, "inference_table_config": ANY_OBJECT}
_FIELDS = {"email_notifications": ANY_OBJECT, "delete_tags": TEXTS}
# Config and gateway are parts of a new endpoint, and bodies of their own routes.
_SHAPE = {**_FIELDS, "config": _CONFIG, **_CONFIG, "ai_gateway": _GATEWAY, **_GATEWAY}
Body = Annotated[Document, Depends(body_of(_SHAPE))]

CAN_VIEW, CAN_MANAGE = "CAN_VIEW", "CAN_MANAGE"


def install(app: FastAPI, endpoints: Endpoints) -> None:
    """Add the routes."""
    app.include_router(_control_plane(endpoints), prefix="/api/2.0/serving-endpoints")
    app.include_router(_processes(endpoints), prefix="/_local/serving")
    app.include_router(_data_plane(), prefix="/serving-endpoints")
    app.include_router(_own_data_plane())
    app.add_middleware(Invocations, endpoints=endpoints)


def _control_plane(endpoints: Endpoints) -> APIRouter:
    router = APIRouter()

    @router.post("")
    @router.post("/")  # as MLflow's deployments client writes it
    async def create(body: Body, principal: Caller) -> Any:
        name = checks.check_own_name("name", body.get("name"))
        if endpoints.find(name) is not None:
            raise already_exists(f"Endpoint with name '{name}' already exists.")
        config = _config(endpoints, body.get("config") or {}, principal, None)
        tags = checks.check_tags("tags", body.get("tags") or [])
        # Last: it makes the inference table, which would be in the way of the request that corrects a refused one.
        gateway_wanted = await gateway.wanted(
            endpoints.workspace,
            endpoints.metastore,
            principal,
            body.get("ai_gateway") or {},
            name,
            old=None,
            known=[],
        )
        if endpoints.find(name) is not None:  # meanwhile
            raise already_exists(f"Endpoint with name '{name}' already exists.")
        document = {
            "name": name,
            "tags": tags,
            "description": str(body.get("description") or ""),
            "budget_policy_id": body.get("budget_policy_id"),
            "route_optimized": bool(body.get("route_optimized")),
            "email_notifications": body.get("email_notifications"),
            "ai_gateway": gateway_wanted,
            "task": None,
            "payload_tables": _tables(gateway_wanted, []),
        }
        endpoint = endpoints.add(document, principal)
        if config["served_entities"]:
            try:
                deployment.begin(endpoints, endpoint, config)
            except BaseException:
                await endpoints.delete(endpoint)  # what was refused must not be half there
                raise
        return endpoints.view(endpoint, principal)

    @router.get("")
    @router.get("/")
    async def listing(principal: Caller) -> Any:
        authorization = endpoints.workspace.authorization
        seen = [
            endpoint
            for endpoint in endpoints.all()
            if authorization.allows_object(principal, OBJECT, endpoint.document["id"], CAN_VIEW)
        ]
        own = [views.summary(endpoint.document, endpoint.states()) for endpoint in seen]
        return {"endpoints": [*own, *endpoints.foundation.listing(principal)]}

    @router.get("/{name}")
    async def get(name: str, principal: Caller) -> Any:
        if name in endpoints.foundation:
            endpoints.foundation.require(principal, name)
            return endpoints.foundation.view(name)
        return endpoints.view(endpoints.require(principal, name, CAN_VIEW), principal)

    @router.delete("/{name}")
    async def delete(name: str, principal: Caller) -> Any:
        await endpoints.delete(endpoints.require(principal, name, CAN_MANAGE))
        return {}

    @router.put("/{name}/config")
    async def put_config(name: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_MANAGE)
        deployment.refuse_while_updating(endpoint)
        config = _config(endpoints, body, principal, endpoint.document["config"])
        if not config["served_entities"]:
            raise invalid("served_entities: an update needs at least one served entity.")
        await deployment.replace(endpoints, endpoint, config)
        return endpoints.view(endpoint, principal)

    _add_fields(router, endpoints)
    _add_logs(router, endpoints)
    return router


def _add_fields(router: APIRouter, endpoints: Endpoints) -> None:
    @router.patch("/{name}/tags")
    async def patch_tags(name: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_MANAGE)
        added = checks.check_tags("add_tags", body.get("add_tags") or [])
        # Deletions first: a client may send a changed tag as both.
        gone = {*(body.get("delete_tags") or []), *(tag["key"] for tag in added)}
        kept = [tag for tag in endpoint.document["tags"] if tag["key"] not in gone]
        endpoints.change(endpoint, tags=[*kept, *added])
        return {"tags": endpoint.document["tags"]}

    @router.patch("/{name}/description")
    async def patch_description(name: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_MANAGE)
        endpoints.change(endpoint, description=str(body.get("description") or ""))
        return endpoints.view(endpoint, principal)

    @router.patch("/{name}/budget-policy")
    async def patch_budget_policy(name: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_MANAGE)
        endpoints.change(endpoint, budget_policy_id=body.get("budget_policy_id"))
        return endpoints.view(endpoint, principal)

    @router.patch("/{name}/notifications")
    async def patch_notifications(name: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_MANAGE)
        given = body.get("email_notifications") or {}
        wanted = {key: given[key] for key in ("on_update_success", "on_update_failure") if given.get(key)}
        endpoints.change(endpoint, email_notifications=wanted or None)
        return {"name": name, "email_notifications": wanted}

    @router.put("/{name}/ai-gateway")
    async def put_gateway(name: str, body: Body, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_MANAGE)
        known, old = endpoint.document["payload_tables"], endpoint.document["ai_gateway"]
        wanted = await gateway.wanted(endpoints.workspace, endpoints.metastore, principal, body, name, old, known)
        endpoints.change(endpoint, ai_gateway=wanted, payload_tables=_tables(wanted, known))
        return wanted or {}


def _tables(wanted: Document | None, known: list[str]) -> list[str]:
    """Tables that the endpoint may write to: those before, and the enabled one."""
    name = gateway.payload_table(wanted)
    return known if name is None or name.lower() in known else [*known, name.lower()]


def _add_logs(router: APIRouter, endpoints: Endpoints) -> None:
    @router.get("/{name}/served-models/{entity}/build-logs")
    async def build_logs(name: str, entity: str, principal: Caller) -> Any:
        return {"logs": _log(endpoints.require(principal, name, CAN_VIEW), entity, "build")}

    @router.get("/{name}/served-models/{entity}/logs")
    async def logs(name: str, entity: str, principal: Caller) -> Any:
        return {"logs": _log(endpoints.require(principal, name, CAN_VIEW), entity, "service")}

    def _log(endpoint: Endpoint, entity: str, kind: str) -> str:
        configs = [endpoint.document[key] for key in ("config", "pending_config") if endpoint.document[key]]
        if all(entity != served["name"] for config in configs for served in config["served_entities"]):
            raise not_found(f"The endpoint '{endpoint.name}' has no served entity '{entity}'.")
        return read(endpoints.logs_of(endpoint), entity, kind)

    @router.get("/{name}/metrics")
    async def metrics(name: str, principal: Caller) -> Response:
        endpoint = endpoints.require(principal, name, CAN_VIEW)
        return PlainTextResponse(endpoint.metrics.text(name, endpoint.document["id"]))

    @router.get("/{name}/openapi")
    def schema(name: str, principal: Caller) -> Any:
        endpoint = endpoints.require(principal, name, CAN_VIEW)
        if (config := endpoint.document["config"]) is None:
            raise invalid(f"The endpoint '{name}' is not ready: no served entity has been deployed.")
        registry, folders = endpoints.registry, {}
        for entity in config["served_entities"]:
            try:
                pins.require_version(registry, entity)
            except BuildFailed as error:
                raise ApiError(400, "INVALID_STATE", str(error)) from error
            folders[entity["name"]] = registry.version_folder(entity["entity_name"], entity["entity_version"])
        return openapi.describe(endpoints.workspace.host, name, config, folders)


def _data_plane() -> APIRouter:
    """So that the application's list of routes is whole: `Invocations` answers these before they are looked up."""
    router = APIRouter()

    async def never() -> None:
        raise AssertionError("Invocations answers this")

    for path in (*(f"/{path}" for path in OPENAI), "/{name}/invocations", "/{name}/served-models/{entity}/invocations"):
        router.post(path)(never)
    return router


def _own_data_plane() -> APIRouter:
    """As `_data_plane`, for route-optimised endpoints."""
    router = APIRouter()

    @router.post(f"{OWN_PREFIX}{{workspace_id}}/serving-endpoints/{{name}}/invocations")
    async def never() -> None:
        raise AssertionError("Invocations answers this")

    return router


def _processes(endpoints: Endpoints) -> APIRouter:
    """What runs, for tests and for whoever wonders: the platform has nothing like it."""
    router = APIRouter()

    @router.get("/processes")
    async def processes(principal: Caller) -> Any:
        endpoints.workspace.authorization.require_admin(principal, "see the processes of served entities")
        return {
            "processes": [
                {
                    "endpoint": endpoint.name,
                    "entity": replica.entity["name"],
                    "version": replica.entity["entity_version"],
                    "status": replica.status,
                    "pid": replica.pid,
                    "requests": replica.in_flight,
                }
                for endpoint in endpoints.all()
                for replica in endpoint.replicas.values()
            ]
        }

    @router.get("/entities/{name}")
    async def entities(name: str, principal: Caller) -> Any:
        endpoints.workspace.authorization.require_admin(principal, "see which models an endpoint has ever served")
        return {"entities": endpoints.models_served(name)}

    return router


def _config(endpoints: Endpoints, body: Document, principal: Principal, current: Document | None) -> Document:
    """The config that a client wants; raises for what is malformed, missing, or not the caller's to use."""
    workspace, registry = endpoints.workspace, endpoints.registry
    served = (current or {}).get("served_entities", ())
    known = [entity for entity in served if pins.still_holds(workspace.principals, registry, entity)]
    config = checks.new_config(body, principal.name, known)
    kept = {entity["id"] for entity in known}
    for entity in config["served_entities"]:
        if entity["id"] in kept:
            continue
        workspace.authorization.require(principal, "EXECUTE", "function", entity["entity_name"])
        version = registry.get_version(entity["entity_name"], entity["entity_version"])
        if version["status"] != "READY":
            text = f"Version {entity['entity_version']} of '{entity['entity_name']}' is {version['status']}, not READY."
            raise invalid(text)
        entity |= {pins.VERSION: version["id"], pins.CREATOR: principal.id}
    return config
