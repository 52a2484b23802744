"""Which versions stay behind an endpoint at 0 % after they have left the program, so that a rollback needs no build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.credentials import SERVICE_PRINCIPAL
from agent_deploy.rules.declaration import Deployment
from agent_deploy.rules.environment import references
from agent_deploy.rules.numbers import whole
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.secrets import SecretReference, name_of_ours, version_secret
from agent_deploy.rules.traffic import MAX_SERVED_ENTITIES


def check_keep_previous(value: object) -> list[Problem]:
    """Problems of ``keep_previous``; None is the default and passes."""
    limit = MAX_SERVED_ENTITIES - 1
    if value is None or 0 <= (-1 if (number := whole(value)) is None else number) <= limit:
        return []
    return [Problem("keep_previous", value, f"a whole number from 0 to {limit}")]


def kept(
    served: Mapping[str, Mapping[str, Any]],
    traffic: Mapping[str, int],
    model_name: str,
    declared: Collection[str],
    keep: int,
) -> dict[str, Mapping[str, Any]]:
    """The ``keep`` newest of the served entities that the program no longer names, as they are served now.

    What had traffic until now counts as newest: it is what a rollback goes back to. ``served`` is in ServingEndpoint's
    words (``entityName``, ``entityVersion``); entities of other models are not this deployment's to keep.
    """
    candidates = [n for n, entity in served.items() if entity["entityName"] == model_name and n not in declared]
    candidates.sort(key=lambda name: (-traffic.get(name, 0), -int(served[name]["entityVersion"])))
    return {name: served[name] for name in candidates[: max(0, min(keep, MAX_SERVED_ENTITIES - len(declared)))]}


def lost_secrets(kept: Mapping[str, Mapping[str, Any]], deployment: Deployment) -> list[Problem]:
    """What kept versions read of secrets that the program has made, but declares no longer: these leave with it."""
    return [
        problem
        for entity in kept.values()
        for variable, reference in references(entity.get("environmentVars") or {}).items()
        if (problem := _lost(deployment, str(entity["entityVersion"]), variable, reference)) is not None
    ]


def _lost(deployment: Deployment, version: str, variable: str, reference: SecretReference) -> Problem | None:
    name = name_of_ours(reference)
    if not name:
        return None
    auth, endpoint = deployment.identity.auth, str(deployment.endpoint_name)
    if reference.scope == names.secret_scope(endpoint, version) and auth != SERVICE_PRINCIPAL:
        expected = f"{SERVICE_PRINCIPAL} as long as version {version} is kept, which signs in as its own principal"
        return Problem("auth", auth, expected, "Change it when that version has left, or lower keep_previous")
    if reference.scope == endpoint and name == version_secret(variable):
        expected = f"version {version} in versions, as {variable} is a secret of its own there, and leaves with it"
        remedy = "Leave the version there with 0 % of the traffic, or lower keep_previous"
        return Problem("keep_previous", deployment.keep_previous, expected, remedy)
    if reference.scope == endpoint and name == variable and (None, variable) not in deployment.secrets():
        expected = f"{variable} as a secret in environment, as version {version}, which is kept, reads it"
        remedy = (
            "Leave it there until that version has left, name the version in versions with 0 % of the traffic, or "
            "lower keep_previous"
        )
        return Problem("keep_previous", deployment.keep_previous, expected, remedy)
    return None
