"""What is checked when the program runs, in the preview as well, before anything is created; all problems at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.components.errors import DeploymentError, told
from agent_deploy.resources import functions
from agent_deploy.rules.credentials import PASSTHROUGH, exposed_warning
from agent_deploy.rules.declared_resources import from_program
from agent_deploy.rules.deployment import Deployment, check_arguments, named_versions, plan, resolved_duplicates
from agent_deploy.rules.experiment import named_experiment
from agent_deploy.rules.known_arguments import of_well_shaped
from agent_deploy.rules.previous_versions import lost_secrets
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resources import Resource
from agent_deploy.rules.verifiable import exposed_credentials, look_ups


@dataclass(frozen=True)
class Verified:
    """A deployment that may be created: its plain arguments, its plan, the versions' numbers in the plan's order."""

    args: Mapping[str, Any]
    deployment: Deployment
    numbers: tuple[str, ...]
    experiment_id: str | None
    workspace_url: str = ""
    # Served entities of earlier runs that stay at 0 %, as they are served; in ServingEndpoint's words on the wire.
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # What each version needs, the kept ones included; and the API scopes that its users consent to.
    resources: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    user_scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # (securable type, name, privilege) that everybody has anyhow, and so need not be given.
    open_to_all: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def auth(self) -> str:
        """PASSTHROUGH, SERVICE_PRINCIPAL or MANUAL."""
        return str(self.args.get("auth") or PASSTHROUGH)


async def verify(
    name: str,
    args: Mapping[str, Any],
    owner_mark: str,
    opts: pulumi.InvokeOptions,
    made_here: frozenset[str] = frozenset(),
    misshapen: Sequence[Problem] = (),
    former_marks: Sequence[str] = (),
    misplaced: Sequence[Problem] = (),
) -> Verified:
    """The deployment, verified against the workspace; raises DeploymentError with every problem that was found.

    The arguments are judged here, all that is looked up by one call of the provider. Wrong arguments do not keep the
    rest from being looked up, so that one run tells everything. ``misshapen`` ones are not in ``args``, or
    cannot be judged by it; ``misplaced`` are secrets where none can be kept.
    """
    if misplaced:
        # Whatever else is wrong might be told with a secret's value.
        raise told(DeploymentError.of("AgentDeployment", name, [*misshapen, *misplaced]))
    problems: list[Problem | str] = [*misshapen, *of_well_shaped(check_arguments(args), misshapen)]
    found = await functions.verify_deployment(look_ups(args, [owner_mark, *former_marks], made_here), opts)
    problems += [*found["problems"], *resolved_duplicates(named_versions(args), found["numbers"])]
    problems += lost_secrets(found["kept"], args)
    if problems:
        raise told(DeploymentError.of("AgentDeployment", name, problems))
    for doubt in found["doubts"]:
        pulumi.log.warn(f"could not be verified: {doubt}", opts.parent)
    if exposed := exposed_credentials(args):
        pulumi.log.warn(exposed_warning(exposed), opts.parent)
    experiment = named_experiment(args)
    return Verified(
        args=args,
        deployment=plan(args),
        numbers=tuple(found["numbers"]),
        experiment_id=experiment["value"] if experiment else found["experimentId"] or None,
        workspace_url=found["workspaceUrl"],
        kept=found["kept"],
        resources={each["version"]: from_program("", each["resources"])[0] for each in found["needs"]},
        user_scopes={each["version"]: each["userScopes"] for each in found["needs"]},
        open_to_all=frozenset((each["securableType"], each["name"], each["privilege"]) for each in found["openToAll"]),
    )
