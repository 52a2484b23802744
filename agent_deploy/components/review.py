"""What makes a deployment known to people: its versions in the register, its Review App, and what reviewers may do."""

from __future__ import annotations

import pulumi

from agent_deploy.components.component import Component
from agent_deploy.components.outputs import join
from agent_deploy.components.verification import Verified
from agent_deploy.resources.agent_registration import AgentRegistration
from agent_deploy.resources.databricks import Permissions
from agent_deploy.resources.object_permission import ObjectPermission
from agent_deploy.resources.serving_endpoint import ServingEndpoint
from agent_deploy.rules import names
from agent_deploy.rules.declaration import Text
from agent_deploy.rules.review import ENDPOINTS, EXPERIMENT_LEVEL, EXPERIMENTS, Access, reviewing_access
from agent_deploy.rules.values import Unknown


def declare(
    name: str,
    parent: Component,
    verified: Verified,
    endpoint: ServingEndpoint,
    permissions: Permissions | None,
) -> pulumi.Output[str]:
    """Registers every version behind the endpoint and lets the reviewers in; returns where they review."""
    deployment = verified.deployment
    review = deployment.review
    for index, reviewer in enumerate(reviewing_access(deployment.permissions, review.reviewers)):
        # Children have the same names in every run, whatever is known by then.
        child = f"{name}-reviewer-{reviewer.kind}"
        was = None if reviewer.is_output else f"{child}-{index}"
        who = index if reviewer.is_output else reviewer.principal
        _let_in(f"{child}-{who}", was, parent, verified, endpoint, permissions, reviewer)
    latest: AgentRegistration | None = None
    # One after the other: the register keeps their order, and clients take the last for the latest.
    for label, version, was in _versions(verified) if review.enabled else ():
        latest = AgentRegistration(
            f"{name}-registration-{label}",
            model_name=verified.to_input(deployment.model_name),
            model_version=verified.to_input(version),
            endpoint_name=endpoint.name,
            served_entity_name=verified.to_input(_served_entity(deployment.model_name, version)),
            experiment_id=verified.to_input(verified.experiment_id),
            instructions=verified.to_input(review.instructions),
            opts=parent.for_housekeeping(
                aliases=[pulumi.Alias(name=f"{name}-registration-{was}")] if was else None,
                depends_on=[endpoint, *([latest] if latest else [])],
            ),
        )
    if latest is not None:
        return latest.review_app_url
    return join(names.review_app_url, endpoint.workspace_url, endpoint.name)


def _versions(verified: Verified) -> list[tuple[str, Text, str]]:
    """Label and number of each version, the newest last, and the label that it had while its number was an Output;
    those that are kept for a rollback included.
    """
    declared = [
        (late, number, "") if wanted.is_output or isinstance(number, Unknown) else (f"v{number}", number, late)
        for wanted, number in zip(verified.deployment.versions, verified.numbers, strict=True)
        for late in [f"version{wanted.index}"]
    ]
    kept = [(f"v{entity['entityVersion']}", str(entity["entityVersion"]), "") for entity in verified.kept.values()]
    # One that is not known yet is new: it comes from what has yet to be made.
    return sorted([*declared, *kept], key=lambda each: (0, int(each[1])) if isinstance(each[1], str) else (1, 0))


def _served_entity(model: Text | None, version: Text) -> Text:
    if isinstance(version, Unknown) or not isinstance(model, str):
        return Unknown()
    return names.served_entity_name(model, version)


def _let_in(
    child: str,
    was: str | None,
    parent: Component,
    verified: Verified,
    endpoint: ServingEndpoint,
    permissions: Permissions | None,
    reviewer: Access,
) -> None:
    ObjectPermission(
        f"{child}-endpoint",
        object_type=ENDPOINTS,
        object_id=endpoint.endpoint_id,
        principal_kind=reviewer.kind,
        principal=verified.to_input(reviewer.principal),
        level=verified.to_input(reviewer.level),
        # `permissions` writes the endpoint's whole list, reviewers included, and so also takes them out of it: were
        # this one to do so, after that, it would take away what the same principal is to have by `permissions`.
        opts=parent.for_housekeeping(
            aliases=_aliases(was, "endpoint"),
            depends_on=[permissions] if permissions else None,
            retain_on_delete=bool(permissions),
        ),
    )
    if verified.experiment_id is not None:
        ObjectPermission(
            f"{child}-experiment",
            object_type=EXPERIMENTS,
            object_id=verified.to_input(verified.experiment_id),
            principal_kind=reviewer.kind,
            principal=verified.to_input(reviewer.principal),
            level=EXPERIMENT_LEVEL,
            opts=parent.for_housekeeping(aliases=_aliases(was, "experiment")),
        )


def _aliases(was: str | None, of: str) -> list[pulumi.Alias] | None:
    """What a child is called whose principal comes from another resource, as it may have before."""
    return [pulumi.Alias(name=f"{was}-{of}")] if was else None
