"""How each field of a serving endpoint can be changed, and what the platform makes of one that is left out.

One row a field; paths are those of our resource's inputs, with ``*`` for a served entity's or a variable's name.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Changing(enum.Enum):
    """What it takes to change a field."""

    IN_PLACE = "in place"
    REPLACES = "replaces"
    IGNORED = "ignored"


@dataclass(frozen=True)
class FieldRule:
    """One field: how it changes, its name on the platform's wire, what leaving it out means, and who says so."""

    path: str
    changing: Changing
    source: str
    wire: str = ""
    default: object = None


_API = "Databricks, serving endpoints API reference"
_CONFIG = f"{_API}: PUT …/config"
_DEPLOY = "observation of databricks-agents 1.13"

# The tag by which a stack knows its own endpoint again; not a tag of the user's.
OWNER_TAG = "agent_deploy_stack"

FIELDS = (
    FieldRule("name", Changing.REPLACES, "no route renames an endpoint"),
    FieldRule("routeOptimized", Changing.REPLACES, "no route changes it; databricks provider: ForceNew", default=False),
    FieldRule("servedEntities", Changing.IN_PLACE, _CONFIG),
    FieldRule("servedEntities.*", Changing.IN_PLACE, _CONFIG),
    FieldRule("servedEntities.*.entityName", Changing.IN_PLACE, _CONFIG, "entity_name"),
    FieldRule("servedEntities.*.entityVersion", Changing.IN_PLACE, _CONFIG, "entity_version"),
    FieldRule("servedEntities.*.workloadSize", Changing.IN_PLACE, _CONFIG, "workload_size", "Small"),
    FieldRule("servedEntities.*.workloadType", Changing.IN_PLACE, _CONFIG, "workload_type", "CPU"),
    FieldRule("servedEntities.*.scaleToZeroEnabled", Changing.IN_PLACE, _CONFIG, "scale_to_zero_enabled", False),
    FieldRule("servedEntities.*.environmentVars", Changing.IN_PLACE, _CONFIG, "environment_vars"),
    FieldRule("servedEntities.*.environmentVars.*", Changing.IN_PLACE, _CONFIG),
    FieldRule("servedEntities.*.instanceProfileArn", Changing.IN_PLACE, _CONFIG, "instance_profile_arn"),
    FieldRule("servedEntities.*.minProvisionedConcurrency", Changing.IN_PLACE, _CONFIG, "min_provisioned_concurrency"),
    FieldRule("servedEntities.*.maxProvisionedConcurrency", Changing.IN_PLACE, _CONFIG, "max_provisioned_concurrency"),
    FieldRule("traffic", Changing.IN_PLACE, _CONFIG),
    FieldRule("traffic.*", Changing.IN_PLACE, _CONFIG, default=0),
    FieldRule("tags", Changing.IN_PLACE, f"{_API}: PATCH …/tags"),
    FieldRule("tags.*", Changing.IN_PLACE, f"{_API}: PATCH …/tags"),
    FieldRule("ownerMark", Changing.IN_PLACE, "ours, kept as a tag"),
    FieldRule("aiGateway", Changing.IN_PLACE, f"{_API}: PUT …/ai-gateway"),
    FieldRule("aiGateway.inferenceTableConfig", Changing.IN_PLACE, f"{_API}: PUT …/ai-gateway"),
    FieldRule(
        "aiGateway.inferenceTableConfig.enabled",
        Changing.IN_PLACE,
        "explicit false turns it off; left out it stays on (terraform-provider-databricks#5504)",
        "enabled",
        True,
    ),
    # The three change only while the table is off: it is turned off with one call and on again with the next.
    FieldRule("aiGateway.inferenceTableConfig.catalogName", Changing.IN_PLACE, _API, "catalog_name"),
    FieldRule("aiGateway.inferenceTableConfig.schemaName", Changing.IN_PLACE, _API, "schema_name"),
    FieldRule("aiGateway.inferenceTableConfig.tableNamePrefix", Changing.IN_PLACE, _API, "table_name_prefix"),
    FieldRule(
        "aiGateway.inferenceTableConfig.tableNamePrefixHint",
        Changing.IGNORED,
        "ours: chooses the prefix once, when the endpoint is created",
    ),
    FieldRule(
        "aiGateway.inferenceTableConfig.deleteOnDestroy",
        Changing.IN_PLACE,
        "ours: whether the table is dropped when the endpoint is deleted; no call until then",
        default=False,
    ),
    FieldRule("aiGateway.usageTrackingConfig", Changing.IN_PLACE, f"{_API}: PUT …/ai-gateway"),
    FieldRule("aiGateway.usageTrackingConfig.enabled", Changing.IN_PLACE, _API, "enabled", False),
    FieldRule("description", Changing.IN_PLACE, f"{_DEPLOY}: PATCH …/description", default=""),
    FieldRule("budgetPolicyId", Changing.IN_PLACE, f"{_DEPLOY}: PATCH …/budget-policy; never echoed", default=""),
    FieldRule("emailNotifications", Changing.IN_PLACE, f"{_API}: PATCH …/notifications"),
    FieldRule("emailNotifications.onUpdateSuccess", Changing.IN_PLACE, _API, "on_update_success"),
    FieldRule("emailNotifications.onUpdateFailure", Changing.IN_PLACE, _API, "on_update_failure"),
)
_BY_PATH = {rule.path: rule for rule in FIELDS}
# Keys below these are names that the user gives.
_KEYED = frozenset({"servedEntities", "servedEntities.*.environmentVars", "traffic", "tags"})

INPUTS = tuple(rule.path for rule in FIELDS if "." not in rule.path)
# A served entity's fields: ours → the platform's.
ENTITY_FIELDS = {
    rule.path.rsplit(".", 1)[1]: rule
    for rule in FIELDS
    if rule.path.startswith("servedEntities.*.") and rule.wire
}  # fmt: skip


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
