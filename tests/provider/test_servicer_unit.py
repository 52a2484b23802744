"""The wire of property values, and the parts of the servicer that need no engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import Any, cast

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import provider_pb2, resource_pb2, status_pb2

from agent_deploy.provider.package import package
from agent_deploy.provider.plugin.property_values import (
    OUTPUT,
    RESOURCE,
    SECRET,
    SIGNATURE,
    UNKNOWN_TEXT,
    Secrets,
    decode,
    encode,
    path_text,
)
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Failure,
    Package,
    PartialFailure,
    Resource,
    UserError,
    Values,
    differences,
)
from agent_deploy.provider.plugin.servicer import Servicer, merged


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def test_values_come_as_plain_python() -> None:
    sent = {"n": 3, "half": 0.5, "yes": True, "no": None, "list": [1, None, "x"], "deep": {"a": {"b": 1}, "none": None}}
    seen = decode(struct(sent), Secrets())
    assert seen == {"n": 3, "half": 0.5, "yes": True, "list": [1, None, "x"], "deep": {"a": {"b": 1}}}
    assert isinstance(seen["n"], int)


def test_values_come_in_the_order_of_their_names() -> None:
    # Protobuf's order differs from process to process.
    names = [f"name{number:02}" for number in range(40)]
    seen = decode(
        struct({"deep": dict.fromkeys(reversed(names), "x"), **dict.fromkeys(reversed(names), "x")}), Secrets()
    )
    assert list(seen) == ["deep", *names]
    assert list(seen["deep"]) == names


def test_unknown_output_and_reference_are_understood() -> None:
    values = {
        "unknown": UNKNOWN_TEXT,
        "output": {SIGNATURE: OUTPUT, "value": "x", "secret": True, "dependencies": []},
        "later": {SIGNATURE: OUTPUT},
        "resource": {SIGNATURE: RESOURCE, "urn": "urn:x", "id": "id-1"},
    }
    secrets = Secrets()
    assert decode(struct(values), secrets) == {"unknown": UNKNOWN, "output": "x", "later": UNKNOWN, "resource": "id-1"}
    assert secrets.paths == {("output",)}


def test_what_was_secret_goes_back_as_secret_at_any_depth() -> None:
    secrets = Secrets(always=("token",))
    sent = {"token": "plain-in", "map": {"a b": secret("in-map"), "open": 1}, "list": ["x", secret("in-list")]}
    values = decode(struct(sent), secrets)
    assert values == {"token": "plain-in", "map": {"a b": "in-map", "open": 1}, "list": ["x", "in-list"]}
    back = json_format.MessageToDict(encode({**values, "new": 1}, secrets))
    assert back == {
        "token": secret("plain-in"),
        "map": {"a b": secret("in-map"), "open": 1},
        "list": secret(["x", "in-list"]),  # an index may change: the whole list is secret
        "new": 1,
    }
    assert secrets.hidden("in-map, plain-in and in-list") == "[secret], [secret] and [secret]"


def test_unknown_goes_back_as_unknown_secret_or_not() -> None:
    secrets = Secrets(always=("token",))
    assert json_format.MessageToDict(encode({"token": UNKNOWN, "x": [UNKNOWN]}, secrets)) == {
        "token": UNKNOWN_TEXT,
        "x": [UNKNOWN_TEXT],
    }


def test_paths_are_written_as_the_engine_reads_them() -> None:
    assert path_text(("a", "b_1", "c-d", 'say "x"', 0)) == 'a.b_1["c-d"]["say \\"x\\""][0]'


def test_unknown_is_never_a_condition() -> None:
    with pytest.raises(TypeError, match="is UNKNOWN"):
        bool(UNKNOWN)


def test_differences_go_as_deep_as_maps_do() -> None:
    old, new = {"a": {"x": 1, "y": 2}, "l": [1], "t": True}, {"a": {"x": 1, "z": 3}, "l": [1, 2], "t": 1}
    assert {path: kind.value for path, kind in differences(old, new)} == {
        ("a", "y"): "delete",
        ("a", "z"): "add",
        ("l",): "update",
        ("t",): "update",
    }


def test_the_schema_joins_components_and_resources() -> None:
    inferred = {"name": "x", "resources": {"c": {"isComponent": True}}, "types": {"t": {}}, "config": {}}
    ours = {"name": "x", "resources": {"r": {}}, "config": {"variables": {"host": {}}}}
    assert merged(ours, inferred) == {
        "name": "x",
        "resources": {"c": {"isComponent": True}, "r": {}},
        "types": {"t": {}},
        "config": {"variables": {"host": {}}},
    }


class Aborted(Exception):
    """What gRPC's context raises."""


