"""Which versions stay behind an endpoint at 0 % after they have left the program, so that a rollback needs no build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.credentials import CLIENT_SECRET, PASSTHROUGH, SERVICE_PRINCIPAL
from agent_deploy.rules.environment import references
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.secrets import SecretReference, name_of_ours, version_secret
from agent_deploy.rules.traffic import MAX_SERVED_ENTITIES


def check_keep_previous(value: object) -> list[Problem]:
    """Problems of ``keep_previous``; None is the default and passes."""
    limit = MAX_SERVED_ENTITIES - 1
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if value is None or (whole and not isinstance(value, bool) and 0 <= int(value) <= limit):  # type: ignore[call-overload]
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


def lost_secrets(kept: Mapping[str, Mapping[str, Any]], args: Mapping[str, Any]) -> list[Problem]:
    """What kept versions read of secrets that the program has made, but declares no longer: these leave with it.

    ``args`` are a deployment's, with None for each secret value.
    """
    return [
        problem
        for entity in kept.values()
        for variable, reference in references(entity.get("environmentVars") or {}).items()
        if (problem := _lost(args, str(entity["entityVersion"]), variable, reference)) is not None
    ]


def _lost(args: Mapping[str, Any], version: str, variable: str, reference: SecretReference) -> Problem | None:
    name = name_of_ours(reference)
    if not name:
        return None
    auth = args.get("auth") or PASSTHROUGH
    endpoint = names.endpoint_of(args)
    if reference.scope == names.secret_scope(endpoint, version) and auth != SERVICE_PRINCIPAL:
        expected = f"{SERVICE_PRINCIPAL} as long as version {version} is kept, which signs in as its own principal"
        return Problem("auth", auth, expected, "Change it when that version has left, or lower keep_previous")
    if reference.scope == endpoint and name == version_secret(variable):
        expected = f"version {version} in versions, as {variable} is a secret of its own there, and leaves with it"
        remedy = "Leave the version there with 0 % of the traffic, or lower keep_previous"
        return Problem("keep_previous", args.get("keep_previous"), expected, remedy)
    if reference.scope == endpoint and name == variable and variable not in _declared(args):
        expected = f"{variable} as a secret in environment, as version {version}, which is kept, reads it"
        remedy = (
            "Leave it there until that version has left, name the version in versions with 0 % of the traffic, or "
            "lower keep_previous"
        )
        return Problem("keep_previous", args.get("keep_previous"), expected, remedy)
    return None


def _declared(args: Mapping[str, Any]) -> list[str]:
    """Variables whose secrets all versions share."""
    shared = [key for key, value in (args.get("environment") or {}).items() if value is None]
    return [*shared, CLIENT_SECRET] if args.get("service_principal") else shared
