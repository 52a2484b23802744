"""What of a program can be looked up in a workspace before anything is created, however wrong the rest of it is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from functools import partial
from typing import Any

from agent_deploy.rules import inference_tables
from agent_deploy.rules.credentials import MANUAL, SERVICE_PRINCIPAL, looks_like_credential
from agent_deploy.rules.declaration import Deployment
from agent_deploy.rules.environment import references
from agent_deploy.rules.feedback_model import full_name
from agent_deploy.rules.records import described
from agent_deploy.rules.requirements import Requirements
from agent_deploy.rules.resource_kinds import Resource, check_resources
from agent_deploy.rules.review import Access
from agent_deploy.rules.secrets import parse_reference
from agent_deploy.rules.values import Unknown, is_known, known

TABLES = "inference_tables."
# Arguments whose entries are written environment['KEY'] in every message.
KEYED = ("environment", "tags", "traffic")


@dataclass(frozen=True)
class WantedVersion:
    """A version that is to be served, by its number or an alias."""

    field: str = described("Where the user named it: versions[1].")
    version: str | None = described("Number of the version; or give an alias.", None)
    alias: str | None = described("Alias; or give a version.", None)


@dataclass(frozen=True)
class NamedValue:
    """Something that a program names."""

    field: str = described("Where the user wrote it: environment['KEY'].")
    value: str = described("What the user wrote.")


@dataclass(frozen=True)
class WantedPipeline:
    """A pipeline that the workspace is asked about."""

    field: str = described("What the program calls it, for what is told about it.")
    catalog: str = described("Catalog of its tables.")
    schema: str = described("Schema of its tables.")
    policy_id: str | None = described("Cluster policy; without one the pipeline is serverless.", None)
    run_as: str | None = described("User or service principal as whom it is to run. Default: who asks.", None)
    run_as_field: str = described("What the program calls that.", "")


@dataclass(frozen=True)
class WantedDeployment:
    """What is to be verified: of an agent, of tables, of an identity, of a feedback model."""

    model_name: str | None = described("catalog.schema.model.", None)
    versions: tuple[WantedVersion, ...] = described("The versions to be served.", ())
    shares_experiment: bool = described("Whether others are let into the experiment.", False)
    keep_previous: int = described("How many versions that are served now stay besides. Default 0.", 0)
    owner_marks: tuple[str, ...] = described("Marks of the endpoint's owner, that of now before former ones.", ())
    auth: str = described("PASSTHROUGH, SERVICE_PRINCIPAL, or MANUAL, where nothing is granted nor checked.", "")
    resources: tuple[Resource, ...] = described("What is needed besides what the models declare.", ())
    replace_resources: bool = described("Whether resources counts instead of what the models declare.", False)
    references: tuple[NamedValue, ...] = described("References {{secrets/scope/key}}.", ())
    principals: tuple[NamedValue, ...] = described("E-mail addresses, names of groups, application ids.", ())
    experiment: NamedValue | None = described("Id of the MLflow experiment that traces go to.", None)
    feedback_model: str | None = described("Feedback model to be served as well, and registered if need be.", None)
    tables: tuple[NamedValue, ...] = described("Full names of tables that are read.", ())
    pipeline: WantedPipeline | None = described("A pipeline that is to be made.", None)
    source_folder: NamedValue | None = described("Folder for what it runs, where only its owner may write.", None)
    service_principal_id: str | None = described("Service principal that is to have another OAuth secret.", None)
    principal: str | None = described("Whom to check instead of the caller.", None)
    requirements: Requirements = described("What the deployment itself takes.", Requirements())


@dataclass(frozen=True)
class OpenPrivilege:
    """What all users of the account have on a securable."""

    securable_type: str = described("catalog, schema, table, function, …")
    name: str = described("Full name.")
    privilege: str = described("What all users of the account have there.")


@dataclass(frozen=True)
class VersionNeeds:
    """What one version needs, what the program adds or replaces included."""

    version: str = described("Number of the version.")
    resources: tuple[Resource, ...] = described("What it needs.")
    user_scopes: tuple[str, ...] = described("API scopes that its users would have to consent to; never granted.")


_answered = partial(described, always=True)


@dataclass(frozen=True)
class VerifiedDeployment:
    """What a deployment takes; without ``problems`` it may be made. The mocks of a unit test may answer with less."""

    numbers: tuple[str, ...] = _answered("Number of each wanted version; empty where it was not found.", ())
    experiment_id: str = _answered("MLflow experiment in which the first version was logged, or empty.", "")
    workspace_url: str = _answered("Address of the workspace, if a version was found there.", "")
    # In ServingEndpoint's words on the wire.
    kept: Mapping[str, Mapping[str, Any]] = attribute(
        default_factory=dict, metadata={"description": "Served entities that stay, by name.", "map_of": "ServedEntity"}
    )
    needs: tuple[VersionNeeds, ...] = _answered("What each version needs, those that stay included.", ())
    open_to_all: tuple[OpenPrivilege, ...] = _answered("What need not be granted, as everybody has it.", ())
    unverified: tuple[str, ...] = _answered("What could not be told either way, one line each.", ())
    problems: tuple[str, ...] = _answered("All that keeps the deployment from being made, one line for each cause.", ())


def look_ups(deployment: Deployment, owner_marks: Sequence[str]) -> WantedDeployment:
    """What is to be verified of an agent.

    What is not known yet is left out.
    """
    model, endpoint = known(deployment.model_name), known(deployment.endpoint_name)
    versions = [version for version in deployment.versions if version.is_known] if model else []
    identity = deployment.identity
    schema = inference_schema(deployment)
    of_tables = tables_look_ups(TABLES, deployment.tables.derivation, deployment.outputs, schema)
    named = deployment.experiment
    experiment = NamedValue(named.field, str(named.value)) if named and is_known(named.value) else None
    known_experiment = named is None or experiment is not None
    # Others write into it: reviewers their assessments, a service principal its traces.
    own_principals = identity.auth == SERVICE_PRINCIPAL
    shares = bool(deployment.review.reviewers) or own_principals
    return replace(
        of_tables,
        model_name=model,
        versions=tuple(WantedVersion(each.field, known(each.number), known(each.alias)) for each in versions),
        # Not that of the first version instead of one that is not known.
        shares_experiment=shares and known_experiment,
        keep_previous=deployment.keep_previous,
        owner_marks=tuple(owner_marks),
        auth=identity.auth,
        resources=_well_formed(identity.resources if versions and identity.auth != MANUAL else ()),
        replace_resources=identity.replaces,
        references=tuple(_references(deployment)),
        principals=(*_principals(deployment), *of_tables.principals),
        tables=of_tables.tables if schema else (),
        experiment=experiment,
        feedback_model=known(deployment.feedback_model) if versions else "",
        requirements=replace(
            of_tables.requirements,
            model_name=model if versions else None,
            endpoint_name=endpoint,
            secret_scopes=(endpoint,) if endpoint and deployment.secrets() else (),
            # Of the first version, where the program names none: only the look-up tells which that is.
            experiment_id=experiment.value if experiment and shares else None,
            create_service_principal=identity.is_made,
            grant=own_principals,
        ),
    )


# What may be missing while the program runs that makes it. Versions have rules of their own.
_MAKEABLE = re.compile(
    r"(inference_tables\.)?(catalog|schema|served_entities_table|source_folder|warehouse_id)|experiment_id"
    r"|resources\[\d+\]\.name|(versions\[\d+\]\.)?environment\[.*"
    r"|(permissions|review_app\.reviewers)\[\d+\]\.\w+_name|(inference_tables\.)?(readers\[\d+\]|run_as)"
    r"|(service_principal|existing)\.application_id"
)


def made_fields(made: Collection[str]) -> list[str]:
    """Those of the fields whose objects a preview does not look for."""
    return sorted(field for field in made if _MAKEABLE.fullmatch(field))


def without_made(tree: Mapping[str, Any], made: Collection[str]) -> dict[str, Any]:
    """The arguments as they can be looked up: what the program is about to make at these fields is not known."""
    fields = made_fields(made)
    hidden: dict[str, Any] = _hidden(tree, "", fields) if fields else dict(tree)
    return hidden


def _hidden(value: Any, path: str, fields: Collection[str]) -> Any:
    if path in fields:
        return Unknown()
    if isinstance(value, Mapping):
        keyed = path.rpartition(".")[2] in KEYED
        return {
            name: _hidden(inner, f"{path}[{name!r}]" if keyed else f"{path}.{name}" if path else name, fields)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_hidden(inner, f"{path}[{index}]", fields) for index, inner in enumerate(value)]
    return value


def tables_look_ups(
    prefix: str, args: Mapping[str, Any], outputs: Collection[str], schema: str | None, payload_table: str | None = None
) -> WantedDeployment:
    """What is to be verified of inference tables in a schema, if that is known; ``prefix`` is before their fields."""
    runs_later = f"{prefix}run_as" in outputs
    principals = (*inference_tables.named_readers(prefix, args), *inference_tables.named_runner(prefix, args))
    pipeline = inference_tables.wanted_pipeline(prefix, args, schema) if schema else None
    folder = inference_tables.named_folder(prefix, args)
    return WantedDeployment(
        auth=MANUAL,
        principals=tuple(NamedValue(field, str(name)) for field, name in principals),
        tables=tuple(NamedValue(**each) for each in inference_tables.named_tables(prefix, args)),
        pipeline=WantedPipeline(**pipeline) if pipeline else None,
        source_folder=NamedValue(**folder) if folder else None,
        requirements=Requirements(
            inference_schema=schema,
            readers=tuple(inference_tables.reader_names(args)),
            # As well None where this program makes it, and so gives it what it needs.
            run_as=None if runs_later else inference_tables.runner(args),
            payload_table=payload_table,
            sql_warehouse=known(args.get("warehouse_id")),
            run_as_warehouse=known(args.get("warehouse_id"))
            if args.get("run_as") and args.get("retention_days")
            else None,
        ),
    )


def identity_look_ups(args: Mapping[str, Any], resources: Sequence[Resource]) -> WantedDeployment:
    """What is to be verified of a service principal of its own."""
    scope = args.get("secret_scope", args.get("display_name"))
    existing, experiment = args.get("existing"), known(args.get("experiment_id"))
    application_id = known(existing.get("application_id")) if existing else None
    return WantedDeployment(
        auth=SERVICE_PRINCIPAL,
        resources=_well_formed(resources),
        principals=(NamedValue("existing.application_id", application_id),) if application_id else (),
        requirements=Requirements(
            grant=True,
            experiment_id=experiment or None,
            secret_scopes=(str(scope),) if scope and is_known(scope) and not existing else (),
            create_service_principal=not existing,
        ),
    )


def feedback_look_ups(catalog: str, schema: str) -> WantedDeployment:
    """What is to be verified of a feedback model of its own."""
    return WantedDeployment(auth=MANUAL, feedback_model=full_name(catalog, schema))


def _well_formed(resources: Sequence[Resource]) -> tuple[Resource, ...]:
    return tuple(each for each in resources if is_known(each.name) and not check_resources("resources", [each]))


def inference_schema(deployment: Deployment) -> str | None:
    """catalog.schema of the inference tables; None without tables, or where it is not known."""
    catalog, schema = known(deployment.tables_catalog), known(deployment.tables_schema)
    return f"{catalog}.{schema}" if catalog and schema and deployment.tables.enabled else None


def exposed_credentials(deployment: Deployment) -> list[str]:
    """The variables that seem to hold a credential in plain text."""
    return [
        f"{field}[{key!r}]"
        for _, field, variables in deployment.environments()
        for key, value in variables.items()
        if looks_like_credential(key, value)
    ]


def _principals(deployment: Deployment) -> Iterator[NamedValue]:
    """Every principal that is known, by the field that names it: ``permissions[0].group_name``."""
    accesses: tuple[Access, ...] = (*deployment.permissions, *deployment.review.reviewers)
    yield from (NamedValue(each.path, str(each.principal)) for each in accesses if is_known(each.principal))
    existing = deployment.identity.existing
    if existing and existing.application_id and is_known(existing.application_id):
        yield NamedValue("service_principal.application_id", str(existing.application_id))


def _references(deployment: Deployment) -> Iterator[NamedValue]:
    for _, field, variables in deployment.environments():
        for key, reference in references(variables).items():
            yield NamedValue(f"{field}[{key!r}]", str(reference))
    secret = deployment.identity.existing.client_secret if deployment.identity.existing else ""
    if isinstance(secret, str) and parse_reference(secret):
        yield NamedValue("service_principal.client_secret", secret)