class Call:
    """Stands for gRPC's context of one call."""

    code: Any = None
    details = ""
    trailing: tuple[tuple[str, bytes], ...] = ()

    def set_trailing_metadata(self, metadata: tuple[tuple[str, bytes], ...]) -> None:
        self.trailing = metadata

    async def abort(self, code: Any, details: str) -> None:
        self.code, self.details = code, details
        raise Aborted


class Half(Resource):
    """Gets half-way."""

    secrets = frozenset({"token"})

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        raise PartialFailure("id-1", {**inputs, "n": 1}, inputs, [f"half-way with {inputs['token']}"])


def test_a_partial_failure_carries_the_truth_in_the_trailing_metadata() -> None:
    servicer = Servicer(Package("toy", "1.0.0", {"toy:index:Half": Half()}))
    request = proto.UpdateRequest(
        urn="urn:pulumi:s::p::toy:index:Half::name", id="id-1", news=struct({"token": "hush-hush"})
    )
    call = Call()
    with pytest.raises(Aborted):
        asyncio.run(servicer.Update(request, call))
    assert call.details == "half-way with [secret]"
    status = status_pb2.Status.FromString(dict(call.trailing)["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert json_format.MessageToDict(detail.properties) == {"token": secret("hush-hush"), "n": 1}
    assert list(detail.reasons) == ["half-way with [secret]"]


OLD, NEW, CONFIGURED = "hush-of-old", "hush-of-new", "hush-of-configuration"
ALL = f"old {OLD}, older {OLD}-outputs, new {NEW}, number 271828, configured {CONFIGURED}, inner {CONFIGURED}-inner"
URN = "urn:pulumi:s::p::toy:index:Quoting::name"


class Quoting(Resource):
    """Fails at whatever it is asked to do, and quotes all that the engine said in the call."""

    secrets = frozenset({"token"})

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def quote(self, *_: Any) -> Any:
        raise self._error(ALL)

    check = diff = preview = create = read = update = delete = quote  # type: ignore[assignment]


class Telling(Resource):
    """Fails by what it returns, and says the same in a line of its log."""

    secrets = frozenset({"token"})

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        context.info(ALL)
        return inputs, [Failure(("token",), ALL)]


OLDER = {"token": f"{OLD}-outputs"}
NEWS = {"parts": [secret(NEW)], "count": secret(271828)}
INPUTS = {"olds": struct({"token": OLD}), "news": struct(NEWS)}
# Call → the request; fields that only some versions of the protocol have are set where they are there.
REQUESTS: dict[str, Any] = {
    "Check": provider_pb2.CheckRequest(urn=URN, **INPUTS),
    "Diff": provider_pb2.DiffRequest(urn=URN, id="i", old_inputs=struct(OLDER), **INPUTS),
    "Create": provider_pb2.CreateRequest(urn=URN, properties=struct({"token": OLD, **NEWS})),
    "Read": provider_pb2.ReadRequest(urn=URN, id="i", inputs=struct(NEWS), properties=struct({"token": OLD})),
    "Update": provider_pb2.UpdateRequest(urn=URN, id="i", old_inputs=struct(OLDER), **INPUTS),
    "Delete": provider_pb2.DeleteRequest(urn=URN, id="i", old_inputs=struct(NEWS), properties=struct({"token": OLD})),
    "CheckConfig": provider_pb2.CheckRequest(urn=URN, **INPUTS),
    "Configure": provider_pb2.ConfigureRequest(args=struct({"token": json.dumps({"a": [OLD]}), **NEWS})),
    "Invoke": resource_pb2.ResourceInvokeRequest(tok="toy:index:quote", args=struct({"token": secret(OLD), **NEWS})),
    "Construct": provider_pb2.ConstructRequest(inputs=struct({"token": secret(OLD), **NEWS})),
    "Call": provider_pb2.CallRequest(tok="x", args=struct({"token": secret(OLD), **NEWS})),
}
for request in REQUESTS.values():
    if "old_outputs" in request.DESCRIPTOR.fields_by_name:
        request.old_outputs.update(OLDER)
    if "configSecretKeys" in request.DESCRIPTOR.fields_by_name:
        request.configSecretKeys.extend(["s:key", "s:json"])
        request.config.update({"s:key": CONFIGURED, "s:json": json.dumps({"a": f"{CONFIGURED}-inner"})})


def given_in(request: Any) -> set[str]:
    """The secrets of ``ALL`` that the engine sent in the request."""
    return {text for text in (OLD, NEW, CONFIGURED, "271828") if text in str(request)}


@pytest.mark.parametrize("error", [UserError, ValueError])
@pytest.mark.parametrize("call", REQUESTS)
def test_no_error_shows_a_secret_that_the_engine_gave(call: str, error: type[Exception]) -> None:
    def quote(*_: Any) -> Any:
        raise error(ALL)

    package = Package(
        "toy",
        "1.0.0",
        {"toy:index:Quoting": Quoting(error)},
        functions={"toy:index:quote": quote},
        components=quote,
        check_configuration=quote,
        configure=quote,
        secret_configuration=frozenset({"token"}),
    )
    answer, context = None, Call()
    with contextlib.suppress(Aborted):
        answer = asyncio.run(getattr(Servicer(package), call)(REQUESTS[call], context))
    told = f"{context.details}\n{answer}"
    assert "older" in told
    assert given_in(REQUESTS[call])
    assert [text for text in given_in(REQUESTS[call]) if text in told] == []


def test_what_a_check_finds_and_logs_shows_no_secret_of_the_old_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []

    class Engine:
        async def Log(self, request: Any, timeout: float) -> None:
            lines.append(request.message)

    servicer = Servicer(Package("toy", "1.0.0", {"toy:index:Quoting": Telling()}), "127.0.0.1:1")
    servicer._engine = cast(Any, Engine())
    answer = asyncio.run(servicer.Check(REQUESTS["Check"], Call()))
    told = "\n".join([*lines, *(failure.reason for failure in answer.failures)])
    assert told.count("older") == 2
    assert [text for text in given_in(REQUESTS["Check"]) if text in told] == []
    # What was secret in the old inputs alone does not make the new ones secret.
    assert json_format.MessageToDict(answer.inputs) == {"parts": secret([NEW]), "count": secret(271828)}


def test_an_unknown_type_says_that_a_newer_plugin_may_be_needed() -> None:
    servicer = Servicer(Package("toy", "1.0.0", {}))
    call = Call()
    with pytest.raises(Aborted):
        asyncio.run(servicer.Check(proto.CheckRequest(urn="urn:pulumi:s::p::toy:index:New::name"), call))
    assert call.details == "toy 1.0.0 has no resource 'toy:index:New'. Is a newer version of the plugin needed?"


def test_wrong_configuration_is_told_and_secrets_of_it_are_marked() -> None:
    servicer = Servicer(package())
    request = proto.CheckRequest(news=struct({"host": "ftp://x", "colour": "red", "token": "hush"}))
    answer = asyncio.run(servicer.CheckConfig(request, Call()))
    told = "\n".join(failure.reason for failure in answer.failures)
    assert "host: expected the address of a workspace" in told
    assert "colour: this input does not exist" in told
    assert json_format.MessageToDict(answer.inputs)["token"] == secret("hush")


# Pulumi's SDK among them: of it a plugin needs the protocol alone.
HEAVY = (
    "pulumi",
    "pulumi_databricks",
    "databricks",
    "mlflow",
    "pandas",
    "fastapi",
    "sqlalchemy",
    "rich",
    "agent_deploy.local",
)


@pytest.mark.parametrize(
    "main", ["agent_deploy.provider", "agent_deploy.policies.pack", "agent_deploy.stand_in.__main__"]
)
def test_a_plugin_starts_without_anything_heavy(main: str) -> None:
    line = [sys.executable, "-X", "importtime", "-c", f"from {main} import main; main()", "127.0.0.1:1"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as plugin:
        assert plugin.stdout is not None
        port = plugin.stdout.readline()
        plugin.kill()
        _, told = plugin.communicate()
    assert port.strip().isdecimal()
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert "agent_deploy.provider.plugin.process" in loaded
    assert [name for name in HEAVY if name in loaded and not main.startswith(name)] == []


def test_the_protocol_that_was_loaded_alone_is_the_one_that_the_whole_sdk_has() -> None:
    program = (
        "from agent_deploy.provider.plugin.starting import load_protocol; load_protocol(); "
        "from pulumi.runtime.proto import provider_pb2 as alone; import sys; assert 'pulumi' not in sys.modules; "
        "from agent_deploy.provider.plugin import components; from pulumi.provider.experimental import server; "
        "import pulumi; print(pulumi.runtime.proto.ConstructRequest is alone.ConstructRequest, pulumi.Output)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True <class")


def test_started_by_hand_the_plugin_says_what_it_is() -> None:
    program = "import sys; sys.argv = ['x']; from agent_deploy.provider import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "`pulumi` starts by itself" in done.stderr
