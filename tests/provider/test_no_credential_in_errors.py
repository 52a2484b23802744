"""Whatever a library raises or a workspace answers, nothing that we print has the credential that was signed with.

Every exception class of httpx, of what lies below it, and of Databricks' SDK × every way in: the plugin's functions and
resources, and the commands. Each exception quotes the credential as libraries do: as it is, in a header, in base64.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import ssl
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import quote

import databricks.sdk.core
import grpc
import grpc.aio
import h11
import httpcore
import httpx
import pulumi
import pytest
import typer.main
from databricks.sdk import errors as sdk_errors
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, resource_pb2

from agent_deploy.cli import main
from agent_deploy.client.deployments import list_deployments
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.retries import Tries
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.package import FUNCTIONS, RESOURCES, package
from agent_deploy.provider.plugin.property_values import Secrets
from agent_deploy.provider.plugin.servicer import Servicer
from agent_deploy.provider.schema import token as token_of
from agent_deploy.resources import head_start

pytestmark = pytest.mark.processes

TLS = ssl.create_default_context()
HOST = "https://no-such.example.com"
# With characters that repr, JSON, URLs and base64 each write otherwise.
CANARY = "dapi+canary/7f3e='\"\\&%9c"
# In whatever form it is quoted, one of these remains.
TRACES = (CANARY, "dapi+canary", "dapi%2Bcanary", base64.b64encode(CANARY.encode()).decode()[:16], "canary")
QUOTED = (
    f"Illegal header value {('Bearer ' + CANARY).encode()!r} {CANARY!r} {json.dumps(CANARY)} {quote(CANARY, safe='')} "
    f"{base64.b64encode(CANARY.encode()).decode()} https://x/?token={quote(CANARY)} {CANARY}"
)


def subclasses(*bases: type[Exception]) -> Iterator[type[Exception]]:
    for base in bases:
        yield base
        yield from subclasses(*base.__subclasses__())


def quoting(kind: type[Exception]) -> Exception:
    """An instance of the class with the credential in whatever text it takes."""
    if issubclass(kind, UnicodeEncodeError):
        return kind("ascii", QUOTED, 0, 1, QUOTED)
    if issubclass(kind, UnicodeDecodeError):
        return kind("ascii", QUOTED.encode(), 0, 1, QUOTED)
    if issubclass(kind, httpx.HTTPStatusError):
        request = httpx.Request("GET", f"https://x/{quote(CANARY)}")
        return kind(QUOTED, request=request, response=httpx.Response(500, request=request))
    for arguments in ((QUOTED,), ()):
        with contextlib.suppress(TypeError):
            made: Exception = kind(*arguments)
            return made
    raise AssertionError(f"how is {kind} made?")


BELOW = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)
OTHERS = (
    ssl.SSLError, ssl.SSLCertVerificationError, OSError, ConnectionResetError, TimeoutError, ValueError, RuntimeError,
    UnicodeEncodeError, UnicodeDecodeError, UnicodeError, KeyError, TypeError, httpcore.ConnectionNotAvailable,
)  # fmt: skip
RAISED = sorted(
    {
        *subclasses(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict),
        *subclasses(*BELOW),
        h11.LocalProtocolError,
        h11.RemoteProtocolError,
        *OTHERS,
    },
    key=lambda kind: (kind.__module__, kind.__name__),
)
OF_SDK = sorted({*subclasses(sdk_errors.DatabricksError), *OTHERS}, key=lambda kind: (kind.__module__, kind.__name__))


def answered(status: int, content: bytes, kind: str = "application/json", **headers: str) -> httpx.Response:
    return httpx.Response(status, content=content, headers={"content-type": kind, **headers})


ANSWERS: dict[str, Callable[[], httpx.Response]] = {
    "an error's message": lambda: answered(400, json.dumps({"error_code": "X", "message": QUOTED}).encode()),
    "an error's code": lambda: answered(400, json.dumps({"error_code": CANARY, "message": "no"}).encode()),
    "SCIM": lambda: answered(403, json.dumps({"detail": QUOTED, "status": CANARY}).encode()),
    "a page": lambda: answered(401, f"<html><pre>{QUOTED}</pre>".encode(), "text/html"),
    "a proxy's text": lambda: answered(407, QUOTED.encode(), "text/plain"),
    "no JSON": lambda: answered(200, QUOTED.encode()),
    "no text": lambda: answered(200, b"\xff" + QUOTED.encode()),
    "broken compression": lambda: answered(500, QUOTED.encode(), **{"x-encoding": "gzip"}),
    "a redirect": lambda: answered(302, b"", Location=f"https://x/{quote(CANARY)}"),
}


# ---- the ways in


class Aborted(Exception):
    pass


class Call:
    """Stands for gRPC's context; all that would reach the engine is in ``told``."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def set_trailing_metadata(self, metadata: tuple[tuple[str, bytes], ...]) -> None:
        self.told += [repr(value) for _, value in metadata]

    async def abort(self, code: Any, details: str) -> None:
        self.told.append(details)
        raise Aborted


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


