"""A version change: seconds that our provider adds to the workspace's own time; calls per operation.

The workspace's own time is measured in the same run, by a second observer that looks at the endpoint all the time. The
calls are held against the vendor's databricks_model_serving, seen on the wire with an endpoint that is ready at once:
create = POST, look, read-back; update of the config = PUT, look, read-back; of the tags = look, PATCH, read-back;
delete = DELETE alone.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.local import LocalWorkspace
from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.plugin.resource import Context, Values
from bench import models
from bench.report import Progress, Row

MODEL, NAME, ROUNDS = "main.default.echo", "changed", 3
PATH = f"/api/2.0/serving-endpoints/{NAME}"
ALLOWED_SECONDS = 2.0
# Calls of the vendor's resource.
VENDOR = {"create": 3, "no-op": 0, "version change": 3, "traffic change": 3, "tag change": 3, "destroy": 1}


def run(progress: Progress) -> list[Row]:
    """The most seconds added; then the calls of each operation, where the first look finds the endpoint ready."""
    with tempfile.TemporaryDirectory() as folder, LocalWorkspace() as workspace:
        for version in (1, 2):
            progress(f"registering version {version}")
            models.register(MODEL, Path(folder), workspace.env())
        deployed = Deployed(workspace)
        progress("deploying")
        deployed.up(serving("1"))
        added, own = [], []
        for number in range(ROUNDS):
            progress(f"version change {number + 1} of {ROUNDS}")
            seconds, ready = deployed.timed_up(serving("2" if number % 2 == 0 else "1"))
            added.append(seconds - ready)
            own.append(ready)
        deployed.destroy()
    rows = [
        Row("version change: the workspace's own time", "s", max(own)),
        Row("version change: added by the provider (theirs: what is allowed)", "s", max(added),
            ALLOWED_SECONDS, goal=1.0),
    ]  # fmt: skip
    progress("counting calls")
    return rows + _calls()


def _calls() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, LocalWorkspace(serving_start="on_request") as workspace:
        for _ in range(2):
            models.register(MODEL, Path(folder), workspace.env())
        deployed = Deployed(workspace)
        both = {"a": entity("1"), "b": entity("2")}
        steps: dict[str, Values] = {
            "create": serving("1"),
            "no-op": serving("1"),
            "version change": serving("2"),
            "traffic change": {**serving("1"), "servedEntities": both, "traffic": {"a": 90, "b": 10}},
        }
        steps["tag change"] = {**steps["traffic change"], "tags": {"team": "x"}}
        counted = {}
        for what, inputs in steps.items():
            counted[what] = deployed.calls_of(lambda inputs=inputs: deployed.up(inputs))
        counted["destroy"] = deployed.calls_of(deployed.destroy)
    return [Row(f"calls: {what}", "calls", calls, VENDOR[what], goal=1.0) for what, calls in counted.items()]


def entity(version: str) -> Values:
    """A served entity."""
    return {"entityName": MODEL, "entityVersion": version}


def serving(version: str) -> Values:
    """Inputs that serve one version."""
    return {"name": NAME, "servedEntities": {f"echo_{version}": entity(version)}, "ownerMark": "bench"}


class _Counting(httpx.HTTPTransport):
    """Real HTTP that counts; looks one after another count as one, as how many there are is a matter of time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Counts, and sends."""
        call = f"{request.method} {request.url.path}"
        if not self.calls or self.calls[-1] != call or request.method != "GET":
            self.calls.append(call)
        return super().handle_request(request)


class Deployed:
    """One endpoint, and its state as the engine would keep it."""

    def __init__(self, local: LocalWorkspace) -> None:
        settings = Settings(host=local.host, method=PAT, token=local.token)
        self._wire = _Counting()
        self._context = Context(urn="urn:bench", configuration=Workspace(settings, self._wire))
        self._observer = Workspace(settings)
        self._resource = ServingEndpoint()
        self._old: tuple[Values, Values] | None = None

    def up(self, inputs: Values) -> None:
        """Creates, updates or does nothing, as the engine decides after a diff."""
        if self._old is None:
            properties = self._resource.create(self._context, inputs).properties
        else:
            before, old = self._old
            changed = self._resource.diff(self._context, NAME, before, old, inputs).changes
            properties = self._resource.update(self._context, NAME, before, old, inputs) if changed else old
        self._old = (inputs, properties)

    def timed_up(self, inputs: Values) -> tuple[float, float]:
        """Seconds until the provider had finished, and until the endpoint was ready."""
        version = self._look()["config"]["config_version"]
        begin, ready = time.perf_counter(), [0.0]

        def watch() -> None:
            while True:
                seen = self._look()
                if seen["config"]["config_version"] != version and seen["state"]["config_update"] == "NOT_UPDATING":
                    ready[0] = time.perf_counter() - begin
                    return
                time.sleep(0.005)

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        self.up(inputs)
        seconds = time.perf_counter() - begin
        watching.join(timeout=60)
        return seconds, ready[0]

    def destroy(self) -> None:
        """Deletes it."""
        if self._old is not None:
            self._resource.delete(self._context, NAME, *self._old)
            self._old = None

    def calls_of(self, operation: Any) -> int:
        """How many calls an operation makes."""
        self._wire.calls.clear()
        operation()
        return len(self._wire.calls)

    def _look(self) -> dict[str, Any]:
        return self._observer.get(PATH)
