"""What makes a deployment known to people: its versions in the register, its Review App, and what reviewers may do."""

from __future__ import annotations

import pulumi

from agent_deploy.components.options import child_options
from agent_deploy.components.outputs import join
from agent_deploy.components.verification import Verified
from agent_deploy.resources.agent_registration import AgentRegistration
from agent_deploy.resources.databricks import Permissions
from agent_deploy.resources.object_permission import ObjectPermission
from agent_deploy.resources.serving_endpoint import ServingEndpoint
from agent_deploy.rules import names
from agent_deploy.rules.review import (
    ENDPOINTS,
    EXPERIMENT_LEVEL,
    EXPERIMENTS,
    Access,
    is_registered,
    reviewers,
)


def declare(
    name: str,
    parent: pulumi.Resource,
    verified: Verified,
    endpoint: ServingEndpoint,
    permissions: Permissions | None,
) -> pulumi.Output[str]:
    """Registers every version behind the endpoint and lets the reviewers in; returns where they review."""
    for reviewer in reviewers(verified.args):
        _let_in(name, parent, verified, endpoint, permissions, reviewer)
    latest: AgentRegistration | None = None
    # One after the other: the register keeps their order, and clients take the last for the latest.
    for entity, version in _versions(verified) if is_registered(verified.args) else ():
        latest = AgentRegistration(
            f"{name}-registration-v{version}",
            model_name=verified.deployment.model_name,
            model_version=version,
            endpoint_name=endpoint.name,
            served_entity_name=entity,
            experiment_id=verified.experiment_id,
            instructions=(verified.args.get("review_app") or {}).get("instructions"),
            opts=child_options(parent, depends_on=[endpoint, *([latest] if latest else [])]),
        )
    if latest is not None:
        return latest.review_app_url
    return join(names.review_app_url, endpoint.workspace_url, endpoint.name)


def _versions(verified: Verified) -> list[tuple[str, str]]:
    """Served entity and version, the newest last; those that are kept for a rollback included."""
    model = verified.deployment.model_name
    declared = ((names.served_entity_name(model, number), number) for number in verified.numbers)
    kept = ((entity, str(served["entityVersion"])) for entity, served in verified.kept.items())
    return sorted([*declared, *kept], key=lambda each: int(each[1]))


def _let_in(
    name: str,
    parent: pulumi.Resource,
    verified: Verified,
    endpoint: ServingEndpoint,
    permissions: Permissions | None,
    reviewer: Access,
) -> None:
    child = f"{name}-reviewer-{reviewer.kind}-{reviewer.principal}"
    ObjectPermission(
        f"{child}-endpoint",
        object_type=ENDPOINTS,
        object_id=endpoint.endpoint_id,
        principal_kind=reviewer.kind,
        principal=reviewer.principal,
        level=reviewer.level,
        # `permissions` writes the endpoint's whole list, reviewers included, and so also takes them out of it: were
        # this one to do so, after that, it would take away what the same principal is to have by `permissions`.
        opts=child_options(
            parent,
            depends_on=[permissions] if permissions else None,
            retain_on_delete=True if permissions else None,
        ),
    )
    if verified.experiment_id:
        ObjectPermission(
            f"{child}-experiment",
            object_type=EXPERIMENTS,
            object_id=verified.experiment_id,
            principal_kind=reviewer.kind,
            principal=reviewer.principal,
            level=EXPERIMENT_LEVEL,
            opts=child_options(parent),
        )
