"""The provider's functions, as a program calls them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

import pulumi
import pulumi.runtime

from agent_deploy.resources.properties import to_wire


class ModelVersion(TypedDict):
    """A registered model version; ``problem`` is empty, or says why it cannot be deployed and what to do."""

    modelName: str
    version: str
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


async def check_secret_references(references: Sequence[str], opts: pulumi.InvokeOptions) -> list[str]:
    """What is wrong with ``{{secrets/scope/key}}`` references: scopes and keys that do not exist."""
    return list((await _call("checkSecretReferences", {"references": list(references)}, opts))["problems"])


class ServedVersions(TypedDict):
    """What an endpoint serves now, in ServingEndpoint's words on the wire."""

    servedEntities: dict[str, dict[str, Any]]
    traffic: dict[str, int]
    problem: str


async def get_served_versions(endpoint_name: str, owner_mark: str, opts: pulumi.InvokeOptions) -> ServedVersions:
    """What this stack's endpoint serves before the program changes it."""
    args = {"endpoint_name": endpoint_name, "owner_mark": owner_mark}
    return cast(ServedVersions, await _call("getServedVersions", args, opts))


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
    skip_open.
    """
    args = {"resources": list(resources), "requirements": requirements, "principal": principal}
    return cast(CheckedPermissions, await _call("checkPermissions", args, opts))


async def check_principals(principals: Sequence[str], opts: pulumi.InvokeOptions) -> tuple[list[str], str]:
    """The principals that the workspace does not know; and why that could not be asked, or the empty string."""
    answer = await _call("checkPrincipals", {"principals": list(principals)}, opts)
    return list(answer["unknown"]), str(answer["problem"])


async def _call(function: str, args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> Mapping[str, Any]:
    token = f"agent-deploy:index:{function}"
    return cast(Mapping[str, Any], await pulumi.runtime.invoke_async(token, to_wire(args), opts))
