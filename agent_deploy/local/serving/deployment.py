"""A config on its way: new entities are built while the old config serves; then traffic switches to all at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from agent_deploy.local.core.errors import conflict
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.supervision import explained
from agent_deploy.local.serving.checks import now
from agent_deploy.local.serving.endpoints import Endpoint, Endpoints
from agent_deploy.local.serving.process import BuildFailed
from agent_deploy.local.serving.replica import FAILED, Replica

NOT_UPDATING, IN_PROGRESS, UPDATE_FAILED = "NOT_UPDATING", "IN_PROGRESS", "UPDATE_FAILED"
_DRAIN_SECONDS = 300.0  # a request that an old process is answering may take as long
_logger = logging.getLogger(__name__)


def refuse_while_updating(endpoint: Endpoint) -> None:
    """Raises 409, as the platform does for changes of an endpoint that is being updated.

    Not so while a model hangs: here nobody need wait for the end of its time before he may mend it. Nor when the update
    ended and that could not be saved.
    """
    lost = endpoint.update is not None and endpoint.update.done()
    if endpoint.document["config_update"] == IN_PROGRESS and not lost and not _stuck(endpoint):
        raise conflict(f"Endpoint {endpoint.name} is currently updating: try again when the update has ended.")


async def replace(endpoints: Endpoints, endpoint: Endpoint, config: Document) -> None:
    """`begin`; an update whose model hangs makes way first. Raises 409 when another one came first."""
    if endpoint.document["config_update"] == IN_PROGRESS:
        stuck = _stuck(endpoint)
        await endpoint.give_up()
        for replica in stuck:
            replica.set_failed("The model did not load, and another config came")
        if endpoint.document["config_update"] == IN_PROGRESS and endpoint.update is None:
            _fail(endpoints, endpoint, _pending(endpoint))
    refuse_while_updating(endpoint)
    begin(endpoints, endpoint, config)


def _stuck(endpoint: Endpoint) -> list[Replica]:
    return [replica for replica in _pending(endpoint) if replica.is_stuck]


def _pending(endpoint: Endpoint) -> list[Replica]:
    """Those of the pending config alone."""
    document = endpoint.document
    deployed = {entity["id"] for entity in (document["config"] or {}).get("served_entities", ())}
    return [replica for key, replica in endpoint.replicas.items() if key not in deployed]


def begin(endpoints: Endpoints, endpoint: Endpoint, config: Document) -> None:
    """Record the config as pending, then build it in the background."""
    version = endpoint.document["last_version"] + 1
    pending = {**config, "config_version": version, "start_time": now()}
    endpoints.change(endpoint, pending_config=pending, config_update=IN_PROGRESS, last_version=version)
    endpoint.update = endpoints.in_background(_deploy(endpoints, endpoint))


async def start(endpoints: Endpoints) -> None:
    """When the server starts: clean up after one that was killed, then go on where it was."""
    await endpoints.clean_up()
    for endpoint in endpoints.all():
        resume(endpoints, endpoint)
    endpoints.start()


def resume(endpoints: Endpoints, endpoint: Endpoint) -> None:
    """After a restart: serve what was served, go on with what was being deployed."""
    document = endpoint.document
    for entity in (document["config"] or {}).get("served_entities", ()):
        replica = endpoints.replica(endpoint, entity)
        replica.sleep_from_start()
        if not entity["scale_to_zero_enabled"] and not replica.starts_on_request:
            endpoints.in_background(_wake(replica))
    if document["config_update"] == IN_PROGRESS:
        endpoint.update = endpoints.in_background(_deploy(endpoints, endpoint))


async def _wake(replica: Replica) -> None:
    # Its state tells when it does not come up.
    await asyncio.gather(replica.running(), return_exceptions=True)


async def _deploy(endpoints: Endpoints, endpoint: Endpoint) -> None:
    try:
        await _build(endpoints, endpoint)
        _switch(endpoints, endpoint)
    except BuildFailed:
        _fail(endpoints, endpoint, _pending(endpoint))
    except Exception as error:
        # Whatever it was, the update has ended: else every other one would be refused for ever.
        _logger.exception("The update of endpoint %s", endpoint.name)
        for replica in _pending(endpoint):
            replica.set_failed(explained(error))
        _fail(endpoints, endpoint, _pending(endpoint))


async def _build(endpoints: Endpoints, endpoint: Endpoint) -> None:
    pending: Document = endpoint.document["pending_config"]
    fresh = [entity for entity in pending["served_entities"] if entity["id"] not in endpoint.replicas]
    replicas = [endpoints.replica(endpoint, entity) for entity in fresh]
    if not replicas:  # a build has a pause of its own
        await endpoints.workspace.transitions.pause(f"serving-endpoints/{endpoint.name}/update")
    builds = [asyncio.create_task(replica.build()) for replica in replicas]
    try:
        await asyncio.gather(*builds)
    finally:
        await _end(builds)


async def _end(builds: list[asyncio.Task[Any]]) -> None:
    for build in builds:
        build.cancel()
    await asyncio.gather(*builds, return_exceptions=True)


def _switch(endpoints: Endpoints, endpoint: Endpoint) -> None:
    """In one step of the loop, so that no request sees half of it."""
    pending = endpoint.document["pending_config"]
    config = {key: value for key, value in pending.items() if key != "start_time"}
    config["served_entities"] = [
        {**entity, "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""}}
        for entity in pending["served_entities"]
    ]
    serving = {entity["id"]: endpoint.replicas[entity["id"]] for entity in config["served_entities"]}
    old = [replica for key, replica in endpoint.replicas.items() if key not in serving]
    tasks = [replica.task for replica in serving.values() if replica.task]
    task = tasks[0] if tasks else endpoint.document["task"]
    endpoints.change(endpoint, config=config, pending_config=None, config_update=NOT_UPDATING, task=task)
    endpoint.replicas = serving
    for entity in config["served_entities"]:
        serving[entity["id"]].entity = entity
    endpoints.retire(endpoint, old, _DRAIN_SECONDS)


def _fail(endpoints: Endpoints, endpoint: Endpoint, replicas: list[Replica]) -> None:
    """The old config serves on; the pending one stays to be seen, with the reason at each entity."""
    failed = [replica.entity["name"] for replica in replicas if replica.status == FAILED]
    message = f"Not deployed, as the update failed at: {', '.join(failed)}"
    aborted = {"deployment": "DEPLOYMENT_ABORTED", "deployment_state_message": message}
    states = {each.entity["id"]: dict(each.state if each.status == FAILED else aborted) for each in replicas}
    pending = endpoint.document["pending_config"]
    entities = [{**each, "state": states.get(each["id"], each["state"])} for each in pending["served_entities"]]
    endpoints.change(endpoint, pending_config={**pending, "served_entities": entities}, config_update=UPDATE_FAILED)
    for replica in replicas:
        del endpoint.replicas[replica.entity["id"]]
    endpoints.retire(endpoint, replicas, 0)
