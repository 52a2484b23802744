"""The environment of a served entity's process: its own variables with secrets resolved, and what the platform adds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving.token_file import CREDENTIALS_VARIABLE
from agent_deploy.rules.secrets import SecretReference, parse_reference

# Of the server's own environment nothing is passed on but these, which say where programs and certificates lie.
_PASSED_ON = ("TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")


class UnresolvedSecrets(Exception):
    """References of the entity that cannot be resolved; the text names each with the reason, never a value."""


def resolve(entity: Document, secret: Callable[[SecretReference], str]) -> tuple[dict[str, str], list[str]]:
    """The entity's variables with secrets in place of references, and those secrets; raises UnresolvedSecrets."""
    resolved, secrets, problems = {}, [], []
    for name, value in entity.get("environment_vars", {}).items():
        reference = parse_reference(value)
        if reference is not None:
            try:
                value = secret(reference)
            except ApiError as error:
                problems.append(f"{name} = {reference}: {error.message}")
                continue
            secrets.append(value)
        resolved[name] = value
    if problems:
        raise UnresolvedSecrets("Failed to resolve secrets of the environment variables. " + " ".join(problems))
    return resolved, secrets


def inherited() -> dict[str, str]:
    """What of the server's own environment is passed on."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def complete(variables: dict[str, str], host: str, home: Path, credentials: Path, python: str) -> dict[str, str]:
    """The whole environment; the entity's variables win, but for the credentials."""
    folders = (str(Path(python).parent), "/usr/local/bin", "/usr/bin", "/bin")
    platform = {
        "PATH": os.pathsep.join(folders),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # A version's files stay as they were registered: its code is not compiled beside them.
        "PYTHONDONTWRITEBYTECODE": "1",
        # Read by MLflow and databricks-sdk to know that, and for whom, they serve.
        "IS_IN_DB_MODEL_SERVING_ENV": "true",
        "IS_IN_DATABRICKS_MODEL_SERVING_ENV": "true",
        "DATABRICKS_MODEL_SERVING_HOST_URL": host,
        "DB_MODEL_SERVING_HOST_URL": host,
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc",
        "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return {**inherited(), **platform, **variables, CREDENTIALS_VARIABLE: str(credentials)}
