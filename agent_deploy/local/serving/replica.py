"""One served entity at run time: its process, started, watched, started again when it dies, stopped when idle."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry.models import Registry
from agent_deploy.local.secrets.scopes import Scopes
from agent_deploy.local.serving import environment, passthrough, pins
from agent_deploy.local.serving.connections import Connections
from agent_deploy.local.serving.credentials import Credentials
from agent_deploy.local.serving.environments import environment_of, interpreter
from agent_deploy.local.serving.logs import Log, Mask, last_lines, read
from agent_deploy.local.serving.process import BuildFailed, ModelProcess, Order
from agent_deploy.rules.environment import EXPERIMENT_VARIABLE
from agent_deploy.rules.resource_kinds import Resource
from agent_deploy.rules.secrets import SecretReference
from agent_deploy.rules.workload import CONCURRENCY

CREATING, READY, ASLEEP, RECOVERING, FAILED, STOPPED = "creating", "ready", "asleep", "recovering", "failed", "stopped"
_DEPLOYMENT = {
    CREATING: "DEPLOYMENT_CREATING",
    READY: "DEPLOYMENT_READY",
    ASLEEP: "DEPLOYMENT_READY",  # as on the platform: scaled to zero is ready
    RECOVERING: "DEPLOYMENT_RECOVERING",
    FAILED: "DEPLOYMENT_FAILED",
    STOPPED: "DEPLOYMENT_ABORTED",
}
_DRAIN_SECONDS = 300.0  # a request may run as long as the platform lets it
_GRACE_SECONDS = 5.0  # for traces on their way
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # between a death and the next start
_DEATHS_TO_FAIL = 4  # in a row, after which the entity says that it has failed; it is still tried
# A model that is not loaded by then fails; the workspace's option `serving_build_seconds`. Several times what one of
# some gigabytes takes on a laptop.
BUILD_SECONDS = 600.0
# A load that takes longer than this, as no agent's does, neither keeps others from loading nor its endpoint from being
# given another config; the workspace's option `serving_busy_seconds`.
BUSY_SECONDS = 60.0
_STABLE_SECONDS = 60.0  # a process that lived this long starts the count anew
# The workspace's option `serving_start`: an entity is ready without a process, which its first request starts.
ON_REQUEST = "on_request"
# Of a start, expected: the model, its secrets, its files. Others are mistakes of ours, and logged as such.
_FAILURES = (BuildFailed, environment.UnresolvedSecrets, ApiError, OSError)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What replicas share; ``builds`` is how many load at once, ``logs`` and ``homes`` are where theirs lie."""

    workspace: Workspace
    registry: Registry
    scopes: Scopes
    credentials: Credentials
    builds: asyncio.Semaphore
    logs: Path
    homes: Path
    build_seconds: float = BUILD_SECONDS
    busy_seconds: float = BUSY_SECONDS


