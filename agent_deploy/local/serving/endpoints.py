"""Serving endpoints: their documents, and what running ones consist of. All of it runs in the server's event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.genie.conversations import Conversations
from agent_deploy.local.registry.models import Registry
from agent_deploy.local.secrets.scopes import Scopes
from agent_deploy.local.serving import gateway, pins, process, views
from agent_deploy.local.serving.checks import now
from agent_deploy.local.serving.credentials import Credentials
from agent_deploy.local.serving.foundation import FoundationModels
from agent_deploy.local.serving.invokers import Invokers
from agent_deploy.local.serving.metrics import Metrics
from agent_deploy.local.serving.payload_writer import Payloads
from agent_deploy.local.serving.replica import BUILD_SECONDS, BUSY_SECONDS, Replica, Surroundings
from agent_deploy.tables.scratch import remove_scratch

KIND = "serving_endpoint"
OBJECT = "serving-endpoints"  # its type in the permissions API
OWN_PREFIX = "/route-optimized/"  # of the URLs that route-optimised endpoints have
IDLE_SECONDS = 1800.0  # after which the platform scales to zero
_DECIDED_BY = ("acl", "object", "user", "service_principal", "group")  # kinds of document
_BUILDS_AT_ONCE = 2
_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Endpoint:
    """``replicas`` by entity id, those of the pending config included; ``routes`` are the shares that requests take."""

    document: Document
    replicas: dict[str, Replica] = field(default_factory=dict)
    update: asyncio.Task[None] | None = None
    payload_folder: Path | None = None
    metrics: Metrics = field(default_factory=Metrics)
    leaving: set[Replica] = field(default_factory=set)  # out of the config, with requests to finish

    @property
    def name(self) -> str:
        """Unique in the workspace."""
        return str(self.document["name"])

    def choose(self) -> Replica | None:
        """One replica by the routes' shares; None when nothing is deployed."""
        config = self.document["config"]
        if not config or not config["routes"]:
            return None
        shares = [route["traffic_percentage"] for route in config["routes"]]
        name = random.choices(config["routes"], shares)[0]["name"]
        return self.entity(name)

    def entity(self, name: str) -> Replica | None:
        """The deployed replica of that name."""
        for entity in (self.document["config"] or {}).get("served_entities", ()):
            if entity["name"] == name:
                return self.replicas.get(entity["id"])
        return None

    def states(self) -> dict[str, dict[str, str]]:
        """Of running entities, by id."""
        return {key: replica.state for key, replica in self.replicas.items()}

    async def give_up(self) -> None:
        """End the update that is on its way, if one is; nothing of it is built any more when this returns."""
        update, self.update = self.update, None
        if update is not None:
            update.cancel()
            await asyncio.wait({update})


