"""What of a deployment can be looked up in a workspace, however wrong the rest of it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agent_deploy.rules import inference_tables
from agent_deploy.rules.credentials import MANUAL, SERVICE_PRINCIPAL, looks_like_credential
from agent_deploy.rules.declaration import Deployment
from agent_deploy.rules.environment import references
from agent_deploy.rules.resources import check_resources
from agent_deploy.rules.review import Access
from agent_deploy.rules.secrets import parse_reference
from agent_deploy.rules.values import is_known, known

TABLES = "inference_tables."


def look_ups(deployment: Deployment, owner_marks: Sequence[str]) -> dict[str, Any]:
    """One deployment in the arguments of the provider's function verifyDeployments.

    What is not known yet is left out, and so are principals whose names are Outputs: this very program may make them.
    """
    model, endpoint = known(deployment.model_name), known(deployment.endpoint_name)
    versions = [version for version in deployment.versions if version.is_known] if model else []
    identity = deployment.identity
    given = identity.resources if versions and identity.auth != MANUAL else ()
    return {
        "model_name": model,
        "versions": [
            {"field": each.field, "version": known(each.number), "alias": known(each.alias)} for each in versions
        ],
        "auth": identity.auth,
        "resources": [
            {"kind": each.kind, "name": each.name, "on_behalf_of_user": each.on_behalf_of_user}
            for each in given
            if not check_resources("resources", [each])
        ],
        "replace_resources": identity.replaces,
        "keep_previous": deployment.keep_previous,
        "owner_marks": list(owner_marks),
        "references": [{"field": field, "value": value} for field, value in _references(deployment)],
        "principals": [{"field": field, "value": value} for field, value in _principals(deployment)],
        "experiment": _experiment(deployment),
        "feedback_model": known(deployment.feedback_model) if versions else "",
        "tables": _tables(deployment),
        "pipeline": _pipeline(deployment),
        "source_folder": inference_tables.named_folder(TABLES, deployment.tables.derivation),
        # Of the first version, where the program names none: only the look-up tells which that is.
        "shares_experiment": _shares_experiment(deployment),
        "requirements": _requirements(deployment, model if versions else None, endpoint),
    }


def _experiment(deployment: Deployment) -> dict[str, str] | None:
    named = deployment.experiment
    return {"field": named.field, "value": str(named.value)} if named and is_known(named.value) else None


def _requirements(deployment: Deployment, model: str | None, endpoint: str | None) -> dict[str, Any]:
    """What the deployer must be allowed to do, in the words of DeploymentRequirements."""
    own_principals = deployment.identity.auth == SERVICE_PRINCIPAL
    named = _experiment(deployment)
    return {
        "model_name": model,
        "endpoint_name": endpoint,
        "inference_schema": inference_schema(deployment),
        "secret_scopes": [endpoint] if endpoint and deployment.secrets() else [],
        "experiment_id": named["value"] if named and _shares_experiment(deployment) else None,
        "readers": inference_tables.reader_names(deployment.tables.derivation),
        "run_as": _runner(deployment),
        "create_service_principal": deployment.identity.is_made,
        "grant": own_principals,
        "skip_open": own_principals,
        "sql_warehouse": known(deployment.tables.derivation.get("warehouse_id")),
    }


def _shares_experiment(deployment: Deployment) -> bool:
    """Whether the deployer lets others write into it: reviewers their assessments, a service principal its traces."""
    return bool(deployment.review.reviewers) or deployment.identity.auth == SERVICE_PRINCIPAL


def inference_schema(deployment: Deployment) -> str | None:
    """catalog.schema of the inference tables; None without tables, or where it is not known."""
    catalog, schema = known(deployment.tables_catalog), known(deployment.tables_schema)
    return f"{catalog}.{schema}" if catalog and schema and deployment.tables.enabled else None


def _tables(deployment: Deployment) -> list[dict[str, str]]:
    return inference_tables.named_tables(TABLES, deployment.tables.derivation) if inference_schema(deployment) else []


def _pipeline(deployment: Deployment) -> dict[str, Any] | None:
    schema = inference_schema(deployment)
    return inference_tables.wanted_pipeline(TABLES, deployment.tables.derivation, schema) if schema else None


def _runner(deployment: Deployment) -> str | None:
    """As whom the derivation runs; None as well where this program makes it, and so gives it what it needs."""
    return None if f"{TABLES}run_as" in deployment.late else inference_tables.runner(deployment.tables.derivation)


def exposed_credentials(deployment: Deployment) -> list[str]:
    """The variables that seem to hold a credential in plain text."""
    return [
        f"{field}[{key!r}]"
        for _, field, variables in deployment.environments()
        for key, value in variables.items()
        if looks_like_credential(key, value)
    ]


def _principals(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Every principal that the arguments name plainly, by the field where they do: ``permissions[0].group_name``."""
    accesses: tuple[Access, ...] = (*deployment.permissions, *deployment.review.reviewers)
    yield from ((each.path, str(each.principal)) for each in accesses if not each.is_late)
    derivation = deployment.tables.derivation
    for field, name in (
        *inference_tables.named_readers(TABLES, derivation),
        *inference_tables.named_runner(TABLES, derivation),
    ):
        if field not in deployment.late:
            yield field, str(name)
    field, existing = "service_principal.application_id", deployment.identity.existing
    if existing and existing.application_id and field not in deployment.late:
        yield field, str(existing.application_id)


def _references(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for _, field, variables in deployment.environments():
        for key, reference in references(variables).items():
            yield f"{field}[{key!r}]", str(reference)
    secret = deployment.identity.existing.client_secret if deployment.identity.existing else ""
    if isinstance(secret, str) and parse_reference(secret):
        yield "service_principal.client_secret", secret
