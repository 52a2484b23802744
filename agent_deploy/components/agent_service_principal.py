"""AgentServicePrincipal: who one version of an agent is, what it may touch, and by which credential."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
import os
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, overload

import pulumi
from typing_extensions import NotRequired, TypedDict, Unpack

from agent_deploy.components import ephemeral_stack
from agent_deploy.components.component import Component
from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.parsing import Parsed, Resolved, parse, resolve
from agent_deploy.components.signature import takes_keywords
from agent_deploy.components.verification import log_unverified, verified
from agent_deploy.resources.databricks import Grant
from agent_deploy.resources.failures import program_error
from agent_deploy.resources.object_permission import ObjectPermission
from agent_deploy.resources.secret import Secret
from agent_deploy.resources.secret_scope import SecretScope
from agent_deploy.resources.securable_grant import SecurableGrant
from agent_deploy.resources.service_principal import ServicePrincipal
from agent_deploy.resources.service_principal_secret import ServicePrincipalSecret
from agent_deploy.rules.credentials import (
    CLIENT_ID,
    CLIENT_SECRET,
    MANUAL,
    check_complete,
    check_existing,
    check_rotation,
)
from agent_deploy.rules.declared_resources import from_program
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resource_kinds import KINDS, Resource, agent_grants, agent_permissions
from agent_deploy.rules.rotation import period
from agent_deploy.rules.unity_catalog import Securable
from agent_deploy.rules.values import Unknown
from agent_deploy.rules.verifiable import WantedDeployment, identity_look_ups, made_fields, without_made

# Securable type → the argument of the vendor's Grant that names it.
_GRANT_ARGUMENTS = {"connection": "foreign_connection"}
_SECONDS_PER_DAY = 86_400
# A date such as 2027-01-31 that counts as today, so that a rotation can be tried before its day; see docs/identity.md.
TODAY_VARIABLE = "AGENT_DEPLOY_TODAY"


class AgentResourceArgs(TypedDict):
    """Something that an agent needs, as MLflow names it when a model is logged."""

    kind: str
    """sql_warehouse, serving_endpoint, function, genie_space, vector_search_index, table, uc_connection, lakebase, app,
    uc_model_service or volume."""
    name: pulumi.Input[str]
    """Name or id of the resource."""
    on_behalf_of_user: NotRequired[bool]
    """Reached as the user who asks: the agent itself is given nothing. Default false."""
    writes: NotRequired[bool]
    """Of a volume: the agent writes there, too. Default false."""


class ExistingServicePrincipalArgs(TypedDict):
    """A service principal that somebody else made and keeps: it is granted what the agent needs, never removed."""

    application_id: pulumi.Input[str]
    """Its application id."""
    client_secret: pulumi.Input[str]
    """An OAuth secret of it: a Pulumi secret, or a reference `{{secrets/scope/key}}`.

    An AgentDeployment keeps a Pulumi secret in a scope. An endpoint of your own takes none: give a reference for it.
    """


class OpenPrivilegeArgs(TypedDict):
    """A privilege that every user of the account has anyhow, such as those on the functions of `system.ai`."""

    securable_type: str
    """catalog, schema, function, …"""
    name: str
    """Full name of the securable."""
    privilege: str
    """Such as EXECUTE."""


class AgentServicePrincipalArgs(TypedDict):
    """The identity of an agent."""

    display_name: pulumi.Input[str]
    """Name of the service principal."""
    secret_scope: NotRequired[pulumi.Input[str]]
    """Name of the secret scope that keeps its credential, made for it; default: `display_name`."""
    resources: NotRequired[list[AgentResourceArgs]]
    """What it may use; each gets the least privilege that using it takes."""
    open_to_all: NotRequired[list[OpenPrivilegeArgs]]
    """What need not be granted, since everybody has it."""
    experiment_id: NotRequired[pulumi.Input[str]]
    """MLflow experiment that it may write traces to."""
    rotation_days: NotRequired[int]
    """A new OAuth secret every so many days; default: none."""
    secret_lifetime_days: NotRequired[int]
    """After how many days a secret expires, more than `rotation_days`; default: the platform's."""
    existing: NotRequired[ExistingServicePrincipalArgs]
    """Use this service principal instead of making one."""


