"""Routes of vector search: /api/2.0/vector-search/endpoints and /indexes, and the indexes below their endpoint."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.catalog.paging import page
from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import NUMBER, OBJECTS, TEXT, TEXTS
from agent_deploy.local.core.store import Document
from agent_deploy.local.vector_search.endpoints import CAN_USE, Endpoints
from agent_deploy.local.vector_search.indexes import Indexes
from agent_deploy.local.vector_search.queries import Queries

Caller = Annotated[Principal, Depends(caller)]
_SPEC = {
    "schema_json": TEXT,
    "columns_to_sync": TEXTS,
    "columns_to_index": TEXTS,
    "embedding_vector_columns": OBJECTS,
    "embedding_source_columns": [{"name": TEXT}],
}
_QUERY = {"columns": TEXTS, "query_columns": TEXTS, "sort_columns": TEXTS, "score_threshold": NUMBER}
_SHAPE = {**_QUERY, "direct_access_index_spec": _SPEC, "delta_sync_index_spec": _SPEC}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]


def install(app: FastAPI, endpoints: Endpoints, indexes: Indexes, queries: Queries) -> None:
    """Add the routes."""
    app.include_router(_endpoint_routes(endpoints))
    app.include_router(_routes_below_endpoint(endpoints, indexes))
    app.include_router(_index_routes(indexes, queries))


def _endpoint_routes(endpoints: Endpoints) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/vector-search/endpoints")

    # Those that start something run in the event loop, where its arrival is awaited.
    @router.post("")
    async def create(body: Body, principal: Caller) -> Document:
        return endpoints.create(body, principal)

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        return page("endpoints", endpoints.listing(principal), 0, request.query_params.get("page_token", ""))

    @router.get("/{name}")
    def get(name: str, principal: Caller) -> Document:
        return endpoints.get(name, principal, CAN_USE)

    @router.patch("/{name}/budget-policy")
    def change_policy(name: str, body: Body, principal: Caller) -> Document:
        policy = str(required(body, "budget_policy_id"))
        endpoints.change(name, principal, {"budget_policy_id": policy, "effective_budget_policy_id": policy})
        return {"effective_budget_policy_id": policy}

    @router.delete("/{name}")
    def delete(name: str, principal: Caller) -> Document:
        endpoints.delete(name, principal)
        return {}

    return router


def _routes_below_endpoint(endpoints: Endpoints, indexes: Indexes) -> APIRouter:
    """The older form of the indexes' routes, which the client databricks-vectorsearch (databricks-ai-search) uses."""
    router = APIRouter(prefix="/api/2.0/vector-search/endpoints/{endpoint}")

    @router.post("/indexes")
    async def create(endpoint: str, body: Body, principal: Caller) -> Document:
        index = await asyncio.to_thread(indexes.create, {**body, "endpoint_name": endpoint}, principal)
        indexes.start(index["name"])
        return index

    @router.get("/indexes")
    def listing(endpoint: str, request: Request, principal: Caller) -> Document:
        token = request.query_params.get("page_token", "")
        return page("vector_indexes", indexes.listing(endpoint, principal), 0, token)

    @router.get("/indexes/{name}")
    def get(endpoint: str, name: str, principal: Caller) -> Document:
        return indexes.get(name, principal, endpoint)

    @router.delete("/indexes/{name}")
    def delete(endpoint: str, name: str, principal: Caller) -> Document:
        indexes.delete(name, principal, endpoint)
        return {}

    @router.post("/stop")
    def stop(endpoint: str, principal: Caller) -> Document:
        return endpoints.switch(endpoint, principal, on=False)

    @router.post("/start")
    def start(endpoint: str, principal: Caller) -> Document:
        return endpoints.switch(endpoint, principal, on=True)

    return router


def _index_routes(indexes: Indexes, queries: Queries) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/vector-search/indexes")

    @router.post("")
    async def create(body: Body, principal: Caller) -> Document:
        index = await asyncio.to_thread(indexes.create, body, principal)
        indexes.start(index["name"])
        return index

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        endpoint = str(required(dict(request.query_params), "endpoint_name"))
        return page(
            "vector_indexes", indexes.listing(endpoint, principal), 0, request.query_params.get("page_token", "")
        )

    @router.get("/{name}")
    def get(name: str, principal: Caller) -> Document:
        return indexes.get(name, principal)

    @router.delete("/{name}")
    def delete(name: str, principal: Caller) -> Document:
        indexes.delete(name, principal)
        return {}

    @router.post("/{name}/sync")
    async def sync(name: str, principal: Caller) -> Document:
        indexes.start(indexes.to_sync(name, principal))
        return {}

    # By GET, with a body, the vendor's own client asks.
    @router.api_route("/{name}/query", methods=["GET", "POST"])
    def query(name: str, body: Body, principal: Caller) -> Document:
        return queries.query(name, body, principal)

    @router.api_route("/{name}/scan", methods=["GET", "POST"])
    def scan(name: str, body: Body, principal: Caller) -> Document:
        return queries.scan(name, body, principal)

    @router.post("/{name}/upsert-data")
    def upsert(name: str, body: Body, principal: Caller) -> Document:
        return indexes.upsert(name, body, principal)

    @router.delete("/{name}/delete-data")
    def delete_data(name: str, request: Request, body: Body, principal: Caller) -> Document:
        keys = request.query_params.getlist("primary_keys") or body.get("primary_keys") or []
        return indexes.delete_rows(name, [str(key) for key in keys], principal)

    return router