@dataclass(eq=False)
class Replica:
    """``entity`` is the served entity's document."""

    surroundings: Surroundings
    endpoint: str
    entity: Document
    status: str = CREATING
    message: str = "Creating"
    in_flight: int = 0
    last_used: float = field(default_factory=time.monotonic)
    connections: Connections | None = None
    task: str | None = None
    user_scopes: tuple[str, ...] = ()  # in which it acts on behalf of who asks

    def __post_init__(self) -> None:
        self.mask = Mask()
        self._log = Log(self.surroundings.logs, self.entity["name"], self.mask)
        self._starting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._alive: set[ModelProcess] = set()
        self._loading_since: float | None = None
        self._deaths = 0
        self._born = 0.0

    @property
    def state(self) -> dict[str, str]:
        """As the API shows it."""
        return {"deployment": _DEPLOYMENT[self.status], "deployment_state_message": self.message}

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self.connections.process.pid if self.connections else None

    @property
    def is_stuck(self) -> bool:
        """Whether its model takes so long to load that nobody need wait for it."""
        since = self._loading_since
        return since is not None and time.monotonic() - since > self.surroundings.busy_seconds

    async def build(self) -> None:
        """First start, as a deployment sees it; raises BuildFailed."""
        self._log.start_build()
        try:
            await self._injected_fault()
            await self.surroundings.workspace.transitions.pause(f"serving-endpoints/{self.endpoint}/build")
            if self.starts_on_request:
                await self._require_deployed()
                self.sleep_from_start()
            else:
                await self._start()
        except BuildFailed as error:
            self._log.write(f"ERROR: {error}\n")
            tail = last_lines(read(self.surroundings.logs, self.entity["name"], "build"), 5)
            _logger.warning("%s/%s failed to build: %s", self.endpoint, self.entity["name"], tail)
            self._set(FAILED, str(error))
            raise

    @property
    def starts_on_request(self) -> bool:
        """Whether nothing is built before it is asked for: for tests of everything but the model itself."""
        return bool(self.surroundings.workspace.options.get("serving_start") == ON_REQUEST)

    def sleep_from_start(self) -> None:
        """Ready without a process: the next request starts one."""
        self._set(ASLEEP, "Scaled to zero")

    async def running(self) -> Connections:
        """The process's connections, started first when it sleeps or has died; raises BuildFailed."""
        while self.connections is None:
            if self.status in (FAILED, STOPPED):
                raise BuildFailed(self.message)
            if self._starting is None:
                self._starting = asyncio.create_task(self._wake())
            # Looks up now and then: a process that dies again and again is not waited for.
            await asyncio.wait({self._starting}, timeout=0.5)
        return self.connections

    async def scale_to_zero(self) -> None:
        """Stop the process; called when it is idle."""
        if not self.in_flight and (connections := self._detach()) is not None:
            self._set(ASLEEP, "Scaled to zero")
            await self._end(connections, _GRACE_SECONDS)

    async def stop(self, drain: float = _DRAIN_SECONDS, grace: float = _GRACE_SECONDS) -> None:
        """Let requests finish, then end the process."""
        self.status = STOPPED
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError, BuildFailed):
                await self._starting
        deadline = time.monotonic() + drain
        while self.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if (connections := self._detach()) is not None:
            await self._end(connections, grace)
        for process in list(self._alive):  # one that was loading, or was being ended already
            await process.end()
        self._log.close()

    async def _injected_fault(self) -> None:
        rule = self.surroundings.workspace.faults.build_rule(self.entity["name"], self.entity["entity_version"]) or {}
        if delay := rule.get("delay"):
            await asyncio.sleep(delay)
        if (message := rule.get("fail")) is not None:
            raise BuildFailed(message)

    async def _start(self) -> None:
        """A process, ready; whatever goes wrong is raised as BuildFailed, without secrets."""
        try:
            async with self._turn():
                await self._launch()
        except Exception as error:
            if not isinstance(error, _FAILURES):
                _logger.exception("%s/%s could not be started", self.endpoint, self.entity["name"])
            raise BuildFailed(self.mask(str(error) or type(error).__name__)) from error

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the few loads at once; given back by one that takes long, as it may take for ever."""
        held = [self.surroundings.builds]
        await held[0].acquire()

        def give_back() -> None:
            if held:
                held.pop().release()

        timer = asyncio.get_running_loop().call_later(self.surroundings.busy_seconds, give_back)
        self._loading_since = time.monotonic()
        try:
            yield
        finally:
            self._loading_since = None
            timer.cancel()
            give_back()

    async def _launch(self) -> None:
        workspace, folder = self.surroundings.workspace, self._model_folder()
        await self._require_deployed()
        own = await self._environment(folder)
        self.user_scopes = await asyncio.to_thread(passthrough.user_scopes, folder)
        order = self._order(own, await asyncio.to_thread(passthrough.declared, folder))
        process = await ModelProcess.start(order, self._log, workspace.store)
        self._alive.add(process)
        process.exited.add_done_callback(lambda _exited: self._alive.discard(process))
        try:
            self.task = (await process.ready(self.surroundings.build_seconds)).get("task")
            pins.require_version(self.surroundings.registry, self.entity)  # it may have gone while it was being loaded
            self._log.start_service()
            limit = self.entity.get("max_provisioned_concurrency") or CONCURRENCY[self.entity["workload_size"]]
            self.connections = Connections(process, int(limit))
        except BaseException:
            await process.end()
            self._release()
            raise
        self.last_used = time.monotonic()
        self._born = time.monotonic()
        self._watching = asyncio.create_task(self._watch(process))
        self._set(READY, "")

    async def _environment(self, folder: Path) -> Path | None:
        try:
            return await asyncio.wait_for(environment_of(folder, self._log.write), self.surroundings.build_seconds)
        except asyncio.TimeoutError:
            limit = f"{self.surroundings.build_seconds:g} s (serving_build_seconds)"
            raise BuildFailed(f"The model's environment was not built within {limit}.") from None

    async def _require_deployed(self) -> None:
        """Raises BuildFailed when the registry has another version by now under the name and number, or other files."""
        pins.require_version(self.surroundings.registry, self.entity)
        await asyncio.to_thread(pins.require_content, self.entity, self._model_folder())

    def _model_folder(self) -> Path:
        return self.surroundings.registry.version_folder(self.entity["entity_name"], self.entity["entity_version"])

    def _order(self, own: Path | None, resources: list[Resource]) -> Order:
        shared, version, deployer = self.surroundings, self.entity[pins.VERSION], self._deployer()
        variables, secrets = environment.resolve(self.entity, self._secret)
        for secret in secrets:
            self.mask.add(secret)
        if missing := passthrough.lacking(shared.workspace, deployer, resources):
            raise BuildFailed(f"Automatic authentication passthrough: {'; '.join(missing)}.")
        credentials = shared.credentials.open(version, self._model, self.mask)
        shared.credentials.allow(version, resources)
        shared.credentials.allow_traces(version, variables.get(EXPERIMENT_VARIABLE), deployer)
        home = shared.homes / self.entity["id"]
        python = str(own / "bin" / "python") if own else sys.executable
        whole = environment.complete(variables, shared.workspace.host, home, credentials, python)
        return Order(
            self._model_folder(),
            self.endpoint,
            whole,
            home,
            shared.build_seconds,
            hidden=(shared.workspace.folder,),
            readable=(credentials, *((own, *interpreter(own)) if own else ())),
            python=python,
            isolated=shared.workspace.options.get("serving_isolation", True),
        )

    def _secret(self, reference: SecretReference) -> str:
        return self.surroundings.scopes.resolve(reference, self._deployer())

    def _deployer(self) -> Principal:
        return pins.deployer(self.surroundings.workspace.principals, self.entity)

    @property
    def _model(self) -> str:
        """For people."""
        return f"{self.entity['entity_name']}/{self.entity['entity_version']}"

    async def _wake(self) -> None:
        try:
            while self.connections is None and self.status != STOPPED:
                try:
                    await self._start()
                except BuildFailed as error:
                    await self._pause_after(str(error))
        finally:
            self._starting = None

    async def gone(self, connections: Connections) -> None:
        """A request was hung up on: return when the process has ended, so that the next one waits for another.

        One that lives on nevertheless, without the thread that should have answered, is ended by its id.
        """
        await connections.process.end(_GRACE_SECONDS)
        self._died(connections.process)

    def leave(self, connections: Connections, cause: str) -> None:
        """The model raised what ends a program: its process is ended, and then another one starts."""
        if self.connections is connections and self.status != STOPPED:
            self._detach()
            self._starting = asyncio.create_task(self._recover(self.mask(cause), connections))

    async def _watch(self, process: ModelProcess) -> None:
        await asyncio.shield(process.exited)
        self._died(process)

    def _died(self, process: ModelProcess) -> None:
        if self.connections is None or self.connections.process is not process:
            return  # we ended it, or know already
        self._detach()
        self._release()
        if time.monotonic() - self._born > _STABLE_SECONDS:
            self._deaths = 0
        message = f"The process of served entity '{self.entity['name']}' ended with {process.describe_exit()}"
        self._starting = asyncio.create_task(self._recover(message))

    async def _recover(self, message: str, left: Connections | None = None) -> None:
        try:
            if left is not None:
                self._set(RECOVERING, message)
                await self._end(left, _GRACE_SECONDS)
            await self._pause_after(message)
        except asyncio.CancelledError:
            self._starting = None
            raise
        await self._wake()

    async def _pause_after(self, message: str) -> None:
        """Count a death, say so, wait longer each time; the first one is mended at once."""
        self._deaths += 1
        self._log.write(f"ERROR: {message}\n")
        failed = self._deaths >= _DEATHS_TO_FAIL
        shown = f"{message}, {self._deaths} times in a row" if failed else f"{message}; starting again"
        self._set(FAILED if failed else RECOVERING, shown)
        if self._deaths > 1:
            await asyncio.sleep(min(_FIRST_PAUSE * 2 ** (self._deaths - 2), _LONGEST_PAUSE))

    def _detach(self) -> Connections | None:
        connections, self.connections = self.connections, None
        return connections

    async def _end(self, connections: Connections, grace: float) -> None:
        connections.close()
        await connections.process.stop(grace)
        self._release()

    def _release(self) -> None:
        self.surroundings.credentials.release(self.entity[pins.VERSION], self.mask)

    def set_failed(self, message: str) -> None:
        """It is not built any further."""
        self._set(FAILED, message)

    def _set(self, status: str, message: str) -> None:
        if self.status != STOPPED:
            self.status, self.message = status, message
