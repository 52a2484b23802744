"""The identities of a deployment's versions: one AgentServicePrincipal each, where the deployment makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from agent_deploy.components.agent_service_principal import AgentServicePrincipal, AgentServicePrincipalArgs
from agent_deploy.components.arguments import AgentIdentity
from agent_deploy.components.options import child_options
from agent_deploy.components.verification import Verified
from agent_deploy.rules import names
from agent_deploy.rules.credentials import CLIENT_ID, CLIENT_SECRET, HOST, SERVICE_PRINCIPAL
from agent_deploy.rules.resources import Resource, agent_access


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


def declare(
    name: str, parent: pulumi.Resource, verified: Verified, existing_secret: pulumi.Input[str] | None
) -> Identities:
    """One service principal for each version behind the endpoint, the kept ones included; or the user's, for all."""
    if verified.auth != SERVICE_PRINCIPAL:
        return Identities()
    existing = verified.args.get("service_principal")
    if existing:
        # Shared, so declared once: what a version that leaves no longer needs, another may.
        needed = list(dict.fromkeys(r for resources in verified.resources.values() for r in resources))
        args = _args(verified, "", needed)
        # An Output that turns out to be None is told by the component.
        given: Any = {"application_id": existing["application_id"], "client_secret": existing_secret}
        args["existing"] = given
        shared = AgentServicePrincipal(f"{name}-principal", args, child_options(parent))
        return Identities(dict.fromkeys(verified.resources, shared), verified.workspace_url)
    made = {
        version: AgentServicePrincipal(f"{name}-v{version}", _args(verified, version, resources), child_options(parent))
        for version, resources in verified.resources.items()
    }
    return Identities(made, verified.workspace_url)


def _args(verified: Verified, version: str, resources: Sequence[Resource]) -> AgentServicePrincipalArgs:
    args = AgentServicePrincipalArgs(
        display_name=names.served_entity_name(verified.deployment.model_name, version),
        secret_scope=names.secret_scope(verified.deployment.endpoint_name, version),
        resources=[
            {"kind": resource.kind, "name": resource.name} for resource in resources if not resource.on_behalf_of_user
        ],
        open_to_all=[
            {"securable_type": kind, "name": securable, "privilege": privilege}
            for kind, securable, privilege in sorted(verified.open_to_all)
        ],
    )
    for option in ("rotation_days", "secret_lifetime_days"):
        if verified.args.get(option) is not None:
            args[option] = int(verified.args[option])
    if verified.experiment_id:
        args["experiment_id"] = verified.experiment_id
    return args


def described(verified: Verified, application_ids: Mapping[str, str]) -> list[AgentIdentity]:
    """Who each version is and what it may touch, for whoever must answer for it."""
    return [
        AgentIdentity(
            version=version,
            auth=verified.auth,
            application_id=application_ids.get(version, ""),
            access=[
                f"{needed.privilege} on {needed.target}" for needed in agent_access(verified.resources.get(version, ()))
            ],
            user_scopes=list(verified.user_scopes.get(version, ())),
        )
        for version in (*verified.numbers, *(str(entity["entityVersion"]) for entity in verified.kept.values()))
    ]
