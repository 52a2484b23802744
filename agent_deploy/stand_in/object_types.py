"""The kinds of object that have an access control list: how each is named, and the levels that it knows.

Source: Databricks' permissions API reference, and the vendor's provider on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

FILE_LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
SQL_LEVELS = FILE_LEVELS
AGENT_LEVELS = ("CAN_QUERY", "CAN_MANAGE")
USE_LEVELS = ("CAN_USE", "CAN_MANAGE")
OWNER = "IS_OWNER"


@dataclass(frozen=True)
class ObjectType:
    """``field`` is the input that names the object; ``name`` and ``path`` are the API's two words for the kind."""

    field: str
    name: str
    path: str
    levels: tuple[str, ...]
    # The field gives a path in the workspace's tree, whose id is looked up first.
    by_path: bool = False
    # Whether whoever sends a list is put on it as its manager, lest he loses the object.
    adds_caller: bool = True

    @property
    def has_owner(self) -> bool:
        return OWNER in self.levels

    @property
    def management_levels(self) -> tuple[str, ...]:
        """The levels that let somebody change the list; the caller may give himself no other."""
        return tuple(level for level in self.levels if level in ("CAN_MANAGE", OWNER))


OBJECT_TYPES = (
    ObjectType("servingEndpointId", "serving-endpoint", "serving-endpoints", ("CAN_VIEW", "CAN_QUERY", "CAN_MANAGE")),
    ObjectType(
        "sqlEndpointId", "warehouses", "sql/warehouses", ("CAN_USE", "CAN_MONITOR", "CAN_VIEW", "CAN_MANAGE", OWNER)
    ),
    ObjectType("vectorSearchEndpointId", "vector-search-endpoints", "vector-search-endpoints", USE_LEVELS),
    ObjectType("appName", "apps", "apps", USE_LEVELS),
    ObjectType(
        "experimentId", "mlflowExperiment", "experiments", ("CAN_READ", "CAN_EDIT", "CAN_MANAGE"), adds_caller=False
    ),
    ObjectType("jobId", "job", "jobs", ("CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", OWNER), adds_caller=False),
    ObjectType("pipelineId", "pipelines", "pipelines", ("CAN_VIEW", "CAN_RUN", "CAN_MANAGE", OWNER), adds_caller=False),
    ObjectType("sqlQueryId", "query", "sql/queries", SQL_LEVELS),
    ObjectType("alertV2Id", "alertv2", "alertsv2", SQL_LEVELS),
    ObjectType("dashboardId", "dashboard", "dashboards", SQL_LEVELS, adds_caller=False),
    ObjectType("knowledgeAssistantId", "knowledge-assistants", "knowledge-assistants", AGENT_LEVELS),
    ObjectType("supervisorAgentId", "supervisor-agents", "supervisor-agents", AGENT_LEVELS),
    ObjectType("databaseInstanceName", "database-instances", "database-instances", USE_LEVELS),
    ObjectType("databaseProjectName", "database-projects", "database-projects", USE_LEVELS),
    ObjectType("notebookId", "notebook", "notebooks", FILE_LEVELS, adds_caller=False),
    ObjectType("notebookPath", "notebook", "notebooks", FILE_LEVELS, by_path=True, adds_caller=False),
    ObjectType("workspaceFileId", "file", "files", FILE_LEVELS, adds_caller=False),
    ObjectType("workspaceFilePath", "file", "files", FILE_LEVELS, by_path=True, adds_caller=False),
    ObjectType("directoryId", "directory", "directories", FILE_LEVELS, adds_caller=False),
    ObjectType("directoryPath", "directory", "directories", FILE_LEVELS, by_path=True, adds_caller=False),
    ObjectType("repoId", "repo", "repos", FILE_LEVELS, adds_caller=False),
    ObjectType("repoPath", "repo", "repos", FILE_LEVELS, by_path=True, adds_caller=False),
)
BY_FIELD = {kind.field: kind for kind in OBJECT_TYPES}
