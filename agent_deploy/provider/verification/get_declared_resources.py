"""What a model version says that it needs, read from its MLmodel file."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.rules.declared_resources import Declared, parse
from agent_deploy.rules.names import split_model_name

FILES = "/api/2.0/fs/files/Models"
_OTHER_WAY = "Or say in the program what the agent needs: resources=, replacing the model's"


def declared_resources(workspace: Workspace, name: str, version: str) -> tuple[Declared, list[str]]:
    """What it declares, and what is wrong with that; raises WorkspaceError when the file cannot be read."""
    path = "/".join(segment(part) for part in (*split_model_name(name), version))
    from agent_deploy.rules.mlmodel import MLmodelError, parsed

    try:
        declared = parse(parsed(workspace.text(f"{FILES}/{path}/MLmodel")))
    except MLmodelError as error:
        return Declared(), [f"{name} version {version}: its MLmodel file cannot be read: {error}. Log the model again"]
    return declared, [f"{name} version {version}, MLmodel: {problem}" for problem in declared.problems]


def unreadable(name: str, version: str, error: ApiError) -> str:
    """Why it is not known what a version needs, and what to do."""
    if error.is_missing:
        return (
            f"{name} version {version} has no MLmodel file (or there is no such version), so that what it needs is not "
            f"known: log it with MLflow. {_OTHER_WAY}"
        )
    if error.status == 403:
        grant = f"GRANT EXECUTE ON FUNCTION {name} TO …, with USE CATALOG and USE SCHEMA"
        return f"{name} version {version}: its MLmodel file may not be read ({error.message}). Needed: {grant}"
    return f"{name} version {version}: its MLmodel file cannot be read: {error}. {_OTHER_WAY}"
