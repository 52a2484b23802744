"""Tables of Unity Catalog, by their full names."""

from __future__ import annotations

from agent_deploy.client.workspace import Workspace, segment

TABLES = "/api/2.1/unity-catalog/tables"


def same_name(name: object, other: object) -> bool:
    """Whether Unity Catalog takes both for one name: it knows no upper case."""
    return name == other or (isinstance(name, str) and isinstance(other, str) and name.lower() == other.lower())


def table_exists(workspace: Workspace, table: str) -> bool:
    """Whether Unity Catalog has a table of that full name."""
    answer = workspace.find(f"{TABLES}/{segment(table)}/exists")  # nothing: no such catalog or schema (yet)
    return bool(answer and answer.get("table_exists"))


def drop_table(workspace: Workspace, table: str) -> None:
    """Remove a table by its full name, unless it is gone already."""
    workspace.remove(f"{TABLES}/{segment(table)}")
