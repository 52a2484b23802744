"""The fields of a serving endpoint, one row a field: what it is, how it is changed, its name on the platform's wire.

The schema, the requests, what is read back, the comparison and the documents' table follow from these rows. Paths are
those of our resource's inputs, with ``*`` for a served entity's or a variable's name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.rules.records import snake_case


class Changing(enum.Enum):
    """What it takes to change a field."""

    IN_PLACE = "in place"
    REPLACES = "replaces"
    IGNORED = "ignored"


@dataclass(frozen=True)
class FieldRule:
    """One field.

    ``type`` is string, integer, boolean, strings, or another type of the schema; ``… by name`` is a map of these.
    ``call`` is the last part of the route that changes it: PUT …/config, PATCH …/tags. ``wire`` is its name there; a
    field without one is ours. ``default`` is what leaving it out means; ``always`` says it in each request all the
    same, so that no default of the platform's decides. ``echoed``: whether the platform tells it again.
    """

    path: str
    type: str
    description: str
    changing: Changing
    source: str
    call: str = ""
    wire: str = ""
    default: object = None
    always: bool = False
    echoed: bool = True

    @property
    def argument(self) -> str:
        """What it is called in a program: budgetPolicyId is budget_policy_id."""
        return snake_case(self.path.rpartition(".")[2])


_API = "Databricks, serving endpoints API reference"
_DEPLOY = "observation of databricks-agents 1.13"
CONFIG, TAGS, GATEWAY, NOTIFICATIONS = "config", "tags", "ai-gateway", "notifications"
_TABLE = "aiGateway.inferenceTableConfig"

# The tag by which a stack knows its own endpoint again; not a tag of the user's.
OWNER_TAG = "agent_deploy_stack"


def _config(
    path: str, type_: str, description: str, wire: str = "", default: object = None, always: bool = False
) -> FieldRule:
    source = f"{_API}: PUT …/config"
    return FieldRule(path, type_, description, Changing.IN_PLACE, source, CONFIG, wire, default, always)


def _entity(
    name: str, type_: str, description: str, wire: str, default: object = None, always: bool = False
) -> FieldRule:
    return _config(f"servedEntities.*.{name}", type_, description, wire, default, always)


def _tags(path: str, type_: str, description: str) -> FieldRule:
    return FieldRule(path, type_, description, Changing.IN_PLACE, f"{_API}: PATCH …/tags", TAGS, "tags")


def _gateway(
    path: str, type_: str, description: str, wire: str, source: str = _API, default: object = None
) -> FieldRule:
    # What is off is said to be off, as leaving it out leaves it on.
    return FieldRule(path, type_, description, Changing.IN_PLACE, source, GATEWAY, wire, default, wire == "enabled")


def _notified(name: str, wire: str, when: str) -> FieldRule:
    description = f"E-mail addresses to tell when an update {when}."
    path = f"emailNotifications.{name}"
    # An empty list clears.
    return FieldRule(path, "strings", description, Changing.IN_PLACE, _API, NOTIFICATIONS, wire, [], True)


FIELDS = (
    FieldRule(
        "name",
        "string",
        "Name of the endpoint, which is also its id.",
        Changing.REPLACES,
        "no route renames an endpoint",
        wire="name",
    ),
    FieldRule(
        "routeOptimized",
        "boolean",
        "Optimised route; cannot be changed later.",
        Changing.REPLACES,
        "no route changes it; databricks provider: ForceNew",
        wire="route_optimized",
        default=False,
    ),
    _config("servedEntities", "ServedEntity by name", "Served entity's name to what it serves. None: none yet."),
    _config("servedEntities.*", "ServedEntity", "What it serves."),
    _entity("entityName", "string", "Registered model in Unity Catalog: catalog.schema.model.", "entity_name"),
    _entity("entityVersion", "string", "Number of the model version.", "entity_version"),
    _entity(
        "workloadSize",
        "string",
        "Small (4 requests at once), Medium (16) or Large (64). Default Small.",
        "workload_size",
        "Small",
        True,
    ),
    _entity("workloadType", "string", "CPU, or a kind of GPU. Default CPU.", "workload_type", "CPU"),
    _entity(
        "scaleToZeroEnabled",
        "boolean",
        "Whether the compute stops when idle. Default false.",
        "scale_to_zero_enabled",
        False,
        True,
    ),
    _entity(
        "environmentVars",
        "string by name",
        "Environment variables; secrets as references {{secrets/scope/key}}.",
        "environment_vars",
    ),
    _config("servedEntities.*.environmentVars.*", "string", "A variable."),
    _entity(
        "instanceProfileArn", "string", "AWS instance profile that the model's code assumes.", "instance_profile_arn"
    ),
    _entity(
        "minProvisionedConcurrency",
        "integer",
        "Least number of requests at once, instead of a size.",
        "min_provisioned_concurrency",
    ),
    _entity(
        "maxProvisionedConcurrency",
        "integer",
        "Greatest number of requests at once, instead of a size.",
        "max_provisioned_concurrency",
    ),
    _config("traffic", "integer by name", "Served entity's name to percentage. A single entity has 100."),
    _config("traffic.*", "integer", "Percentage.", default=0),
    _tags("tags", "string by name", "Tags."),
    _tags("tags.*", "string", "A tag."),
    FieldRule(
        "ownerMark",
        "string",
        "By what a stack knows its endpoint again after an interruption; kept as a tag.",
        Changing.IN_PLACE,
        "ours, kept as a tag",
        TAGS,
    ),
    _gateway(
        "aiGateway", "AiGateway", "Inference table and usage tracking.", "ai_gateway", f"{_API}: PUT …/ai-gateway"
    ),
    _gateway(
        _TABLE,
        "InferenceTableConfig",
        "Where requests and responses are kept.",
        "inference_table_config",
        f"{_API}: PUT …/ai-gateway",
    ),
    _gateway(
        f"{_TABLE}.enabled",
        "boolean",
        "Default true.",
        "enabled",
        "explicit false turns it off; left out it stays on (terraform-provider-databricks#5504)",
        True,
    ),
    # The three change only while the table is off: it is turned off with one call and on again with the next.
    _gateway(f"{_TABLE}.catalogName", "string", "Catalog of the table.", "catalog_name"),
    _gateway(f"{_TABLE}.schemaName", "string", "Schema of the table.", "schema_name"),
    _gateway(
        f"{_TABLE}.tableNamePrefix",
        "string",
        "The table is `{prefix}_payload`; must be free when the endpoint is made.",
        "table_name_prefix",
    ),
    FieldRule(
        f"{_TABLE}.tableNamePrefixHint",
        "string",
        "Prefix to take, or to number until it is free; kept from then on.",
        Changing.IGNORED,
        "ours: chooses the prefix once, when the endpoint is created",
    ),
    FieldRule(
        f"{_TABLE}.deleteOnDestroy",
        "boolean",
        "Whether the table goes with the endpoint. Default false: it is kept.",
        Changing.IN_PLACE,
        "ours: whether the table is dropped when the endpoint is deleted; no call until then",
        default=False,
    ),
    _gateway(
        "aiGateway.usageTrackingConfig",
        "UsageTrackingConfig",
        "Whether usage is kept in system tables.",
        "usage_tracking_config",
        f"{_API}: PUT …/ai-gateway",
    ),
    _gateway("aiGateway.usageTrackingConfig.enabled", "boolean", "Default false.", "enabled", default=False),
    FieldRule(
        "description",
        "string",
        "Description.",
        Changing.IN_PLACE,
        f"{_DEPLOY}: PATCH …/description",
        "description",
        "description",
        "",
    ),
    FieldRule(
        "budgetPolicyId",
        "string",
        "Serverless usage policy that pays. The API never tells it: drift is not seen.",
        Changing.IN_PLACE,
        f"{_DEPLOY}: PATCH …/budget-policy; never echoed",
        "budget-policy",
        "budget_policy_id",
        "",
        echoed=False,
    ),
    FieldRule(
        "emailNotifications",
        "EmailNotifications",
        "Who is told of updates.",
        Changing.IN_PLACE,
        f"{_API}: PATCH …/notifications",
        NOTIFICATIONS,
        "email_notifications",
    ),
    _notified("onUpdateSuccess", "on_update_success", "succeeds"),
    _notified("onUpdateFailure", "on_update_failure", "fails"),
)
_BY_PATH = {rule.path: rule for rule in FIELDS}
# Keys below these are names that the user gives.
_KEYED = frozenset(rule.path for rule in FIELDS if rule.type.endswith(" by name"))

INPUTS = tuple(rule.path for rule in FIELDS if "." not in rule.path)


def below(path: str) -> dict[str, FieldRule]:
    """The fields directly below a path; those of the endpoint itself below the empty one."""
    return {
        rule.path.rpartition(".")[2]: rule
        for rule in FIELDS
        if rule.path.rpartition(".")[0] == path and not rule.path.endswith("*")
    }


ENTITY_FIELDS = below("servedEntities.*")
TABLE_FIELDS = {name: rule for name, rule in below(_TABLE).items() if rule.wire and name != "enabled"}
NOTIFICATION_FIELDS = below("emailNotifications")
# Those of the endpoint itself that hold one value and stand in its document by themselves.
PLAIN_FIELDS = {
    name: rule
    for name, rule in below("").items()
    if rule.wire and rule.type in ("string", "boolean", "integer") and name != "name"
}

PLAIN_ARGUMENTS = {rule.argument: rule for rule in PLAIN_FIELDS.values()}


def body_of(path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of the fields directly below a path: those given, and those that are always said."""
    body = {}
    for name, rule in below(path).items():
        value = values.get(name)
        if value is None or value in ("", {}):
            value = rule.default if rule.always else None
        if rule.wire and value is not None:
            body[rule.wire] = value
    return body


def is_field(path: Sequence[str | int]) -> bool:
    """Whether there is such a field."""
    return _pattern(path) in _BY_PATH


def rule_for(path: Sequence[str | int]) -> FieldRule:
    """The row of a path in the inputs; raises KeyError for a field that is not in the table."""
    return _BY_PATH[_pattern(path)]


def _pattern(path: Sequence[str | int]) -> str:
    pattern = ""
    for part in path:
        name = "*" if pattern in _KEYED else str(part)
        pattern = f"{pattern}.{name}" if pattern else name
    return pattern
