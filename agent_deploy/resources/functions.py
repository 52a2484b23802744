"""The provider's functions, as a program calls them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

import pulumi
import pulumi.runtime
from pulumi.runtime.settings import get_monitor

from agent_deploy.resources.properties import to_wire
from agent_deploy.resources.provider import PACKAGE, provider_of
from agent_deploy.resources.unit_tests import completed


class ModelVersion(TypedDict):
    """A registered model version; ``problem`` is empty, or says why it cannot be deployed and what to do."""

    modelName: str
    version: str
    versionId: str
    status: str
    runId: str
    experimentId: str
    aliases: list[str]
    found: bool
    workspaceUrl: str
    problem: str


async def get_model_version(
    model_name: str, version: str | None, alias: str | None, opts: pulumi.InvokeOptions
) -> ModelVersion:
    """The version by its number or by an alias."""
    args = {"model_name": model_name, "version": version, "alias": alias}
    return cast(ModelVersion, await _call("getModelVersion", args, opts))


class DeclaredResource(TypedDict):
    """One resource that an agent needs; ``kind`` as MLflow names it."""

    kind: str
    name: str
    onBehalfOfUser: bool


class DeclaredResources(TypedDict):
    """What a model version declares; ``problem`` is empty, or says why that cannot be told, or what is wrong."""

    resources: list[DeclaredResource]
    userScopes: list[str]
    unknownKinds: list[str]
    problem: str


async def get_declared_resources(model_name: str, version: str, opts: pulumi.InvokeOptions) -> DeclaredResources:
    """What the version's MLmodel says that it needs."""
    args = {"model_name": model_name, "version": version}
    return cast(DeclaredResources, await _call("getDeclaredResources", args, opts))


class PermissionFailure(TypedDict):
    """A privilege that is missing, and how to mend that."""

    object: str
    kind: str
    privilege: str
    principal: str
    reason: str
    remedy: str


class PermissionCheck(TypedDict):
    """One thing that was looked at; ``outcome`` is yes, no or unknown."""

    object: str
    kind: str
    privilege: str
    outcome: str


class OpenPrivilege(TypedDict):
    """What all users of the account have on a securable."""

    securableType: str
    name: str
    privilege: str


class CheckedPermissions(TypedDict):
    """What the deployer may do; ``problem`` is empty, or says why nothing could be checked."""

    principal: str
    failures: list[PermissionFailure]
    unverified: list[PermissionFailure]
    openToAll: list[OpenPrivilege]
    checks: list[PermissionCheck]
    checked: int
    problem: str


async def check_permissions(
    resources: Sequence[Mapping[str, Any]],
    requirements: Mapping[str, Any],
    principal: str | None,
    opts: pulumi.InvokeOptions,
) -> CheckedPermissions:
    """Whether the deployer, or ``principal``, may use the resources (``kind``, ``name``) and do what is required.

    ``requirements``: model_name, endpoint_name, inference_schema, secret_scopes, create_service_principal, grant,
    skip_open, experiment_id.
    """
    args = {"resources": list(resources), "requirements": requirements, "principal": principal}
    return cast(CheckedPermissions, await _call("checkPermissions", args, opts))


async def check_principal_secrets(service_principal_id: str, opts: pulumi.InvokeOptions) -> str:
    """Why the service principal may not have one more OAuth secret, or the empty string."""
    args = {"service_principal_id": service_principal_id}
    return str((await _call("checkPrincipalSecrets", args, opts))["problem"])


class VersionNeeds(TypedDict):
    """What one version needs, what the program adds or replaces included."""

    version: str
    resources: list[DeclaredResource]
    userScopes: list[str]


class VerifiedDeployment(TypedDict):
    """What a deployment takes; ``problems`` is empty, or says all that keeps it from being made.

    ``numbers`` are those of the wanted versions, in their order, empty where one was not found. ``kept`` are served
    entities that stay, in ServingEndpoint's words on the wire.
    """

    numbers: list[str]
    experimentId: str
    workspaceUrl: str
    kept: dict[str, dict[str, Any]]
    needs: list[VersionNeeds]
    openToAll: list[OpenPrivilege]
    doubts: list[str]
    problems: list[str]


# What is asked at the moment, by the engine and the provider that are to answer: (questions, their answers).
_ASKED: dict[tuple[object, object], tuple[list[Mapping[str, Any]], asyncio.Task[list[VerifiedDeployment]]]] = {}


async def verify_deployment(wanted: Mapping[str, Any], opts: pulumi.InvokeOptions) -> VerifiedDeployment:
    """All look-ups of a deployment at once.

    ``wanted`` is what rules/verifiable.py makes of a program's arguments.

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
    answer = await _call("verifyDeployments", {"deployments": questions}, opts)
    return cast(list[VerifiedDeployment], answer.get("deployments") or [_unverified(each) for each in questions])


def _unverified(wanted: Mapping[str, Any]) -> VerifiedDeployment:
    """What is known without a workspace."""
    # An alias stands for its number, which nobody can tell yet.
    numbers = [str(each.get("version") or each.get("alias") or "") for each in wanted.get("versions") or ()]
    resources = list(wanted.get("resources") or ())
    return VerifiedDeployment(
        numbers=numbers,
        experimentId="",
        workspaceUrl="",
        kept={},
        needs=[VersionNeeds(version=number, resources=resources, userScopes=[]) for number in numbers],
        openToAll=[],
        doubts=["which workspace it is, is known during `up` only: all checks against it wait until then"],
        problems=[],
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


# What stands for an answer while nobody can ask: the engine answers with nothing while a provider's inputs are unknown.
_UNANSWERED: Mapping[str, Mapping[str, Any]] = {
    "getEndpointTable": {
        "modelName": "",
        "payloadTable": "",
        "problem": "which workspace it is, is known during `up` only: say catalog, schema and prefix",
    },
    "getPayloadTable": {"dayColumn": "", "problem": ""},
    "checkPrincipalSecrets": {"problem": ""},
}


async def _call(function: str, args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> Mapping[str, Any]:
    token = f"{PACKAGE}:index:{function}"
    try:
        answer = cast(Mapping[str, Any], await pulumi.runtime.invoke_async(token, to_wire(args), opts))
    except Exception as error:
        if _ENGINE_ENDS not in str(error):
            raise
        raise pulumi.RunError(f"Pulumi ended before {function} was answered; what it says besides tells why.") from None
    return completed(function, args, answer) or _UNANSWERED.get(function, {})
