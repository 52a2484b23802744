"""Answers the engine for any Package: custom resources, functions and components in one process.

Pulumi's wire is known here and in property_values.py only; nothing else of its SDK is loaded before somebody asks for a
component.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from agent_deploy.provider.plugin.property_values import Secrets, decode, encode, path_text
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Cancelled,
    Context,
    Diff,
    Failure,
    Kind,
    Package,
    PartialFailure,
    Resource,
    UserError,
    Values,
)
from agent_deploy.rules.problems import InvalidInput

if TYPE_CHECKING:
    from agent_deploy.provider.plugin.components import Components

# Long texts are sent (400 MB, as by Pulumi), and wait while operations do (seconds).
CHANNEL_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.server_max_unrequested_time_in_server", 30 * 60),
]

_SEVERITIES = {
    "debug": engine_pb2.DEBUG,
    "info": engine_pb2.INFO,
    "warning": engine_pb2.WARNING,
    "error": engine_pb2.ERROR,
}
_UPDATE_KINDS = {
    (Kind.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Kind.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Kind.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Kind.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Kind.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Kind.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
# The engine takes FAILED_PRECONDITION for "nothing happened", and UNKNOWN for "the object may be in any state".
_NOTHING_HAPPENED = grpc.StatusCode.FAILED_PRECONDITION
_ANYTHING_MAY_HAVE_HAPPENED = grpc.StatusCode.UNKNOWN


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The engine's calls, translated to the Package's plain functions."""

    def __init__(self, package: Package, engine_address: str = "") -> None:
        self._package = package
        self._engine_address = engine_address
        self._configuration: Any = None
        self._cancelled = threading.Event()
        self._engine: engine_pb2_grpc.EngineStub | None = None
        self._components: Components | None = None
        self._components_lock = asyncio.Lock()

    # ---- about the plugin

    async def Handshake(self, request: Any, context: Any) -> Any:
        self._engine_address = request.engine_address or self._engine_address
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    async def Attach(self, request: Any, context: Any) -> Any:
        self._engine_address = request.address
        self._engine = None
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._package.version)

    async def GetSchema(self, request: Any, context: Any) -> Any:
        return await self._guarded(context, Secrets(), self._schema())

    async def _schema(self) -> Any:
        components = await self._with_components()
        inferred = components.schema if components else {}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(merged(self._package.schema(), inferred)))

    async def Cancel(self, request: Any, context: Any) -> Any:
        self._cancelled.set()
        return empty_pb2.Empty()

    # ---- configuration

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        secrets = _secrets_of(request, self._package.secret_configuration)
        values = decode(request.news, secrets)

        async def check() -> Any:
            failures = self._package.check_configuration(values)
            return provider_pb2.CheckResponse(
                inputs=encode(values, secrets), failures=_check_failures(failures, secrets)
            )

        return await self._guarded(context, secrets, check())

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        secrets = Secrets()
        old = decode(request.old_inputs if request.old_inputs.fields else request.olds, secrets)
        new = decode(request.news, secrets)
        # A provider is never replaced: that would replace every resource that it made.
        changed = [name for name in sorted({*old, *new} - {"version"}) if old.get(name) != new.get(name)]
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, diffs=changed)

    async def Configure(self, request: Any, context: Any) -> Any:
        secrets = _secrets_of(request, self._package.secret_configuration)
        values = {name: _unpacked(value) for name, value in decode(request.args, secrets).items()}
        for name, value in values.items():
            if (name,) in secrets.paths:
                secrets.found((name,), value)

        async def configure() -> Any:
            self._configuration = self._package.configure(values)
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
            )

        return await self._guarded(context, secrets, configure())

    # ---- resources

    async def Check(self, request: Any, context: Any) -> Any:
        resource, secrets = self._resource(request)
        old = decode(request.olds, Secrets())  # what was secret need not be so in the new inputs
        new = decode(request.news, secrets)
        operation = self._operation(request, secrets)

        async def check() -> Any:
            inputs, failures = await self._run(operation, resource.check, operation, old, new)
            return provider_pb2.CheckResponse(
                inputs=encode(inputs, secrets), failures=_check_failures(failures, secrets)
            )

        return await self._guarded(context, secrets, check())

    async def Diff(self, request: Any, context: Any) -> Any:
        resource, secrets = self._resource(request)
        old_inputs, old = decode(request.old_inputs, secrets), decode(request.olds, secrets)
        new = decode(request.news, secrets)
        operation = self._operation(request, secrets)

        async def diff() -> Any:
            return _diff_response(
                await self._run(operation, resource.diff, operation, request.id, old_inputs, old, new)
            )

        return await self._guarded(context, secrets, diff())

    async def Create(self, request: Any, context: Any) -> Any:
        resource, secrets = self._resource(request)
        inputs = decode(request.properties, secrets)
        operation = self._operation(request, secrets)

        async def create() -> Any:
            if request.preview:
                previewed = await self._run(operation, resource.preview, operation, None, inputs)
                return provider_pb2.CreateResponse(properties=encode(previewed, secrets))
            created = await self._run(operation, resource.create, operation, inputs)
            return provider_pb2.CreateResponse(id=created.id, properties=encode(created.properties, secrets))

        return await self._guarded(context, secrets, create())

    async def Read(self, request: Any, context: Any) -> Any:
        resource, secrets = self._resource(request)
        old_inputs, old = decode(request.inputs, secrets), decode(request.properties, secrets)
        operation = self._operation(request, secrets)

        async def read() -> Any:
            found = await self._run(operation, resource.read, operation, request.id, old_inputs, old)
            if found is None:
                return provider_pb2.ReadResponse()
            for path, value in found.secrets.items():
                secrets.found(path, value)
            return provider_pb2.ReadResponse(
                id=found.id, properties=encode(found.properties, secrets), inputs=encode(found.inputs, secrets)
            )

        return await self._guarded(context, secrets, read())

    async def Update(self, request: Any, context: Any) -> Any:
        resource, secrets = self._resource(request)
        old_inputs, old = decode(request.old_inputs, secrets), decode(request.olds, secrets)
        new = decode(request.news, secrets)
        operation = self._operation(request, secrets)

        async def update() -> Any:
            if request.preview:
                values = await self._run(operation, resource.preview, operation, old, new)
            else:
                values = await self._run(operation, resource.update, operation, request.id, old_inputs, old, new)
            return provider_pb2.UpdateResponse(properties=encode(values, secrets))

        return await self._guarded(context, secrets, update())

    async def Delete(self, request: Any, context: Any) -> Any:
        resource, secrets = self._resource(request)
        old_inputs, old = decode(request.old_inputs, secrets), decode(request.properties, secrets)
        operation = self._operation(request, secrets)

        async def delete() -> Any:
            await self._run(operation, resource.delete, operation, request.id, old_inputs, old)
            return empty_pb2.Empty()

        return await self._guarded(context, secrets, delete())

    # ---- functions and components

    async def Invoke(self, request: Any, context: Any) -> Any:
        secrets = _secrets_of(request)
        arguments = decode(request.args, secrets)
        operation = self._operation(request, secrets)

        async def invoke() -> Any:
            function = self._package.functions.get(request.tok)
            if function is None:
                raise UserError(f"{self._package.name} {self._package.version} has no function {request.tok}.")
            if any(value is UNKNOWN for value in arguments.values()):
                return provider_pb2.InvokeResponse(**{"return": struct_pb2.Struct()})
            try:
                result = await self._run(operation, function, operation, arguments)
            except self._told as error:
                failure = provider_pb2.CheckFailure(reason=secrets.hidden(str(error)))
                return provider_pb2.InvokeResponse(failures=[failure])
            return provider_pb2.InvokeResponse(**{"return": encode(result, Secrets())})

        return await self._guarded(context, secrets, invoke())

    async def Construct(self, request: Any, context: Any) -> Any:
        async def construct() -> Any:
            if (components := await self._with_components()) is None:
                raise UserError(f"There is no component {request.type}.")
            return await components.construct(request, context)

        return await self._guarded(context, _secrets_of(request), construct())

    async def Call(self, request: Any, context: Any) -> Any:
        async def call() -> Any:
            if (components := await self._with_components()) is None:
                raise UserError(f"There is no method {request.tok}.")
            return await components.call(request, context)

        return await self._guarded(context, _secrets_of(request), call())

    async def _with_components(self) -> Components | None:
        """What makes the components, if there are any; loaded the first time that somebody needs it."""
        async with self._components_lock:
            if self._components is None and self._package.components is not None:
                from agent_deploy.provider.plugin.components import Components

                self._components = Components(self._package, self._package.components(), self._engine_address)
            return self._components

    # ---- one operation

    def _resource(self, request: Any) -> tuple[Resource, Secrets]:
        token = request.type or _type_of(request.urn)
        resource = self._package.resources.get(token, _Missing(self._package, token))
        return resource, _secrets_of(request, resource.secrets)

    def _operation(self, request: Any, secrets: Secrets) -> _Operation:
        urn = getattr(request, "urn", "")
        operation = _Operation(
            urn=urn,
            name=urn.rsplit("::", 1)[-1],
            type=_type_of(urn),
            preview=getattr(request, "preview", False),
            configuration=self._configuration,
            timeout=getattr(request, "timeout", 0) or None,
            cancelled=self._cancelled,
            secret_paths=frozenset(secrets.paths),
        )
        loop = asyncio.get_running_loop()

        def log(severity: str, text: str, ephemeral: bool) -> None:
            loop.call_soon_threadsafe(self._line, operation, (severity, secrets.hidden(text), ephemeral))

        operation.log = log
        return operation

    async def _run(self, operation: _Operation, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function in a thread, while its lines go to the engine in order."""
        try:
            return await asyncio.to_thread(function, *arguments)
        finally:
            if operation.progress is not None:
                operation.lines.put_nowait(None)
                await operation.progress

    def _line(self, operation: _Operation, line: tuple[str, str, bool]) -> None:
        operation.lines.put_nowait(line)
        # Most operations say nothing, and need no task that waits for it.
        if operation.progress is None:
            operation.progress = asyncio.ensure_future(self._tell(operation))

    async def _tell(self, operation: _Operation) -> None:
        while (line := await operation.lines.get()) is not None:
            severity, text, ephemeral = line
            if self._engine_address and self._engine is None:
                channel = grpc.aio.insecure_channel(self._engine_address, options=CHANNEL_OPTIONS)
                self._engine = engine_pb2_grpc.EngineStub(channel)
            if self._engine is not None:
                message = engine_pb2.LogRequest(
                    severity=_SEVERITIES[severity], message=text, urn=operation.urn, ephemeral=ephemeral
                )
                try:
                    await self._engine.Log(message, timeout=5)
                except grpc.aio.AioRpcError as error:
                    # An engine that is gone or busy must not end the operation; the line goes to our own log.
                    print(f"{severity}: {text} ({error.code().name})", file=sys.stderr)  # noqa: T201

    # ---- failures

    @property
    def _told(self) -> tuple[type[Exception], ...]:
        return (UserError, InvalidInput, *self._package.user_errors)

    async def _guarded(self, context: Any, secrets: Secrets, work: Awaitable[Any]) -> Any:
        """The answer, or the failure in the form that the engine understands and the user can read."""
        try:
            return await work
        except PartialFailure as failure:
            await _abort_partially(context, failure, secrets)
        except Cancelled:
            await context.abort(_NOTHING_HAPPENED, "Interrupted; the next run goes on from here.")
        except Exception as error:  # noqa: BLE001 - the boundary: whatever it is must reach the user as a text
            await self._abort(context, error, secrets)

    async def _abort(self, context: Any, error: Exception, secrets: Secrets) -> NoReturn:
        if isinstance(error, self._told):
            await context.abort(_NOTHING_HAPPENED, secrets.hidden(str(error)))
        text = unexpected(error, self._package)
        await context.abort(_ANYTHING_MAY_HAVE_HAPPENED, secrets.hidden(text))
        raise AssertionError("abort raises")


class _Operation(Context):
    """A Context whose lines wait in a queue for the engine."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.lines: asyncio.Queue[tuple[str, str, bool] | None] = asyncio.Queue()
        self.progress: asyncio.Task[None] | None = None


class _Missing(Resource):
    """Answers for a type that the package does not have."""

    def __init__(self, package: Package, token: str) -> None:
        self._text = f"{package.name} {package.version} has no resource {token!r}. {package.missing}"

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        raise UserError(self._text)

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        raise UserError(self._text)

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        raise UserError(self._text)


def merged(schema: dict[str, Any], inferred: dict[str, Any]) -> dict[str, Any]:
    """The package's own schema with the components' inferred one: sections are joined, our other keys win."""
    result = {**inferred, **schema}
    for section in ("resources", "types", "functions", "language"):
        joined = {**inferred.get(section, {}), **schema.get(section, {})}
        if joined:
            result[section] = joined
    return result


def unexpected(error: BaseException, package: Package) -> str:
    """A failure that nobody foresaw: what, where in short, and how to report it."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    where = " > ".join(f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)
    address = f": {package.issues_url}" if package.issues_url else ""
    return (
        f"Unexpected {type(error).__name__}: {error}\n  at {where}\n"
        f"This is a mistake in {package.name} {package.version}, not in your program. "
        f"Please report it to its maintainers with these lines{address}"
    )


async def _abort_partially(context: Any, failure: PartialFailure, secrets: Secrets) -> NoReturn:
    """The object exists, but not as wanted: the details go into the trailing metadata, where the engine looks."""
    for path, value in failure.secrets.items():
        secrets.found(path, value)
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=failure.id,
            properties=encode(failure.properties, secrets),
            inputs=encode(failure.inputs, secrets),
            reasons=[secrets.hidden(reason) for reason in failure.reasons],
        )
    )
    message = secrets.hidden(str(failure))
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")


def _check_failures(failures: list[Failure], secrets: Secrets) -> list[Any]:
    # No `property`: the engine would print the whole value beside it, secrets included.
    reasons = []
    for failure in failures:
        where = failure.path if isinstance(failure.path, str) else path_text(failure.path)
        reasons.append(f"{where}: {failure.reason}" if where else failure.reason)
    return [provider_pb2.CheckFailure(reason=secrets.hidden(reason)) for reason in reasons]


def _diff_response(diff: Diff) -> Any:
    detailed = {
        path_text(path): provider_pb2.PropertyDiff(
            kind=_UPDATE_KINDS[change.kind, change.replaces], inputDiff=change.of_inputs
        )
        for path, change in diff.changes.items()
    }
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if detailed else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=list(dict.fromkeys(str(path[0]) for path in diff.changes)),
        replaces=list(dict.fromkeys(str(path[0]) for path, change in diff.changes.items() if change.replaces)),
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=diff.delete_before_replace,
    )


def _secrets_of(request: Any, always: Iterable[str] = ()) -> Secrets:
    """What no message about the request may show: every secret in it, in whichever of its fields."""
    secrets, met = Secrets(always), Secrets(always)
    for field, value in request.ListFields():
        if isinstance(value, struct_pb2.Struct):
            decode(value, met)
        elif field.name == "configSecretKeys":
            for key in value:
                met.found((key,), [request.config[key], _unpacked(request.config[key])])
    secrets.also_hide(met)
    return secrets


def _type_of(urn: str) -> str:
    # urn:pulumi:<stack>::<project>::<type of parents$…$type>::<name>
    parts = urn.split("::")
    return parts[2].rsplit("$", 1)[-1] if len(parts) > 3 else ""


def _unpacked(value: Any) -> Any:
    # What is not a string in a provider's inputs arrives as JSON.
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
