"""A deployment as its arguments declare it: frozen objects with every default applied, which all that follows takes.

A value may be `Unknown` (a preview does not know it yet) or, in an environment, `Secret`. What is wrong in the
arguments is told elsewhere, and stands here as if it had been left out, so that the rest can be looked up all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.credentials import AUTHS, CLIENT_SECRET, MANUAL, PASSTHROUGH, SERVICE_PRINCIPAL
from agent_deploy.rules.endpoint_fields import PLAIN_ARGUMENTS
from agent_deploy.rules.environment import EXPERIMENT_VARIABLE
from agent_deploy.rules.feedback_model import beside
from agent_deploy.rules.numbers import whole
from agent_deploy.rules.resource_kinds import Resource
from agent_deploy.rules.review import PRINCIPAL_FIELDS, Access, Reviewing
from agent_deploy.rules.secrets import looks_like_reference
from agent_deploy.rules.tracing import tracing_resources
from agent_deploy.rules.traffic import MAX_SERVED_ENTITIES
from agent_deploy.rules.values import Hidden, Secret, Unknown, is_known, known, made_of

DEFAULT_SIZE, DEFAULT_TYPE = "Small", "CPU"

Text = str | Unknown
# Variables by their names.
Variables = Mapping[str, str | Hidden]
# A variable's place: None for the deployment's own environment, or the index of a version; and its name.
Place = tuple[int | None, str]


@dataclass(frozen=True)
class Named:
    """A value that the program gives, and the field where it does."""

    field: str
    value: Text


@dataclass(frozen=True)
class Version:
    """One version: a ``number``, or an ``alias`` that is still to be resolved; ``field`` for what is told of it.

    ``is_output``: which one it is comes from another resource, so that nothing can be named after it.
    """

    field: str
    index: int
    number: Text | None
    alias: Text | None
    is_output: bool = False
    traffic_percentage: int | Unknown | None = None
    workload_size: Text = DEFAULT_SIZE
    workload_type: Text = DEFAULT_TYPE
    scale_to_zero: bool | Unknown = False
    environment: Variables = attribute(default_factory=dict)

    @property
    def label(self) -> str:
        """What the user called it."""
        return known(self.number) or known(self.alias) or f"version{self.index}"

    @property
    def is_known(self) -> bool:
        """Whether it can be looked up."""
        return isinstance(self.number, str) or isinstance(self.alias, str)


@dataclass(frozen=True)
class Existing:
    """A service principal that somebody else made and keeps."""

    application_id: Text
    client_secret: str | Hidden


@dataclass(frozen=True)
class Identity:
    """Who the agent is, and what it needs besides what its model declares (``replaces``: instead of that)."""

    auth: str = PASSTHROUGH
    resources: tuple[Resource, ...] = ()
    replaces: bool = False
    rotation_days: int | None = None
    secret_lifetime_days: int | None = None
    existing: Existing | None = None

    @property
    def is_made(self) -> bool:
        """Whether the deployment makes a service principal for each version."""
        return self.auth == SERVICE_PRINCIPAL and self.existing is None


@dataclass(frozen=True)
class Tables:
    """The inference tables; without ``enabled`` there are none. Where they are comes from the model, if not given."""

    enabled: bool = True
    catalog: Text | None = None
    schema: Text | None = None
    prefix: Text | None = None
    delete_on_destroy: bool | Unknown | None = None
    # As given, for the component that derives: rules/inference_tables.py reads it.
    derivation: Mapping[str, Any] = attribute(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """One agent. Names are None where they are wrong or missing."""

    model_name: Text | None
    endpoint_name: Text | None
    versions: tuple[Version, ...] = ()
    traffic: Mapping[str, int | Unknown] | Unknown = attribute(default_factory=dict)  # by label
    keep_previous: int = 0
    environment: Variables = attribute(default_factory=dict)
    scale_to_zero: bool | Unknown = False
    instance_profile_arn: Text | None = None
    identity: Identity = attribute(default_factory=Identity)
    experiment: Named | None = None  # where the program names it
    tags: Mapping[str, Text] | Unknown = attribute(default_factory=dict)
    # The endpoint's fields that hold one value, by argument, as far as they were given.
    plain_fields: Mapping[str, Any] = attribute(default_factory=dict)
    permissions: tuple[Access, ...] = ()
    review: Reviewing = attribute(default_factory=Reviewing)
    tables: Tables = attribute(default_factory=Tables)
    feedback: bool = True
    outputs: frozenset[str] = frozenset()  # fields that were Outputs

    @property
    def feedback_model(self) -> Text:
        """Full name of the feedback model that is served as well; empty before the first version: none is to rate."""
        return made_of(beside, self.model_name) if self.feedback and self.versions and self.model_name else ""

    def part_of_model(self, level: int) -> Text | None:
        """Catalog (0), schema (1) or name (2) of the model."""
        return None if self.model_name is None else made_of(lambda name: name.split(".")[level], self.model_name)

    @property
    def tables_catalog(self) -> Text | None:
        """Catalog of the inference tables."""
        return self.tables.catalog or self.part_of_model(0)

    @property
    def tables_schema(self) -> Text | None:
        """Schema of the inference tables."""
        return self.tables.schema or self.part_of_model(1)

    def environments(self) -> Iterator[tuple[int | None, str, Variables]]:
        """Each environment: whose it is (None: all versions'), its field, its variables."""
        yield None, "environment", self.environment
        for version in self.versions:
            yield version.index, f"{version.field}.environment", version.environment

    def secrets(self) -> dict[Place, Secret]:
        """Every secret value, by its place."""
        found = {
            (index, key): value
            for index, _, variables in self.environments()
            for key, value in variables.items()
            if isinstance(value, Secret)
        }
        if (existing := self.identity.existing) and isinstance(existing.client_secret, Secret):
            found[None, CLIENT_SECRET] = existing.client_secret
        return found

    def variables_of(self, version: Version, stored: Mapping[Place, Any]) -> dict[str, Any]:
        """The deployment's variables, overridden by the version's own; ``stored`` is what stands for the secrets."""
        merged: dict[str, Any] = {}
        for index, variables in ((None, self.environment), (version.index, version.environment)):
            merged.update({key: stored.get((index, key), value) for key, value in variables.items()})
        return merged


def declared(args: Mapping[str, Any], outputs: Collection[str] = ()) -> Deployment:
    """The deployment of a tree of arguments (components/parsing.py); ``outputs`` are the fields that were Outputs."""
    # Unity Catalog has one object by all spellings of its name, and tells it in lower case.
    model = made_of(lambda name: name and name.lower(), _name(args.get("model_name"), names.check_model_name))
    given = args.get("endpoint_name")
    endpoint = _name(made_of(names.endpoint_name, model) if given is None and model else given, _check_endpoint)
    versions = tuple(_versions(args, outputs))
    tables = args.get("inference_tables") or {}
    review = args.get("review_app") or {}
    return Deployment(
        model_name=model,
        endpoint_name=endpoint,
        versions=versions,
        traffic=_traffic(args.get("traffic"), versions),
        keep_previous=keep if 0 <= (keep := whole(args.get("keep_previous")) or 0) < MAX_SERVED_ENTITIES else 0,
        environment=args.get("environment") or {},
        scale_to_zero=args.get("scale_to_zero", False),
        instance_profile_arn=args.get("instance_profile_arn"),
        identity=_identity(args),
        experiment=named_experiment(args),
        tags=args.get("tags") or {},
        plain_fields={argument: args[argument] for argument in PLAIN_ARGUMENTS if argument in args},
        permissions=tuple(_accesses("permissions", args.get("permissions") or (), outputs)),
        review=Reviewing(
            enabled=review.get("enabled", True) is not False,
            reviewers=tuple(_accesses("review_app.reviewers", review.get("reviewers") or (), outputs)),
            instructions=review.get("instructions"),
        ),
        tables=Tables(
            enabled=tables.get("enabled") is not False,
            catalog=tables.get("catalog") or None,
            schema=tables.get("schema") or None,
            prefix=tables.get("prefix"),
            delete_on_destroy=tables.get("delete_on_destroy"),
            derivation={name: value for name, value in tables.items() if name in DERIVATION},
        ),
        feedback=args.get("feedback_model") is not False,
        outputs=frozenset(outputs),
    )


# Arguments about what is derived from an endpoint's payload.
DERIVATION = (
    "derive", "schedule", "schedule_timezone", "serverless", "cluster_policy_id", "warehouse_id", "retention_days",
    "readers", "served_entities_table", "source_folder", "run_as",
)  # fmt: skip


def named_experiment(args: Mapping[str, Any]) -> Named | None:
    """Where the program names the MLflow experiment: by an argument or in the environment, as
    databricks.agents.deploy() has it. None as well where it is a secret, which nobody else can read.
    """
    if given := args.get("experiment_id"):
        return Named("experiment_id", given)
    value = (args.get("environment") or {}).get(EXPERIMENT_VARIABLE)
    field = f"environment[{EXPERIMENT_VARIABLE!r}]"
    if isinstance(value, Unknown):
        return Named(field, value)
    named = isinstance(value, str) and value and not looks_like_reference(value)
    return Named(field, str(value)) if named else None


def declared_versions(args: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Field and arguments of each version; `model_version` is the shorthand for one."""
    if (version := args.get("model_version")) is not None:
        return [("model_version", {"version": version})]
    return [(f"versions[{index}]", version) for index, version in enumerate(args.get("versions") or ())]


def _versions(args: Mapping[str, Any], outputs: Collection[str]) -> Iterator[Version]:
    model_is_output = "model_name" in outputs
    for index, (name, given) in enumerate(declared_versions(args)):
        number, alias = given.get("version"), given.get("alias")
        of_version = name if name == "model_version" else f"{name}.version"
        is_output = of_version in outputs or f"{name}.alias" in outputs or (number is None and model_is_output)
        if number is not None and alias is not None:
            number = alias = None
        said = {key: given.get(key, args.get(key)) for key in ("workload_size", "workload_type", "scale_to_zero")}
        yield Version(
            field=name,
            index=index,
            number=number if isinstance(number, Unknown) or _is_number(number) else None,
            alias=alias,
            is_output=is_output,
            traffic_percentage=_share(given.get("traffic_percentage")),
            environment=given.get("environment") or {},
            **{key: value for key, value in said.items() if value is not None},
        )


def _identity(args: Mapping[str, Any]) -> Identity:
    auth, existing = args.get("auth"), args.get("service_principal")
    given = args.get("resources")
    return Identity(
        # Of an agent whose identity is not understood, nothing can be said about what it needs.
        auth=PASSTHROUGH if auth is None else auth if auth in AUTHS else MANUAL,
        resources=(
            *(Resource.of(each) for each in given or () if is_known(each.get("name"))),
            *(each for environment in environments(args) for each in tracing_resources(environment)),
        ),
        # An empty list is the wish for nothing; without any list the model's own count.
        replaces=bool(args.get("replace_resources")) and given is not None,
        rotation_days=whole(args.get("rotation_days")),
        secret_lifetime_days=whole(args.get("secret_lifetime_days")),
        existing=Existing(existing.get("application_id", ""), existing.get("client_secret", "")) if existing else None,
    )


def environments(args: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The variables of the deployment, and those of its versions."""
    versions = args.get("versions") or ()
    return [each.get("environment") or {} for each in (args, *versions) if isinstance(each, Mapping)]


def _accesses(field: str, entries: Sequence[Mapping[str, Any]], outputs: Collection[str]) -> Iterator[Access]:
    """Those entries that name one principal."""
    for index, entry in enumerate(entries):
        given = [name for name in PRINCIPAL_FIELDS if entry.get(name)]
        if len(given) == 1:
            path, principal = f"{field}[{index}].{given[0]}", entry[given[0]]
            principal = principal if isinstance(principal, Unknown) else str(principal)
            yield Access(given[0], principal, entry.get("level"), path, path in outputs)


def _traffic(given: object, versions: Sequence[Version]) -> Mapping[str, int | Unknown] | Unknown:
    if isinstance(given, Unknown):
        return given
    if given is None and len(versions) == 1 and versions[0].traffic_percentage is None:
        return {versions[0].label: 100}
    shares = given if isinstance(given, Mapping) else {each.label: each.traffic_percentage for each in versions}
    return {each.label: _share(shares.get(each.label)) or 0 for each in versions}


def _share(value: object) -> int | Unknown | None:
    return value if isinstance(value, Unknown) else whole(value)


def _name(value: Any, check: Any) -> Text | None:
    return value if isinstance(value, Unknown) or (value is not None and not check("", value)) else None


def _check_endpoint(field: str, name: object) -> list[Any]:
    return names.check_endpoint_name(field, name)


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isdecimal()
