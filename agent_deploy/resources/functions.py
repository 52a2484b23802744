"""The provider's functions, as a program calls them."""

import asyncio
import inspect
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import pulumi
import pulumi.runtime
from pulumi.runtime.settings import get_monitor

from agent_deploy.resources.properties import to_wire
from agent_deploy.resources.provider import PACKAGE, provider_of
from agent_deploy.resources.unit_tests import completed
from agent_deploy.rules.records import read, wire
from agent_deploy.rules.verifiable import VerifiedDeployment, VersionNeeds, WantedDeployment

# What is asked at the moment, by the engine and the provider that are to answer: (questions, their answers).
_ASKED: dict[tuple[object, object], tuple[list[WantedDeployment], asyncio.Task[list[VerifiedDeployment]]]] = {}


async def verify_deployment(wanted: WantedDeployment, opts: pulumi.InvokeOptions) -> VerifiedDeployment:
    """All look-ups of a deployment at once.

    Whoever asks in the same turn of the event loop, as all agents of a program do, is answered by one call: a call each
    would take all the threads that the engine allows, and nothing would be registered while they wait.
    """
    key = (get_monitor(), opts.provider or provider_of(opts.parent))
    if key not in _ASKED:
        _ASKED[key] = ([], asyncio.ensure_future(_verify(key, opts)))
    questions, answers = _ASKED[key]
    questions.append(wanted)
    place = len(questions) - 1
    return (await answers)[place]


async def _verify(key: tuple[object, object], opts: pulumi.InvokeOptions) -> list[VerifiedDeployment]:
    questions, _ = _ASKED.pop(key)
    answer = await _call("verifyDeployments", {"deployments": wire(tuple(questions))}, opts)
    if answers := answer.get("deployments"):
        return [read(VerifiedDeployment, each) for each in answers]
    return [_unverified(each) for each in questions]


def _unverified(wanted: WantedDeployment) -> VerifiedDeployment:
    """What is known without a workspace."""
    # An alias stands for its number, which nobody can tell yet.
    numbers = tuple(each.version or each.alias or "" for each in wanted.versions)
    return VerifiedDeployment(
        numbers=numbers,
        experiment_id="",
        workspace_url="",
        kept={},
        needs=tuple(VersionNeeds(number, wanted.resources, ()) for number in numbers),
        open_to_all=(),
        unverified=("which workspace it is, is known during `up` only: all checks against it wait until then",),
        problems=(),
    )


class EndpointTable(TypedDict):
    """The model that an endpoint serves and the table that it logs to, each empty where there is none."""

    modelName: str
    payloadTable: str
    problem: str


async def get_endpoint_table(endpoint_name: str, opts: pulumi.InvokeOptions) -> EndpointTable:
    """What is known of an endpoint that this program does not make."""
    return cast(EndpointTable, await _call("getEndpointTable", {"endpoint_name": endpoint_name}, opts))


class PayloadTable(TypedDict):
    """The column that has the day of each row of a payload table, or why there is none."""

    dayColumn: str
    problem: str


async def get_payload_table(payload_table: str, opts: pulumi.InvokeOptions) -> PayloadTable:
    """What is known of a table that something else fills."""
    return cast(PayloadTable, await _call("getPayloadTable", {"payload_table": payload_table}, opts))


# How the engine's connection answers while it shuts down, as when a plugin cannot be started or the user interrupts.
_ENGINE_ENDS = "the client connection is closing"
_PROGRAM = "pulumi-language-python"  # the script that runs a program which the engine started


# What stands for an answer while nobody can ask: the engine answers with nothing while a provider's inputs are unknown.
_UNANSWERED: Mapping[str, Mapping[str, Any]] = {
    "getEndpointTable": {
        "modelName": "",
        "payloadTable": "",
        "problem": "which workspace it is, is known during `up` only: say catalog, schema and prefix",
    },
    "getPayloadTable": {"dayColumn": "", "problem": ""},
}


async def _call(function: str, args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> Mapping[str, Any]:
    token = f"{PACKAGE}:index:{function}"
    try:
        answer = cast(Mapping[str, Any], await pulumi.runtime.invoke_async(token, to_wire(args), opts))
    except Exception as error:
        if _ENGINE_ENDS not in str(error):
            raise
        _be_interrupted_in_silence()
        raise pulumi.RunError(f"Pulumi ended before {function} was answered; what it says besides tells why.") from None
    return completed(function, args, answer) or _UNANSWERED.get(function, {})


def _be_interrupted_in_silence() -> None:
    """An engine that ends interrupts the program that it started, which must not tell that as a fault of its own.

    Not where the program runs in a process of others, as one of the Automation API does.
    """
    if threading.current_thread() is threading.main_thread() and _started_by_engine():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _started_by_engine() -> bool:
    """Whether Pulumi's script is what runs: by the frames, since it gives its place in sys.argv to the program."""
    frame = inspect.currentframe()
    while frame and not Path(frame.f_code.co_filename).name.startswith(_PROGRAM):
        frame = frame.f_back
    return frame is not None
