"""The names of AgentDeployment's arguments: a misspelt one is an error, not something silently left out.

A test holds these against the arguments' own declaration.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from agent_deploy.rules.problems import Problem

# Where the names stand → the names. "" is the top; a list's entries are checked one by one.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "": (
        "model_name", "versions", "model_version", "traffic", "keep_previous", "endpoint_name", "scale_to_zero",
        "workload_size", "workload_type", "environment", "auth", "resources", "replace_resources", "rotation_days",
        "secret_lifetime_days", "service_principal", "experiment_id", "instance_profile_arn", "tags", "description",
        "budget_policy_id", "permissions", "inference_tables", "timeouts",
    ),
    "versions": (
        "version", "alias", "traffic_percentage", "workload_size", "workload_type", "scale_to_zero", "environment",
    ),
    "permissions": ("level", "user_name", "group_name", "service_principal_name"),
    "resources": ("kind", "name", "on_behalf_of_user"),
    "service_principal": ("application_id", "client_secret"),
    "inference_tables": ("enabled", "catalog", "schema", "prefix", "delete_on_destroy"),
    "timeouts": ("create", "update", "delete"),
}  # fmt: skip


def check_known(args: Mapping[str, Any]) -> list[Problem]:
    """Names that mean nothing, each with the nearest that does."""
    problems = list(_unknown("", args, KNOWN[""]))
    for place, names in KNOWN.items():
        value = args.get(place) if place else None
        if isinstance(value, Mapping):
            problems += _unknown(f"{place}.", value, names)
        elif isinstance(value, (list, tuple)):
            for index, entry in enumerate(value):
                if isinstance(entry, Mapping):
                    problems += _unknown(f"{place}[{index}].", entry, names)
    return problems


def _unknown(prefix: str, given: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Problem]:
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "There is: " + ", ".join(known)
        yield Problem(f"{prefix}{name}", None, "a name that AgentDeployment knows", remedy)
