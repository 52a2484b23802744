"""What is checked when the program runs, in the preview as well, before anything is created; all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.parsing import Resolved, dependencies_of, to_input
from agent_deploy.resources import functions
from agent_deploy.resources.failures import program_error
from agent_deploy.rules import findings
from agent_deploy.rules.argument_checks import check_arguments, resolved_duplicates, undecided
from agent_deploy.rules.credentials import MANUAL, exposed_warning
from agent_deploy.rules.declaration import Deployment, Text, Version, declared
from agent_deploy.rules.findings import Finding
from agent_deploy.rules.kept_versions import lost_secrets
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resource_kinds import Resource
from agent_deploy.rules.values import Unknown, is_known
from agent_deploy.rules.verifiable import (
    KEYED,
    VerifiedDeployment,
    WantedDeployment,
    exposed_credentials,
    look_ups,
    made_fields,
    without_made,
)


@dataclass(frozen=True)
class Read:
    """The arguments read: the deployment that they declare, what is wrong with them, which of them nobody knows yet."""

    deployment: Deployment
    problems: Sequence[Problem]
    unknown: Sequence[str]
    # What of it can be looked up: without the fields ``made``, whose objects this program may only be about to make.
    verifiable: Deployment
    made: Sequence[str]
    carrier: pulumi.Output[Any] | None = None


@dataclass(frozen=True)
class Verified:
    """A deployment that may be created, with what was looked up of it.

    ``numbers`` are those of its versions, in their order; what is unknown in a preview is known in `up`, which verifies
    it then.
    """

    deployment: Deployment
    numbers: tuple[Text, ...]
    experiment_id: Text | None
    workspace_url: str = ""
    # Served entities of earlier runs that stay at 0 %, as they are served; in ServingEndpoint's words on the wire.
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # What each version needs, the kept ones included; and the API scopes that its users consent to.
    resources: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    user_scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # (securable type, name, privilege) that everybody has anyhow, and so need not be given.
    open_to_all: frozenset[tuple[str, str, str]] = frozenset()
    # Known, with the dependencies of all arguments: what is declared of a value depends on what that came from.
    carrier: pulumi.Output[Any] | None = None

    def to_input(self, value: Any) -> Any:
        """A value of the deployment for a resource that is declared when all is verified.

        By then an Output is a plain value, and its dependencies would be lost: a plan would be broken, and on destroy
        what is depended on would go first.
        """
        given = to_input(value)
        return given if self.carrier is None or value is None else self.carrier.apply(lambda _: given)

    @property
    def known_numbers(self) -> list[str] | None:
        """The numbers; None as long as one of them, or the model, is not known."""
        known = [number for number in self.numbers if isinstance(number, str)]
        is_whole = len(known) == len(self.numbers) and is_known(self.deployment.model_name)
        return known if is_whole else None


def read(name: str, resolved: Resolved) -> Read:
    """The arguments as a deployment; raises DeploymentError for a secret where none can be kept, and tells no more:
    whatever else is wrong might be told with its value.
    """
    parsed, tree = resolved.parsed, resolved.tree
    if resolved.exposed_secrets:
        raise program_error(DeploymentError.of("AgentDeployment", name, [*parsed.problems, *resolved.exposed_secrets]))
    deployment = declared(tree, resolved.outputs)
    problems = resolved.problems_with([*check_arguments(tree), *undecided(deployment, tree)])
    carrier = dependencies_of(parsed) if resolved.outputs else None
    verifiable = declared(without_made(tree, resolved.made), resolved.outputs)
    return Read(deployment, problems, list(_unknown("", tree)), verifiable, made_fields(resolved.made), carrier)


async def verified(
    component: str,
    name: str,
    wanted: WantedDeployment,
    opts: pulumi.InvokeOptions,
    problems: Sequence[Problem | str] = (),
    further: Callable[[VerifiedDeployment], Iterable[Finding]] = lambda _: (),
) -> VerifiedDeployment:
    """What a component takes, looked up by one call of the provider; what cannot be told is a warning.

    Raises DeploymentError with all that is wrong: ``problems``, what is found, and what follows ``further`` from it.
    """
    found = await functions.verify_deployment(wanted, opts)
    if problems := [*problems, *found.problems, *map(str, further(found))]:
        raise program_error(DeploymentError.of(component, name, problems))
    for unverified in found.unverified:
        pulumi.log.warn(f"could not be verified: {unverified}", opts.parent)
    return found


async def verify(name: str, given: Read, owner_marks: Sequence[str], opts: pulumi.InvokeOptions) -> Verified:
    """The deployment, verified against the workspace; raises DeploymentError with every problem that was found.

    Wrong arguments do not keep the rest from being looked up, so that one run tells everything.
    """
    deployment = given.deployment

    def further(found: VerifiedDeployment) -> Iterator[Finding]:
        yield from map(findings.DUPLICATE.found, resolved_duplicates(deployment, _numbers(deployment, found.numbers)))
        yield from map(findings.LOST.found, lost_secrets(found.kept, deployment))

    wanted = look_ups(given.verifiable, owner_marks)
    found = await verified("AgentDeployment", name, wanted, opts, given.problems, further)
    if exposed := exposed_credentials(deployment):
        pulumi.log.warn(exposed_warning(exposed), opts.parent)
    if given.unknown:
        waits = f"verified in `pulumi up` only, as the preview does not know their values: {', '.join(given.unknown)}"
        pulumi.log.info(waits, opts.parent)
    log_unverified(given.made, opts)
    return Verified(
        deployment=deployment,
        numbers=_numbers(deployment, found.numbers),
        experiment_id=_experiment(deployment, found.experiment_id),
        workspace_url=found.workspace_url,
        kept=found.kept,
        resources={each.version: (*each.resources, *_made_resources(given, each.resources)) for each in found.needs},
        user_scopes={each.version: each.user_scopes for each in found.needs},
        open_to_all=frozenset((each.securable_type, each.name, each.privilege) for each in found.open_to_all),
        carrier=given.carrier,
    )


def log_unverified(fields: Sequence[str], opts: pulumi.InvokeOptions) -> None:
    """Says of which objects a preview does not ask whether they are there."""
    if fields:
        made = ", ".join(fields)
        pulumi.log.info(
            f"verified in `pulumi up` only, as other resources of this program make it: {made}", opts.parent
        )


def _made_resources(given: Read, found: Sequence[Resource]) -> list[Resource]:
    identity = given.deployment.identity
    asked = {*found, *given.verifiable.identity.resources}
    return [] if identity.auth == MANUAL else [each for each in identity.resources if each not in asked]


def _numbers(deployment: Deployment, found: Sequence[str]) -> tuple[Text, ...]:
    """Of each version; those that could be looked up are in ``found``, in their order."""
    looked_up = iter(found)
    has_model = is_known(deployment.model_name) and deployment.model_name is not None
    return tuple(
        _number(each, next(looked_up) if has_model and each.is_known else None) for each in deployment.versions
    )


def _number(version: Version, found: str | None) -> Text:
    """A number that is written down is known, whoever looks it up; an alias is resolved by the look-up alone."""
    if found is None:
        return version.number if isinstance(version.number, str) else Unknown()
    # Where the workspace itself is not known yet, an alias is answered with its own name.
    return Unknown() if found and not found.isdecimal() else found


def _experiment(deployment: Deployment, of_first_version: str) -> Text | None:
    if deployment.experiment is not None:
        return deployment.experiment.value
    if deployment.versions and not (deployment.versions[0].is_known and is_known(deployment.model_name)):
        return Unknown()
    # Whether a version that comes from another resource has one does not decide what is declared: the empty string is
    # an experiment that is not there.
    is_output = "model_name" in deployment.outputs or any(version.is_output for version in deployment.versions[:1])
    return of_first_version or ("" if is_output else None)


def _unknown(path: str, value: object) -> Iterator[str]:
    if isinstance(value, Unknown):
        yield path
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            keyed = path.rpartition(".")[2] in KEYED
            yield from _unknown(f"{path}[{name!r}]" if keyed else f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unknown(f"{path}[{index}]", inner)
