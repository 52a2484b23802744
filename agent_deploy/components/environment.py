"""A deployment's secrets: where they are put, and what stands for them in the environment of a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from agent_deploy.components.component import Component
from agent_deploy.resources.secret import Secret
from agent_deploy.resources.secret_scope import SecretScope
from agent_deploy.rules.declaration import Deployment, Place
from agent_deploy.rules.environment import references as secret_references
from agent_deploy.rules.secrets import name_of_ours, version_secret


@dataclass(frozen=True)
class References:
    """References to stored secrets. No plain dict: Pulumi would lift its Outputs, and hide all for one unknown."""

    by_place: Mapping[Place, pulumi.Output[str]]


def store_secrets(name: str, parent: Component, deployment: Deployment, scope_name: pulumi.Input[str]) -> References:
    """A scope named after the endpoint with one secret for each value; returns the references to them."""
    secrets = deployment.secrets()
    if not secrets:
        return References({})
    scope = SecretScope(f"{name}-secrets", name=scope_name, opts=parent.for_housekeeping())
    references: dict[Place, pulumi.Output[str]] = {}
    for (index, key), value in secrets.items():
        child, stored_as = f"{name}-secret-{key}", key
        if index is not None:
            child, stored_as = f"{child}-{_label(deployment, index)}", version_secret(key)
        stored = Secret(child, scope=scope.name, name=stored_as, value=value.source, opts=parent.for_housekeeping())
        references[index, key] = stored.reference
    return References(references)


def with_current(variables: Mapping[str, str], scope: object, references: References) -> dict[str, Any]:
    """Variables of a version kept from an earlier run: what it reads of our own scope follows a changed secret."""
    current = dict[str, Any](variables)
    for key, reference in secret_references(variables).items():
        shared = reference.scope == scope and name_of_ours(reference) == key
        if shared and (None, key) in references.by_place:
            current[key] = references.by_place[None, key]
    return current


def _label(deployment: Deployment, index: int) -> str:
    # Children are named after the version, not its place in the list: another order must not replace them.
    version = deployment.versions[index]
    return f"version{index}" if version.is_output else version.label
