"""What is checked when the program runs, in the preview as well, before anything is created; all problems at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.resources import functions
from agent_deploy.rules.deployment import (
    Deployment,
    WantedVersion,
    check_arguments,
    entity_names,
    plan,
    resolved_duplicates,
)
from agent_deploy.rules.environment import references
from agent_deploy.rules.previous_versions import kept
from agent_deploy.rules.problems import Problem


class DeploymentError(pulumi.RunError):
    """The program cannot be deployed as it stands; the message lists why, without a stack trace."""


@dataclass(frozen=True)
class Verified:
    """A deployment that may be created: its plain arguments, its plan, the versions' numbers in the plan's order."""

    args: Mapping[str, Any]
    deployment: Deployment
    numbers: tuple[str, ...]
    experiment_id: str | None
    # Served entities of earlier runs that stay at 0 %, as they are served; in ServingEndpoint's words on the wire.
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


async def verify(name: str, args: Mapping[str, Any], owner_mark: str, opts: pulumi.InvokeOptions) -> Verified:
    """The deployment, verified against the workspace; raises DeploymentError with every problem that was found."""
    if problems := check_arguments(args):
        raise _error(name, problems)
    deployment = plan(args)
    versions, secrets, served = await asyncio.gather(
        asyncio.gather(*(_resolve(deployment.model_name, wanted, opts) for wanted in deployment.versions)),
        _check_references(args, opts),
        _served(deployment, args, owner_mark, opts),
    )
    numbers = tuple(version["version"] for version in versions)
    found: list[Problem | str] = [
        f"{wanted.field}: {version['problem']}"
        for wanted, version in zip(deployment.versions, versions, strict=True)
        if version["problem"]
    ]
    found += [*secrets, *([served["problem"]] if served["problem"] else [])]
    found += resolved_duplicates(deployment, numbers)
    if found:
        raise _error(name, found)
    logged_in = versions[0]["experimentId"] if versions else None
    experiment = args.get("experiment_id") or logged_in or None
    declared = entity_names(deployment, numbers)
    previous = kept(
        served["servedEntities"],
        served["traffic"],
        deployment.model_name,
        declared,
        int(args.get("keep_previous") or 0),
    )
    return Verified(args, deployment, numbers, experiment, previous)


async def _resolve(model_name: str, wanted: WantedVersion, opts: pulumi.InvokeOptions) -> functions.ModelVersion:
    return await functions.get_model_version(model_name, wanted.version, wanted.alias, opts)


async def _served(
    deployment: Deployment, args: Mapping[str, Any], owner_mark: str, opts: pulumi.InvokeOptions
) -> functions.ServedVersions:
    if not args.get("keep_previous"):
        return functions.ServedVersions(servedEntities={}, traffic={}, problem="")
    return await functions.get_served_versions(deployment.endpoint_name, owner_mark, opts)


async def _check_references(args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> list[str]:
    environments = [args.get("environment") or {}]
    environments += [version.get("environment") or {} for version in args.get("versions") or ()]
    wanted = sorted({str(reference) for variables in environments for reference in references(variables).values()})
    return await functions.check_secret_references(wanted, opts) if wanted else []


def _error(name: str, problems: Sequence[Problem | str]) -> DeploymentError:
    # The same cause can show at several places: an unreachable workspace is one problem.
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    return DeploymentError(
        "\n".join([f"AgentDeployment {name!r} cannot be deployed:", *(f"  - {line}" for line in lines)])
    )