class AgentServicePrincipal(Component):
    """A service principal with least-privilege grants and an OAuth secret in a secret scope that only its owner reads.

    A rotated secret exists, and is used, before the old one goes.
    """

    kind = "AgentServicePrincipal"

    application_id: pulumi.Output[str]
    """By which grants and access control lists know it."""
    client_secret: pulumi.Output[str]
    """Reference to its OAuth secret: `{{secrets/scope/key}}`; of an existing one, the secret as it was given."""
    environment: pulumi.Output[Mapping[str, str]]
    """DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET for the agent's environment."""

    @overload
    def __init__(
        self, name: str, args: AgentServicePrincipalArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, name: str, *, opts: pulumi.ResourceOptions | None = None, **args: Unpack[AgentServicePrincipalArgs]
    ) -> None: ...
    @takes_keywords
    def __init__(self, name: str, args: AgentServicePrincipalArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts, args)
        parsed = self._parsed(args)
        args = parsed.tree  # type: ignore[assignment]
        given = parsed.without_outputs()
        resources, problems = from_program("resources", given.get("resources") or [])
        existing = given.get("existing")
        problems += [*check_complete("existing", existing), *check_existing("existing", given)]
        problems += check_rotation("", given.get("rotation_days"), given.get("secret_lifetime_days"))
        problems += [_late_securable(index) for index, each in enumerate(resources) if _is_late_securable(each)]
        if problems := [*parsed.problems, *parsed.further([*problems, *parsed.missing()])]:
            raise DeploymentError.of("AgentServicePrincipal", name, problems)
        checked = self._verified(name, parsed)
        if existing is None:
            self.application_id, self.client_secret = self._made(name, args, checked)
        else:
            self.application_id = pulumi.Output.from_input(_after(checked, args["existing"]["application_id"]))
            self.client_secret = pulumi.Output.from_input(args["existing"]["client_secret"])
        if existing is None or self._ephemeral is None:
            self._let_use(name, args, resources, added=existing is not None)
        self.hand_out(
            application_id=self.application_id,
            client_secret=self.client_secret,
            environment=pulumi.Output.all(self.application_id, self.client_secret).apply(
                lambda both: {CLIENT_ID: both[0], CLIENT_SECRET: both[1]}
            ),
        )

    def _let_use(self, name: str, args: AgentServicePrincipalArgs, resources: Sequence[Resource], added: bool) -> None:
        """Gives it its privileges. Not to a principal of others in an ephemeral stack: it would lose them with that."""
        open_to_all = {(o["securable_type"], o["name"], o["privilege"]) for o in args.get("open_to_all") or ()}
        self._grant(name, agent_grants(resources, open_to_all), added=added)
        for target, level in agent_permissions(resources).items():
            late = target.name if isinstance(target.name, Unknown) else None
            label = f"{target.type}-{_index_of(resources, target.name) if late else target.name}"
            self._permit(f"{name}-permission-{label}", target.type, None, late.source if late else target.name, level)
        if args.get("experiment_id"):
            self._permit(f"{name}-permission-experiment", "experiments", args["experiment_id"], None, "CAN_EDIT")

    def _parsed(self, args: AgentServicePrincipalArgs) -> Parsed:
        parsed = parse(self.kind, AgentServicePrincipalArgs, args)
        return ephemeral_stack.with_own_names(parsed, self._ephemeral, "display_name", "secret_scope")

    def _verified(self, name: str, parsed: Parsed) -> pulumi.Output[Any] | None:
        """What the children's inputs wait for: nothing is created unless every check has passed."""
        invoke = pulumi.InvokeOptions(parent=self)

        async def verify(resolved: Resolved) -> None:
            if resolved.exposed_secrets:
                raise program_error(DeploymentError.of("AgentServicePrincipal", name, resolved.exposed_secrets))
            tree = without_made(resolved.tree, resolved.made)
            resources, problems = from_program("resources", tree.get("resources") or [])
            wanted = identity_look_ups(tree, resources)
            await verified("AgentServicePrincipal", name, wanted, invoke, resolved.problems_with(problems))
            log_unverified(made_fields(resolved.made), invoke)

        return resolve(parsed).apply(verify)

    def _made(
        self, name: str, args: AgentServicePrincipalArgs, checked: pulumi.Output[Any] | None
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        display_name = _after(checked, args["display_name"])
        principal = ServicePrincipal(name, display_name=display_name, opts=self.for_child("principal"))
        rotation, lifetime = args.get("rotation_days"), args.get("secret_lifetime_days")
        credential = ServicePrincipalSecret(
            f"{name}-oauth-secret",
            service_principal_id=principal.id,
            lifetime=f"{int(lifetime) * _SECONDS_PER_DAY}s" if lifetime else None,
            # Another period is another secret: it shows in the preview on the day on which it is due.
            time_rotating=period(int(rotation), _today(name)) if rotation else None,
            opts=self.for_child(),
        )
        if pulumi.runtime.is_dry_run():
            self._foresee_refusal(name, principal, credential)
        scope_name = _after(checked, args.get("secret_scope", args["display_name"]))
        scope = SecretScope(f"{name}-scope", name=scope_name, opts=self.for_child())
        secret = Secret(
            f"{name}-client-secret",
            scope=scope.name,
            name="client-secret",
            value=credential.secret,
            opts=self.for_child(),
        )
        return principal.application_id, secret.reference

    def _foresee_refusal(
        self, name: str, principal: ServicePrincipal, credential: ServicePrincipalSecret
    ) -> pulumi.Output[None]:
        """Ends the preview of a new secret for which the principal has no room, as its creation would end the run."""

        async def check(id: str) -> None:
            if await credential.id.is_known():
                return  # it stays
            wanted = WantedDeployment(auth=MANUAL, service_principal_id=id)
            await verified("AgentServicePrincipal", name, wanted, pulumi.InvokeOptions(parent=self))

        return principal.id.apply(check)

    def _grant(self, name: str, grants: Mapping[Securable, tuple[str, ...]], added: bool) -> None:
        for securable, privileges in grants.items():
            child = f"{name}-grant-{securable.type}-{securable.name}"
            (self._add if added else self._give)(child, securable, list(privileges))

    def _give(self, child: str, securable: Securable, privileges: list[str]) -> None:
        argument: dict[str, Any] = {_GRANT_ARGUMENTS.get(securable.type, securable.type): securable.name}
        Grant(child, principal=self.application_id, privileges=privileges, opts=self.for_child(), **argument)

    def _add(self, child: str, securable: Securable, privileges: list[str]) -> None:
        SecurableGrant(
            child,
            securable_type=securable.type,
            full_name=securable.name,
            principal=self.application_id,
            privileges=privileges,
            opts=self.for_child(),
        )

    def _permit(self, child: str, object_type: str, id: Any, name: Any, level: str) -> None:
        ObjectPermission(
            child,
            object_type=object_type,
            object_id=id,
            object_name=name,
            principal_kind="service_principal",
            principal=self.application_id,
            level=level,
            opts=self.for_child(),
        )


class VerifiedAgentServicePrincipal(AgentServicePrincipal):
    """The same for an AgentDeployment, which has verified all of it and given its names."""

    def _parsed(self, args: AgentServicePrincipalArgs) -> Parsed:
        return parse(self.kind, AgentServicePrincipalArgs, args)

    def _verified(self, name: str, parsed: Parsed) -> None:
        return None


def _after(checked: pulumi.Output[Any] | None, value: Any) -> Any:
    given = pulumi.Output.from_input(value)
    return value if checked is None else checked.apply(lambda _: given)


def _is_late_securable(resource: Resource) -> bool:
    return isinstance(resource.name, Unknown) and bool(KINDS[resource.kind].securable if resource.kind in KINDS else "")


def _late_securable(index: int) -> Problem:
    remedy = "What is granted around it depends on its name: write it down"
    return Problem(f"resources[{index}].name", None, "a plain value, and not an Output", remedy)


def _index_of(resources: Sequence[Resource], name: object) -> int:
    return next(index for index, resource in enumerate(resources) if resource.name is name)


def _today(name: str) -> date:
    given = os.environ.get(TODAY_VARIABLE)
    try:
        return date.fromisoformat(given) if given else date.today()
    except ValueError:
        problem = Problem(TODAY_VARIABLE, given, "a date such as 2027-01-31", "Correct it, or unset it")
        raise DeploymentError.of("AgentServicePrincipal", name, [problem]) from None
