"""The identities of a deployment's versions: one AgentServicePrincipal each, where the deployment makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.components.agent_service_principal import (
    AgentServicePrincipal,
    AgentServicePrincipalArgs,
    VerifiedAgentServicePrincipal,
)
from agent_deploy.components.arguments import AgentIdentity
from agent_deploy.components.component import Component
from agent_deploy.components.environment import References
from agent_deploy.components.parsing import to_input
from agent_deploy.components.verification import Verified
from agent_deploy.rules import names
from agent_deploy.rules.credentials import CLIENT_ID, CLIENT_SECRET, HOST, SERVICE_PRINCIPAL
from agent_deploy.rules.resource_kinds import Resource, agent_access
from agent_deploy.rules.values import made_of


@dataclass(frozen=True)
class Identities:
    """By model version. No plain dict: Pulumi would lift its Outputs, and hide all for one unknown."""

    by_version: Mapping[str, AgentServicePrincipal] = field(default_factory=dict)
    host: str = ""

    def environment(self, version: str) -> dict[str, pulumi.Input[str]]:
        """The variables by which a version signs in as its service principal; none where others see to that."""
        principal = self.by_version.get(version)
        if principal is None:
            return {}
        return {HOST: self.host, CLIENT_ID: principal.application_id, CLIENT_SECRET: principal.client_secret}

    @property
    def components(self) -> list[AgentServicePrincipal]:
        """What must be complete before a version is served, and outlive it."""
        return list(dict.fromkeys(self.by_version.values()))


def declare(name: str, parent: Component, verified: Verified, references: References) -> Identities:
    """One service principal for each version behind the endpoint, the kept ones included; or the user's, for all."""
    identity = verified.deployment.identity
    if identity.auth != SERVICE_PRINCIPAL:
        return Identities()
    if identity.existing:
        # Shared, so declared once: what a version that leaves no longer needs, another may.
        needed = list(dict.fromkeys(r for resources in verified.resources.values() for r in resources))
        args = _args(verified, "", needed)
        secret = references.by_place.get((None, CLIENT_SECRET), identity.existing.client_secret)
        args["existing"] = {
            "application_id": verified.to_input(identity.existing.application_id),
            "client_secret": to_input(secret),
        }
        shared = VerifiedAgentServicePrincipal(f"{name}-principal", args, parent.for_housekeeping())
        return Identities(dict.fromkeys(verified.resources, shared), verified.workspace_url)
    made = {
        version: VerifiedAgentServicePrincipal(
            f"{name}-v{version}", _args(verified, version, resources), parent.for_housekeeping()
        )
        for version, resources in verified.resources.items()
    }
    return Identities(made, verified.workspace_url)


def _args(verified: Verified, version: str, resources: Sequence[Resource]) -> AgentServicePrincipalArgs:
    deployment = verified.deployment
    endpoint = deployment.endpoint_name
    args = AgentServicePrincipalArgs(
        display_name=verified.to_input(names.served_entity_name(str(deployment.model_name), version)),
        secret_scope=verified.to_input(made_of(lambda known: names.secret_scope(known, version), endpoint)),
        resources=[resource.given() for resource in resources if not resource.on_behalf_of_user],
        open_to_all=[
            {"securable_type": kind, "name": securable, "privilege": privilege}
            for kind, securable, privilege in sorted(verified.open_to_all)
        ],
    )
    if deployment.identity.rotation_days is not None:
        args["rotation_days"] = deployment.identity.rotation_days
    if deployment.identity.secret_lifetime_days is not None:
        args["secret_lifetime_days"] = deployment.identity.secret_lifetime_days
    if verified.experiment_id:
        args["experiment_id"] = verified.to_input(verified.experiment_id)
    return args


def described(verified: Verified, application_ids: Mapping[str, Any]) -> list[AgentIdentity]:
    """Who each version is and what it may touch, for whoever must answer for it."""
    return [
        AgentIdentity(
            version=to_input(version),
            auth=verified.deployment.identity.auth,
            application_id=application_ids.get(version, "") if isinstance(version, str) else "",
            access=[
                f"{needed.privilege} on {needed.target}" for needed in agent_access(_of(verified.resources, version))
            ],
            user_scopes=list(_of(verified.user_scopes, version)),
        )
        for version in (*verified.numbers, *(str(entity["entityVersion"]) for entity in verified.kept.values()))
    ]


def _of(by_version: Mapping[str, Sequence[Any]], version: object) -> Sequence[Any]:
    return by_version.get(version, ()) if isinstance(version, str) else ()
