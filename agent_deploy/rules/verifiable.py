"""What of a deployment's arguments can be looked up in a workspace, however wrong the rest of them is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.credentials import AUTHS, MANUAL, PASSTHROUGH, SERVICE_PRINCIPAL, looks_like_credential
from agent_deploy.rules.declared_resources import from_program
from agent_deploy.rules.deployment import feedback_model, named_versions
from agent_deploy.rules.environment import references
from agent_deploy.rules.experiment import named_experiment
from agent_deploy.rules.inference_tables import named_tables, reader_names, wanted_pipeline
from agent_deploy.rules.previous_versions import check_keep_previous
from agent_deploy.rules.resources import check_resources
from agent_deploy.rules.review import principals, reviewers_of
from agent_deploy.rules.secrets import parse_reference

TABLES = "inference_tables."
# A variable's place: None for the deployment's own environment, or the index of a version; and its name.
Place = tuple[int | None, str]


def look_ups(args: Mapping[str, Any], owner_marks: Sequence[str], made_here: Collection[str] = ()) -> dict[str, Any]:
    """One deployment in the arguments of the provider's function verifyDeployments; values that are None were secret.

    Principals at the places ``made_here`` may be made by this very program, and so are not looked for.
    """
    model, endpoint = _model(args), _endpoint(args)
    versions = named_versions(args) if model else []
    auth = args.get("auth") or PASSTHROUGH
    given = from_program("resources", args.get("resources") or [])[0] if versions and auth != MANUAL else []
    keep = args.get("keep_previous")
    return {
        "model_name": model,
        "versions": [{"field": each.field, "version": each.version, "alias": each.alias} for each in versions],
        # Of an agent whose identity is not understood, nothing can be said about what it needs.
        "auth": auth if auth in AUTHS else MANUAL,
        "resources": [
            {"kind": each.kind, "name": each.name, "on_behalf_of_user": each.on_behalf_of_user}
            for each in given
            if not check_resources("resources", [each])
        ],
        # An empty list is the wish for nothing; without any list the model's own count.
        "replace_resources": bool(args.get("replace_resources")) and args.get("resources") is not None,
        "keep_previous": 0 if check_keep_previous(keep) else int(keep or 0),
        "owner_marks": list(owner_marks),
        "references": [{"field": field, "value": value} for field, value in _references(args)],
        "principals": [
            {"field": field, "value": str(value)} for field, value in principals(args).items() if field not in made_here
        ],
        "experiment": named_experiment(args),
        "feedback_model": feedback_model(args) if versions else "",
        "tables": named_tables(TABLES, args.get("inference_tables") or {}) if _inference_schema(args) else [],
        "pipeline": _pipeline(args),
        # Of the first version, where the program names none: only the look-up tells which that is.
        "shares_experiment": _shares_experiment(args),
        "requirements": _requirements(args, model if versions else None, endpoint),
    }


def _model(args: Mapping[str, Any]) -> str | None:
    name = args.get("model_name")
    return None if names.check_model_name("model_name", name) else str(name)


def _endpoint(args: Mapping[str, Any]) -> str | None:
    model = _model(args)
    name = args.get("endpoint_name") or (names.endpoint_name(model) if model else None)
    return None if names.check_endpoint_name("endpoint_name", name) else str(name)


def _requirements(args: Mapping[str, Any], model: str | None, endpoint: str | None) -> dict[str, Any]:
    """What the deployer must be allowed to do, in the words of DeploymentRequirements."""
    own_principals = args.get("auth") == SERVICE_PRINCIPAL
    named = named_experiment(args)
    return {
        "model_name": model,
        "endpoint_name": endpoint,
        "inference_schema": _inference_schema(args),
        "secret_scopes": [endpoint] if endpoint and _stores_secrets(args) else [],
        "experiment_id": named["value"] if named and _shares_experiment(args) else None,
        "readers": reader_names(args.get("inference_tables") or {}),
        "create_service_principal": own_principals and not args.get("service_principal"),
        "grant": own_principals,
        "skip_open": own_principals,
        "sql_warehouse": (args.get("inference_tables") or {}).get("warehouse_id"),
    }


def _shares_experiment(args: Mapping[str, Any]) -> bool:
    """Whether the deployer lets others write into it: reviewers their assessments, a service principal its traces."""
    return bool(reviewers_of(args)) or args.get("auth") == SERVICE_PRINCIPAL


def _inference_schema(args: Mapping[str, Any]) -> str | None:
    tables = args.get("inference_tables") or {}
    model = _model(args)
    of_model = names.split_model_name(model) if model else ("", "", "")
    catalog, schema = tables.get("catalog") or of_model[0], tables.get("schema") or of_model[1]
    return f"{catalog}.{schema}" if catalog and schema and tables.get("enabled") is not False else None


def _pipeline(args: Mapping[str, Any]) -> dict[str, Any] | None:
    schema = _inference_schema(args)
    return wanted_pipeline(TABLES, args.get("inference_tables") or {}, schema) if schema else None


def exposed_credentials(args: Mapping[str, Any]) -> list[str]:
    """The variables that seem to hold a credential in plain text."""
    return [
        f"{place}[{key!r}]"
        for place, variables in _environments(args)
        for key, value in variables.items()
        if looks_like_credential(key, value)
    ]


def _environments(args: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "environment", args.get("environment") or {}
    for index, version in enumerate(args.get("versions") or ()):
        yield f"versions[{index}].environment", version.get("environment") or {}


def _stores_secrets(args: Mapping[str, Any]) -> bool:
    existing = args.get("service_principal") or {}
    return any(None in variables.values() for _, variables in (*_environments(args), ("", existing)))


def _references(args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for place, variables in _environments(args):
        for key, reference in references(variables).items():
            yield f"{place}[{key!r}]", str(reference)
    secret = (args.get("service_principal") or {}).get("client_secret")
    if isinstance(secret, str) and parse_reference(secret):
        yield "service_principal.client_secret", secret
