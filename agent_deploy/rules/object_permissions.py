"""Access control lists of workspace objects: types, levels, and which level includes which.

Source: Databricks, "Access control lists", and the permissions API's reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CAN_MANAGE, IS_OWNER = "CAN_MANAGE", "IS_OWNER"


@dataclass(frozen=True)
class ObjectType:
    """``path`` is the request's ``/api/2.0/permissions/{path}/{id}``, ``name`` the response's ``object_type``.

    ``includes`` maps each level to all that it gives, itself included: not every pair of levels can be compared.
    """

    path: str
    name: str
    includes: Mapping[str, frozenset[str]]
    title: str
    # Another path of the same lists, which the object's own client of Databricks' SDK takes.
    other_path: str = ""

    @property
    def levels(self) -> tuple[str, ...]:
        """Weakest first."""
        return tuple(self.includes)

    @property
    def has_owner(self) -> bool:
        """Whether the creator is IS_OWNER, exactly one; else he has CAN_MANAGE."""
        return IS_OWNER in self.includes

    @property
    def creator_level(self) -> str:
        """What the creator gets."""
        return IS_OWNER if self.has_owner else CAN_MANAGE

    def allows(self, held: str, wanted: str) -> bool:
        """Whether the level ``held`` includes ``wanted``."""
        return wanted in self.includes.get(held, frozenset())

    def highest(self, levels: Iterable[str]) -> str | None:
        """The level that includes most."""
        return max(levels, key=lambda level: len(self.includes.get(level, ())), default=None)


def _chain(*levels: str) -> dict[str, frozenset[str]]:
    return {level: frozenset(levels[: index + 1]) for index, level in enumerate(levels)}


_READ_TO_MANAGE = _chain("CAN_READ", "CAN_RUN", "CAN_EDIT", CAN_MANAGE)
_USE = _chain("CAN_USE", CAN_MANAGE)
_QUERY = _chain("CAN_QUERY", CAN_MANAGE)
# Seeing a warehouse does not let one use it, and the other way round; monitoring includes both.
_WAREHOUSE = {
    "CAN_VIEW": frozenset({"CAN_VIEW"}),
    "CAN_USE": frozenset({"CAN_USE"}),
    "CAN_MONITOR": frozenset({"CAN_VIEW", "CAN_USE", "CAN_MONITOR"}),
    CAN_MANAGE: frozenset({"CAN_VIEW", "CAN_USE", "CAN_MONITOR", CAN_MANAGE}),
    IS_OWNER: frozenset({"CAN_VIEW", "CAN_USE", "CAN_MONITOR", CAN_MANAGE, IS_OWNER}),
}

OBJECT_TYPES: Mapping[str, ObjectType] = {
    kind.path: kind
    for kind in (
        ObjectType(
            "serving-endpoints", "serving-endpoint", _chain("CAN_VIEW", "CAN_QUERY", CAN_MANAGE), "Serving endpoint"
        ),
        ObjectType("sql/warehouses", "warehouses", _WAREHOUSE, "SQL warehouse", other_path="warehouses"),
        ObjectType("vector-search-endpoints", "vector-search-endpoints", _USE, "Vector search endpoint"),
        ObjectType("genie", "genie-space", _READ_TO_MANAGE, "Genie space"),
        ObjectType("apps", "apps", _USE, "App"),
        ObjectType("experiments", "mlflowExperiment", _chain("CAN_READ", "CAN_EDIT", CAN_MANAGE), "Experiment"),
        ObjectType("jobs", "job", _chain("CAN_VIEW", "CAN_MANAGE_RUN", CAN_MANAGE, IS_OWNER), "Job"),
        ObjectType("pipelines", "pipelines", _chain("CAN_VIEW", "CAN_RUN", CAN_MANAGE, IS_OWNER), "Pipeline"),
        ObjectType("sql/queries", "query", _READ_TO_MANAGE, "Query"),
        ObjectType("alertsv2", "alertv2", _READ_TO_MANAGE, "Alert"),
        ObjectType("dashboards", "dashboard", _READ_TO_MANAGE, "Dashboard"),
        ObjectType("knowledge-assistants", "knowledge-assistants", _QUERY, "Knowledge assistant"),
        ObjectType("supervisor-agents", "supervisor-agents", _QUERY, "Supervisor agent"),
        ObjectType("database-instances", "database-instances", _USE, "Database instance"),
        ObjectType("database-projects", "database-projects", _USE, "Database project"),
        ObjectType("notebooks", "notebook", _READ_TO_MANAGE, "Notebook"),
        ObjectType("files", "file", _READ_TO_MANAGE, "File"),
        ObjectType("directories", "directory", _READ_TO_MANAGE, "Directory"),
        ObjectType("repos", "repo", _READ_TO_MANAGE, "Repo"),
    )
}
