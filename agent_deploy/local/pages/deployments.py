"""What is deployed: versions, traffic, state, settings that cost, owner and stack of each endpoint that one may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.pages.pages import Pages
from agent_deploy.local.serving import views
from agent_deploy.local.serving.endpoints import OBJECT, Endpoint
from agent_deploy.local.serving.gateway import payload_table
from agent_deploy.local.serving.replica import ASLEEP, READY
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.names import FEEDBACK_ENTITY
from agent_deploy.rules.workload import CONCURRENCY

# A replica's status → what a reader cares for: does it run (and cost), and is it well?
_RUNNING = {READY: ("running", "good"), ASLEEP: ("scaled to zero", "warn"), "failed": ("failed", "bad")}


@dataclass(frozen=True)
class Served:
    """One served entity; ``traffic`` in percent, ``concurrency`` is how many requests it answers at a time."""

    name: str
    model: str
    version: str
    traffic: int
    state: str
    kind: str
    message: str
    size: str
    type: str
    scale_to_zero: bool
    concurrency: str
    creator: str
    variables: list[str]
    is_feedback: bool


@dataclass(frozen=True)
class Deployment:
    """One endpoint as a user may see it; ``level`` is what he may do with it, ``stack`` is ``project/stack/name``."""

    name: str
    query_url: str
    state: str
    kind: str
    level: str
    owner: str
    stack: str
    description: str
    changed_ms: float
    tags: list[tuple[str, str]]
    served: list[Served]
    table: str | None
    may_read_table: bool

    @property
    def agents(self) -> list[Served]:
        """Without the feedback model."""
        return [each for each in self.served if not each.is_feedback]

    @property
    def may_chat(self) -> bool:
        """Whether the user may ask it."""
        return self.level in ("CAN_QUERY", "CAN_MANAGE")


def visible(pages: Pages, principal: Principal) -> list[Deployment]:
    """What the user may view, by name."""
    allows = pages.workspace.authorization.allows_object
    seen = [
        deployment_of(pages, principal, endpoint)
        for endpoint in pages.endpoints.all()
        if allows(principal, OBJECT, endpoint.document["id"], "CAN_VIEW")
    ]
    return sorted(seen, key=lambda deployment: deployment.name)


def deployment_of(pages: Pages, principal: Principal, endpoint: Endpoint) -> Deployment:
    """An endpoint as this user may see it."""
    document, access = endpoint.document, pages.workspace.authorization
    tags = {tag["key"]: tag.get("value") or "" for tag in document["tags"]}
    table = payload_table(document["ai_gateway"])
    state, kind = _state(document, views.ready(document, endpoint.states()))
    config = document["config"] or document["pending_config"] or {"served_entities": [], "routes": []}
    traffic = {route["name"]: route["traffic_percentage"] or 0 for route in config["routes"]}
    return Deployment(
        name=endpoint.name,
        query_url=pages.endpoints.query_url(endpoint),
        state=state,
        kind=kind,
        level=access.object_level(principal, OBJECT, document["id"]) or "",
        owner=document["creator"],
        stack=tags.pop(OWNER_TAG, ""),
        description=document["description"],
        changed_ms=document["last_updated_timestamp"],
        tags=sorted(tags.items()),
        served=[_served(endpoint, entity, traffic.get(entity["name"], 0)) for entity in config["served_entities"]],
        table=table,
        may_read_table=table is not None and access.allows(principal, "SELECT", "table", table),
    )


def _served(endpoint: Endpoint, entity: Document, traffic: int) -> Served:
    replica = endpoint.replicas.get(entity["id"])
    state, kind = _RUNNING.get(replica.status, (replica.status, "")) if replica else ("not running", "")
    return Served(
        name=entity["name"],
        model=entity["entity_name"],
        version=entity["entity_version"],
        traffic=traffic,
        state=state,
        kind=kind,
        message=replica.message if replica and kind != "warn" else "",
        size=entity["workload_size"],
        type=entity["workload_type"],
        scale_to_zero=bool(entity["scale_to_zero_enabled"]),
        concurrency=str(entity.get("max_provisioned_concurrency") or CONCURRENCY.get(entity["workload_size"], "")),
        creator=entity["creator"],
        variables=sorted(entity.get("environment_vars") or {}),
        is_feedback=entity["name"] == FEEDBACK_ENTITY,
    )


def _state(document: Document, ready: str) -> tuple[str, str]:
    update: Any = document["config_update"]
    if update == "IN_PROGRESS":
        return "being updated", "warn"
    if ready != "READY":
        return "not ready", "bad"
    return ("last update failed", "bad") if update == "UPDATE_FAILED" else ("ready", "good")
