"""Environment variables of a served entity: what deploy() adds, and what it and the platform reject."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent_deploy.rules.credentials import looks_like_credential
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.secrets import SecretReference, looks_like_reference, parse_reference
from agent_deploy.rules.tracing import check_tracing
from agent_deploy.rules.values import Secret, is_known

# Set by deploy() last, so that a user's other value is an error. Source: databricks-agents 0.12 to 1.13.
AGENT_ENVIRONMENT = {
    "ENABLE_LANGCHAIN_STREAMING": "true",
    "ENABLE_MLFLOW_TRACING": "true",
    "RETURN_REQUEST_ID_IN_RESPONSE": "true",
}
_WHY_FIXED = "Agents need it to trace and to answer with request ids; leave it out"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_ID"
EXPERIMENT_TAG = "MONITOR_EXPERIMENT_ID"

# Linux starts no process with a longer one (MAX_ARG_STRLEN, with the NUL at its end).
MAX_VARIABLE_BYTES = 128 * 1024 - 1
_KEY = re.compile(r"[A-Z_][A-Z0-9_]*")


def check_environment(field: str, environment: Mapping[str, object]) -> list[Problem]:
    """Problems of keys and plain values, and secrets for what a deployment sets itself: nobody would read them."""
    problems: list[Problem] = []
    for key, value in environment.items():
        where = f"{field}[{key!r}]"
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            expected = "upper-case letters, digits and '_', no digit first"
            problems.append(Problem(f"{field} key", key, expected, "Rename the variable"))
        if isinstance(value, Secret) and (fixed := AGENT_ENVIRONMENT.get(key)) is not None:
            problems.append(Problem(where, None, f"{fixed!r}, and no secret", _WHY_FIXED))
        if not is_known(value):
            continue
        if not isinstance(value, str):
            is_plain = isinstance(value, (bool, int, float)) and not looks_like_credential(str(key), str(value))
            shown, remedy = (value, f"Write {str(value)!r}") if is_plain else (None, "")
            problems.append(Problem(where, shown, "a string", remedy))
        elif (size := len(f"{key}={value}".encode(errors="replace"))) > MAX_VARIABLE_BYTES:
            expected = f"at most {MAX_VARIABLE_BYTES:,} bytes with its name, and not {size:,}"
            problems.append(Problem(where, None, expected, "Log it with the model, or keep it in a table or a volume"))
        elif looks_like_reference(value) and parse_reference(value) is None:
            # The value is not shown: a half-written reference may hold the secret itself.
            expected = "a secret reference of the form {{secrets/scope/key}}, and nothing else in the value"
            problems.append(
                Problem(where, None, expected, "Correct the braces, the word 'secrets', the scope or the key")
            )
        elif (fixed := AGENT_ENVIRONMENT.get(key)) is not None and value != fixed:
            problems.append(Problem(where, value, repr(fixed), _WHY_FIXED))
    return [*problems, *check_tracing(field, environment)]


def agent_environment(user: Mapping[str, Any], experiment_id: Any) -> dict[str, Any]:
    """The user's variables with those that deploy() injects; the user's experiment wins."""
    experiment = {EXPERIMENT_VARIABLE: experiment_id} if experiment_id else {}
    return {**experiment, **user, **AGENT_ENVIRONMENT}


def references(environment: Mapping[str, object]) -> dict[str, SecretReference]:
    """The variables that are secret references, parsed."""
    parsed = {key: parse_reference(value) for key, value in environment.items() if isinstance(value, str)}
    return {key: reference for key, reference in parsed.items() if reference is not None}