class Endpoints:
    """All endpoints, and what their replicas share."""

    def __init__(
        self,
        workspace: Workspace,
        metastore: Metastore,
        registry: Registry,
        scopes: Scopes,
        conversations: Conversations,
    ) -> None:
        self.workspace = workspace
        self.metastore = metastore
        self.registry = registry
        self._scopes = scopes
        self.idle_seconds = float(workspace.options.get("scale_to_zero_seconds", IDLE_SECONDS))
        self.foundation = FoundationModels(workspace)
        self.invokers = Invokers(workspace)
        self.loop: asyncio.AbstractEventLoop | None = None  # the server's, while it runs
        self.credentials = Credentials(workspace, conversations)
        self.payloads = Payloads()
        self._builds = asyncio.Semaphore(_BUILDS_AT_ONCE)
        self._build_seconds = float(workspace.options.get("serving_build_seconds", BUILD_SECONDS))
        self._busy_seconds = float(workspace.options.get("serving_busy_seconds", BUSY_SECONDS))
        self._endpoints = {document["name"]: Endpoint(document) for document in workspace.store.list(KIND)}
        # Who was allowed what, as long as nothing that decides it was written: every invocation asks.
        self._as_of: tuple[int, ...] = ()
        self._allowed: set[tuple[Principal, str, str]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    # Documents ---------------------------------------------------------------------------------------------------

    def get(self, name: str) -> Endpoint:
        """The endpoint; raises 404."""
        endpoint = self._endpoints.get(name)
        if endpoint is None and name in self.foundation:
            raise self.foundation.refuse(name)
        if endpoint is None:
            raise not_found(f"The endpoint with name '{name}' does not exist.")
        return endpoint

    def find(self, name: str) -> Endpoint | None:
        """The endpoint, or None."""
        return self._endpoints.get(name)

    def all(self) -> list[Endpoint]:
        """Oldest first."""
        return list(self._endpoints.values())

    def models_served(self, name: str) -> dict[str, dict[str, str]]:
        """Served entity's id → model_name and model_version, of all that the endpoint ever served; none of no endpoint.

        Databricks tells them in `system.serving.served_entities`, and no endpoint's answer has the ids.
        """
        found = self.find(name)
        known = {} if found is None else found.document.get("entities_served") or {}
        return {
            key: {"model_name": names[2], "model_version": names[1]} for key, names in known.items() if len(names) > 2
        }

    def require(self, principal: Principal, name: str, level: str) -> Endpoint:
        """The endpoint, if the caller has the level on it; raises 404 and 403."""
        endpoint = self.get(name)
        as_of = self.workspace.store.generation(*_DECIDED_BY)
        if as_of != self._as_of:
            self._as_of, self._allowed = as_of, set()
        if (decision := (principal, name, level)) not in self._allowed:
            self.workspace.authorization.require_object(principal, OBJECT, endpoint.document["id"], level)
            self._allowed.add(decision)
        return endpoint

    def require_query(self, principal: Principal, name: str) -> None:
        """Pass, or raise 404 and 403: whether the caller may ask the endpoint, a foundation model's included."""
        if name in self.foundation:
            self.foundation.require(principal, name)
        else:
            self.require(principal, name, "CAN_QUERY")

    def add(self, document: Document, creator: Principal) -> Endpoint:
        """A new endpoint; its creator manages it."""
        document = {**document, "id": secrets.token_hex(16), "creator": creator.name}
        document |= {"creation_timestamp": now(), "last_updated_timestamp": now(), "config_update": "NOT_UPDATING"}
        document |= {"config": None, "pending_config": None, "last_version": 0}
        endpoint = Endpoint(document, payload_folder=gateway.folder_of(self.metastore, document["ai_gateway"]))
        with self.workspace.store.transaction() as transaction:
            transaction.put(KIND, endpoint.name, document)
            register = self.workspace.authorization.register_object
            register(OBJECT, document["id"], creator, endpoint.name, transaction)
        # Only now, here as in the rest: what could not be saved must not be seen.
        self._endpoints[endpoint.name] = endpoint
        return endpoint

    def save(self, endpoint: Endpoint, document: Document | None = None) -> None:
        """Make the document durable; it names every entity that was ever served, of which logged rows have ids only.

        ``document`` is the one that is to be the endpoint's when it is saved; left out, the one that it has. Raises 404
        when the endpoint was deleted while its caller waited for something else.
        """
        if self.find(endpoint.name) is not endpoint:
            raise not_found(f"The endpoint with name '{endpoint.name}' does not exist.")
        document = endpoint.document if document is None else document
        names = {
            entity["id"]: [entity["name"], entity["entity_version"], entity["entity_name"]]
            for entity in (document["config"] or {}).get("served_entities", ())
        }
        if names:
            document = {**document, "entities_served": {**document.get("entities_served", {}), **names}}
        folder = gateway.folder_of(self.metastore, document["ai_gateway"])
        self.workspace.store.put(KIND, endpoint.name, document)
        endpoint.document, endpoint.payload_folder = document, folder

    def change(self, endpoint: Endpoint, **fields: Any) -> None:
        """Set fields, with the time of the change; raises 404 when it is gone."""
        self.save(endpoint, {**endpoint.document, **fields, "last_updated_timestamp": now()})

    async def delete(self, endpoint: Endpoint) -> None:
        """The endpoint is gone when this returns; its processes end on their own time."""
        with self.workspace.store.transaction() as transaction:
            transaction.delete(KIND, endpoint.name)
            self.workspace.authorization.forget_object(OBJECT, endpoint.document["id"], transaction)
        del self._endpoints[endpoint.name]
        await endpoint.give_up()
        replicas, endpoint.replicas = {*endpoint.replicas.values(), *endpoint.leaving}, {}
        await asyncio.gather(*(self._retire(replica, drain=0, grace=0) for replica in replicas))
        # Only now: all have closed their logs.
        await asyncio.to_thread(remove_scratch, self.logs_of(endpoint))

    def view(self, endpoint: Endpoint, principal: Principal) -> Document:
        """As the API shows it to this caller."""
        authorization = self.workspace.authorization
        level = authorization.object_level(principal, OBJECT, endpoint.document["id"])
        return views.detailed(endpoint.document, endpoint.states(), level, self.query_url(endpoint))

    def query_url(self, endpoint: Endpoint) -> str:
        """Where the endpoint is asked; a route-optimised one has a URL of its own (on the platform, a host)."""
        own = f"{OWN_PREFIX}{self.workspace.workspace_id}" if endpoint.document["route_optimized"] else ""
        return f"{self.workspace.host}{own}/serving-endpoints/{endpoint.name}/invocations"

    # Running -----------------------------------------------------------------------------------------------------

    def logs_of(self, endpoint: Endpoint) -> Path:
        """The folder of its entities' logs."""
        return self.workspace.folder / "logs" / "serving" / str(endpoint.document["id"])

    def replica(self, endpoint: Endpoint, entity: Document) -> Replica:
        """A replica for an entity of the endpoint, not started."""
        homes = self.workspace.folder / "serving" / "homes"
        shared = Surroundings(
            self.workspace,
            self.registry,
            self._scopes,
            self.credentials,
            self._builds,
            self.logs_of(endpoint),
            homes,
            self._build_seconds,
            self._busy_seconds,
        )
        replica = Replica(shared, endpoint.name, entity)
        endpoint.replicas[entity["id"]] = replica
        return replica

    def retire(self, endpoint: Endpoint, replicas: list[Replica], drain: float) -> None:
        """Let them finish their requests and end, beside what else happens."""
        for replica in replicas:
            endpoint.leaving.add(replica)
            self.in_background(self._leave(endpoint, replica, drain))

    async def _leave(self, endpoint: Endpoint, replica: Replica, drain: float) -> None:
        try:
            await self._retire(replica, drain=drain)
        finally:
            endpoint.leaving.discard(replica)

    async def _retire(self, replica: Replica, **patience: float) -> None:
        try:
            await replica.stop(**patience)
        except Exception:
            _logger.exception("Served entity %s did not end in order", replica.entity["name"])
        await asyncio.to_thread(remove_scratch, replica.surroundings.homes / replica.entity["id"])
        self.release_identities()

    def release_identities(self) -> None:
        """Versions that are in no config any more lose their service principals."""
        running = [replica.entity for endpoint in self.all() for replica in endpoint.replicas.values()]
        wanted = [entity for endpoint in self.all() for entity in _entities(endpoint)]
        self.credentials.keep_only({entity[pins.VERSION] for entity in (*wanted, *running)})

    def in_background(self, work: Any) -> asyncio.Task[Any]:
        """A task that is kept until it is done; what it raises is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("Serving: %s", error, exc_info=error)

    async def clean_up(self) -> None:
        """What a server that was killed left behind is ended or forgotten; before anything of this one runs."""
        if killed := await asyncio.to_thread(process.end_leftovers, self.workspace.store):
            _logger.warning("Ended processes that an earlier server left behind: %s", killed)
        principals = self.workspace.principals
        for endpoint in self.all():
            if [entity for entity in _entities(endpoint) if pins.complete(principals, self.registry, entity)]:
                self.save(endpoint)
        self.release_identities()
        for endpoint in self.all():
            endpoint.payload_folder = gateway.folder_of(self.metastore, endpoint.document["ai_gateway"])

    def start(self) -> None:
        """Begin what goes on beside the requests. To be called in the event loop."""
        self.loop = asyncio.get_running_loop()
        if any(endpoint.payload_folder for endpoint in self.all()):
            self.payloads.start()
        self.in_background(self.credentials.rotate())
        self.in_background(self._scale_to_zero())

    async def stop(self) -> None:
        """End everything; the documents say how to go on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(endpoint.give_up() for endpoint in self.all()))
        replicas = [replica for each in self.all() for replica in (*each.replicas.values(), *each.leaving)]
        await asyncio.gather(*(replica.stop(drain=0, grace=1) for replica in replicas), return_exceptions=True)
        await asyncio.to_thread(self.payloads.stop)

    async def _scale_to_zero(self) -> None:
        while True:
            await asyncio.sleep(min(self.idle_seconds / 4, 30))
            for endpoint in self.all():
                for replica in list(endpoint.replicas.values()):
                    idle = time.monotonic() - replica.last_used > self.idle_seconds
                    if idle and replica.entity["scale_to_zero_enabled"] and not replica.in_flight:
                        with suppress(ApiError):
                            await replica.scale_to_zero()


def _entities(endpoint: Endpoint) -> list[Document]:
    """Of both configs, deployed and pending."""
    configs = [endpoint.document[key] for key in ("config", "pending_config")]
    return [entity for config in configs if config for entity in config["served_entities"]]