ARGUMENTS: dict[str, dict[str, Any]] = {
    "verifyDeployments": {
        "deployments": [
            {
                "modelName": "main.default.m",
                "versions": [{"field": "versions[0]", "version": "1"}],
                "feedbackModel": "main.default.feedback",
                "principals": [{"field": "permissions[0]", "value": "somebody"}],
                "references": [{"field": "environment['K']", "value": "{{secrets/a/b}}"}],
                "requirements": {"modelName": "main.default.m", "endpointName": "e"},
            }
        ]
    },
    "getEndpointTable": {"endpointName": "e"},
    "getPayloadTable": {"payloadTable": "a.b.c"},
}
# Resource → id, and the inputs that a refresh has from the state.
STATES: dict[str, tuple[str, dict[str, Any]]] = {
    "ServingEndpoint": ("e", {"name": "e"}),
    "ServicePrincipal": ("1", {"displayName": "agent"}),
    "ServicePrincipalSecret": ("s", {"servicePrincipalId": "1"}),
    "Secret": ("scope/key", {"scope": "scope", "name": "key", "value": "x"}),
    "SecretScope": ("scope", {"name": "scope"}),
    "WorkspaceFile": ("/Users/a/f.py", {"folder": "/Users/a", "name": "f.py", "content": "x"}),
    "ObjectPermission": (
        "serving-endpoints/e/group/users",
        {"objectType": "serving-endpoints", "objectName": "e", "principalKind": "group", "principal": "users"},
    ),
    "SecurableGrant": (
        "table/a.b.c/p",
        {
            "securableType": "table",
            "fullName": "a.b.c",
            "principal": "p",
            "privileges": ["SELECT"],
            "added": ["SELECT"],
        },
    ),
    "FeedbackModelVersion": ("main.default.feedback", {"modelName": "main.default.feedback"}),
    "EndpointInferenceTable": ("e", {"endpointName": "e"}),
    "DerivedTables": ("p", {"pipelineId": "p", "payloadTable": "a.b.c"}),
    "AgentRegistration": (
        "main.default.m/1",
        {"modelName": "main.default.m", "modelVersion": "1", "endpointName": "e"},
    ),
}
COMMANDS = {
    "query": ["query", "e", "hello"],
    "query as JSON": ["query", "e", "hello", "--json"],
    "deployments": ["deployments"],
    "deployments of a model": ["deployments", "main.default.m", "1", "--json"],
    "check": ["check", "main.default.m", "1"],
    "check as JSON": ["check", "main.default.m", "1", "--json", "--service-principal"],
    "feedback": ["feedback", "e", "--request-id", "r", "--rating", "good=positive"],
}


def of_plugin(ask: Callable[[Servicer, Call], Any]) -> str:
    """All that the engine is told."""

    async def run() -> str:
        servicer, call = Servicer(package()), Call()
        told = [await servicer.CheckConfig(provider_pb2.CheckRequest(news=struct({"host": HOST})), call)]
        await servicer.Configure(provider_pb2.ConfigureRequest(args=struct({})), call)
        with contextlib.suppress(Aborted):
            told.append(await ask(servicer, call))
        return "\n".join([*map(str, told), *call.told])

    return asyncio.run(run())


def function(name: str) -> Callable[[], str]:
    request = resource_pb2.ResourceInvokeRequest(tok=token_of(name), args=struct(ARGUMENTS[name]))
    return lambda: of_plugin(lambda servicer, call: servicer.Invoke(request, call))


def refresh(name: str) -> Callable[[], str]:
    id, inputs = STATES[name]
    request = provider_pb2.ReadRequest(
        id=id, urn=f"urn:pulumi:s::p::{token_of(name)}::n", inputs=struct(inputs), properties=struct(inputs)
    )
    return lambda: of_plugin(lambda servicer, call: servicer.Read(request, call))


def removal(name: str) -> Callable[[], str]:
    id, inputs = STATES[name]
    request = provider_pb2.DeleteRequest(
        id=id, urn=f"urn:pulumi:s::p::{token_of(name)}::n", old_inputs=struct(inputs), properties=struct(inputs)
    )
    return lambda: of_plugin(lambda servicer, call: servicer.Delete(request, call))


def command(name: str) -> Callable[[], str]:
    def run() -> str:
        sys.argv = ["agent-deploy", *COMMANDS[name]]
        try:
            main()
        except SystemExit as end:
            return str(end.code)
        return ""

    return run


