"""The engine's part, as small as it can be: keeps the state, calls the plugin's handlers in its order, can be cut.

Real engine runs cost seconds each; here a run is a few calls to a local workspace, so that every place of an
interruption and hundreds of random histories can be tried.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.access.secret import Secret
from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.plugin.resource import Cancelled, Context, PartialFailure, Resource, UserError, Values

Outputs = Mapping[str, Values]
# Logical name → type, and its inputs from the properties of those before it.
Program = Mapping[str, tuple[str, Callable[[Outputs], Values]]]
_TYPES: dict[str, type[Resource]] = {"ServingEndpoint": ServingEndpoint, "Secret": Secret}
# What the engine reports as the resource's failure; anything else is a mistake of ours and fails the test.
_TOLD = (UserError, WorkspaceError, Cancelled)


class Cut(BaseException):
    """The engine and its plugin were killed."""


class RunFailed(Exception):
    """A run that ended with an error of a resource; the state holds what the resource told."""


@dataclass
class Held:
    """One resource in the state. ``failed``: its last operation ended in a PartialFailure."""

    type: str
    id: str
    inputs: Values
    properties: Values
    failed: bool = False


class Wire(httpx.HTTPTransport):
    """Real HTTP that counts, and kills the run at one call: before it is sent, or after it was done."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.asked: set[str] = set()
        self.cut_at: int | None = None
        self.after_it_was_done = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends, unless the run is dead."""
        self.calls += 1
        self.asked.add(f"{request.method} {request.url.path.rsplit('/', 1)[0]}")
        cut = self.cut_at is not None and self.calls >= self.cut_at
        if cut and not (self.after_it_was_done and self.calls == self.cut_at):
            raise Cut
        response = super().handle_request(request)
        if cut:
            response.read()
            raise Cut
        return response


@dataclass
class Engine:
    """A stack: its state, and the operations that change it."""

    host: str
    token: str
    # What one operation may take.
    seconds: float = 30.0
    state: dict[str, Held] = field(default_factory=dict)
    # Replaced resources that are still to be deleted.
    old: list[Held] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    wire: Wire = field(default_factory=Wire)

    def up(self, program: Program) -> list[str]:
        """Brings the workspace to what the program says; returns the operations, such as ``create qa``."""
        with self._run() as handlers:
            return [done for name in program if (done := self._step(handlers, program, name))] + self._clean(
                handlers, program
            )

    def preview(self, program: Program) -> list[str]:
        """What `up` would do; changes nothing."""
        with self._run() as handlers:
            found = []
            for name in program:
                held, inputs = self.state.get(name), self._inputs(program, name)
                if held is None:
                    found.append(f"create {name}")
                    continue
                context, handler = self._context(handlers, name), handlers[held.type]
                checked, failures = handler.check(context, held.inputs, copy.deepcopy(inputs))
                assert not failures, failures
                diff = handler.diff(context, held.id, held.inputs, held.properties, checked)
                found += [f"change {name} {path}" for path in diff.changes] + [f"mend {name}"] * held.failed
            return found + [f"delete {name}" for name in self.state if name not in program] + ["delete"] * len(self.old)

    def refresh(self) -> None:
        """Takes into the state what is really there."""
        with self._run() as handlers:
            for name, held in list(self.state.items()):
                try:
                    found = handlers[held.type].read(
                        self._context(handlers, name), held.id, held.inputs, held.properties
                    )
                except PartialFailure as failure:
                    self.state[name] = Held(held.type, failure.id, failure.inputs, failure.properties, failed=True)
                    continue
                if found is None:
                    del self.state[name]
                else:
                    self.state[name] = Held(held.type, found.id, found.inputs, found.properties)

    def destroy(self) -> None:
        """Deletes all, the last first."""
        with self._run() as handlers:
            self._clean(handlers, {})

    @contextmanager
    def cut(self, call: int, after_it_was_done: bool) -> Iterator[None]:
        """The run is killed at its ``call``-th call."""
        self.wire.calls, self.wire.cut_at, self.wire.after_it_was_done = 0, call, after_it_was_done
        try:
            yield
        finally:
            self.wire.cut_at = None

    @contextmanager
    def _run(self) -> Iterator[dict[str, Resource]]:
        # A plugin of its own for each run, as the engine starts it.
        self._plugin = Workspace(Settings(host=self.host, method=PAT, token=self.token), self.wire)
        try:
            yield {name: made() for name, made in _TYPES.items()}
        except _TOLD as error:
            raise RunFailed(str(error)) from error

    def _context(self, handlers: object, name: str) -> Context:
        context = Context(urn=f"urn:{name}", name=name, configuration=self._plugin, timeout=self.seconds)
        context.log = lambda severity, text, ephemeral: self.told.append(text)
        return context

    def _inputs(self, program: Program, name: str) -> Values:
        return program[name][1]({key: held.properties for key, held in self.state.items()})

    def _step(self, handlers: dict[str, Resource], program: Program, name: str) -> str:
        held, inputs, type_ = self.state.get(name), self._inputs(program, name), program[name][0]
        context, handler = self._context(handlers, name), handlers[type_]
        checked, failures = handler.check(context, held.inputs if held else {}, copy.deepcopy(inputs))
        if failures:
            raise RunFailed("; ".join(failure.reason for failure in failures))
        if held is None:
            return self._create(handler, context, name, type_, checked)
        diff = handler.diff(context, held.id, held.inputs, held.properties, checked)
        if diff.replaces:
            checked, failures = handler.check(context, {}, copy.deepcopy(inputs))
            if failures:
                raise RunFailed("; ".join(failure.reason for failure in failures))
            if diff.delete_before_replace:
                handler.delete(context, held.id, held.inputs, held.properties)
                del self.state[name]
            else:
                self.old.append(held)
                # Until the new one is there the state has the old one only.
                try:
                    self._create(handler, context, name, type_, checked)
                except BaseException:
                    self.old.remove(held)
                    raise
                return f"replace {name}"
            return self._create(handler, context, name, type_, checked).replace("create", "replace")
        if not diff.changes and not held.failed:
            held.inputs = checked
            return ""
        with self._partial(name, type_):
            properties = handler.update(context, held.id, held.inputs, held.properties, checked)
            self.state[name] = Held(type_, held.id, checked, properties)
        return f"update {name}"

    def _create(self, handler: Resource, context: Context, name: str, type_: str, inputs: Values) -> str:
        with self._partial(name, type_):
            created = handler.create(context, inputs)
            self.state[name] = Held(type_, created.id, inputs, created.properties)
        return f"create {name}"

    @contextmanager
    def _partial(self, name: str, type_: str) -> Iterator[None]:
        try:
            yield
        except PartialFailure as failure:
            self.state[name] = Held(type_, failure.id, failure.inputs, failure.properties, failed=True)
            raise RunFailed(str(failure)) from failure

    def _clean(self, handlers: dict[str, Resource], program: Program) -> list[str]:
        done = []
        for held in list(self.old):
            handlers[held.type].delete(self._context(handlers, "old"), held.id, held.inputs, held.properties)
            self.old.remove(held)
            done.append(f"delete {held.id}")
        for name in reversed([name for name in self.state if name not in program]):
            held = self.state[name]
            handlers[held.type].delete(self._context(handlers, name), held.id, held.inputs, held.properties)
            del self.state[name]
            done.append(f"delete {name}")
        return done