def in_a_program() -> str:
    try:
        list_deployments(Workspace())
    except WorkspaceError as error:
        return "".join(traceback.format_exception(error))
    return ""


ENTRIES: dict[str, Callable[[], str]] = {
    **{f"preview: {name}": function(name) for name in FUNCTIONS},
    **{f"refresh: {name}": refresh(name) for name in RESOURCES},
    **{f"destroy: {name}": removal(name) for name in RESOURCES},
    **{f"command: {name}": command(name) for name in COMMANDS},
    "a program's own call": in_a_program,
}
# Nothing of these goes without a call; only ended they are.
QUIET = {"destroy: DerivedTables", "destroy: FeedbackModelVersion", "destroy: EndpointInferenceTable"}


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> Any:
    """Runs one way in with the credential from the environment: all that was printed or told."""
    for name in ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_AUTH_TYPE", "PULUMI_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("DATABRICKS_HOST", HOST)
    monkeypatch.setenv("DATABRICKS_TOKEN", f" {CANARY}\n")
    monkeypatch.setattr(sys, "argv", sys.argv)
    # Made once: it takes longer than all the rest.
    monkeypatch.setattr(httpx._transports.default, "create_ssl_context", lambda **_: TLS)
    monkeypatch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
    monkeypatch.setattr(Tries, "worth_another", lambda self, state: False)

    def run(entry: str) -> str:
        capsys.readouterr()
        told = ENTRIES[entry]()
        captured = capsys.readouterr()
        return f"{told}\n{captured.out}\n{captured.err}"

    return run


def traces_in(text: str) -> list[str]:
    return [trace for trace in TRACES if trace in text]


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_exception_of_a_library_shows_the_credential(
    entry: str, printed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, calls = {}, []

    def raise_it(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        calls.append(request)
        assert request.headers["Authorization"] == f"Bearer {CANARY}"
        raise error

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", raise_it)
    for kind in RAISED:
        error = quoting(kind)
        text = printed(entry)
        assert text.strip() or entry in QUIET, f"{kind} is told by nobody"
        if found := traces_in(text):
            shown[kind] = (found, text)
    assert shown == {}
    assert len(calls) >= len(RAISED) or entry in QUIET


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_no_answer_of_a_workspace_shows_the_credential(
    entry: str, answer: str, printed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        response = ANSWERS[answer]()
        response.request = request
        return response

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", respond)
    assert traces_in(printed(entry)) == []


@pytest.mark.parametrize("moment", ["Config", "authenticate"])
def test_no_exception_of_databricks_own_sdk_shows_the_credential(
    moment: str, printed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = databricks.sdk.core.Config

    class Failing:
        host = HOST
        attributes = real.attributes

        def __init__(self, **_: Any) -> None:
            if moment == "Config":
                raise error

        def __getattr__(self, name: str) -> None:
            return None

        def authenticate(self) -> dict[str, str]:
            raise error

    monkeypatch.setattr(databricks.sdk.core, "Config", Failing)
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "azure-cli")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("ARM_CLIENT_SECRET", CANARY)
    shown = {}
    for kind in OF_SDK:
        error = quoting(kind)
        for entry in ("preview: verifyDeployments", "refresh: Secret", "command: deployments", "command: check"):
            text = printed(entry)
            assert text.strip()
            if found := traces_in(text):
                shown[kind, entry] = (found, text)
    assert shown == {}


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_no_error_of_the_engines_connection_shows_what_it_quotes(
    code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "debug", lines.append)

    class Refused(grpc.RpcError, grpc.Call):
        def __init__(self) -> None:
            super().__init__(QUOTED)

        def code(self) -> grpc.StatusCode:
            return code

        def details(self) -> str:
            return QUOTED

    Refused.__abstractmethods__ = frozenset()

    class Engine:
        def Invoke(self, request: Any) -> None:
            raise Refused

        async def Log(self, request: Any, timeout: float) -> None:
            raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), QUOTED, QUOTED)

    head_start._Start(cast(Any, Engine()), resource_pb2.ResourceInvokeRequest(tok="x"))._thread.join()
    assert code.name in lines[0]

    async def log() -> None:
        servicer = Servicer(package(), "127.0.0.1:1")
        servicer._engine = cast(Any, Engine())
        operation = servicer._operation(provider_pb2.CreateRequest(), Secrets())
        await servicer._run(operation, lambda: operation.info(f"it signs in with {CANARY}"))

    asyncio.run(log())
    printed = capsys.readouterr()
    assert code.name in printed.err
    assert traces_in("\n".join([*lines, printed.out, printed.err])) == []
