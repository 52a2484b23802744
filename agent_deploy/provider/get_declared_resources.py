"""The function getDeclaredResources: what a model version says that it needs, read from its MLmodel file."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.look_ups import patient
from agent_deploy.provider.resource import Context, Values
from agent_deploy.rules.declared_resources import Declared, parse
from agent_deploy.rules.names import check_model_name, split_model_name

FILES = "/api/2.0/fs/files/Models"
_OTHER_WAY = "Or say in the program what the agent needs: resources=, replacing the model's"


def get_declared_resources(context: Context, arguments: Values) -> Values:
    """See the schema; ``problem`` says why they cannot be told, or what is wrong with them; empty when all is well."""
    name, version = arguments.get("modelName"), str(arguments.get("version") or "")
    if problems := check_model_name("modelName", name):
        return _result(Declared(), str(problems[0]))
    if not version.isdecimal():
        return _result(Declared(), f"version {version!r}: expected the number of a model version")
    try:
        return declared_resources(patient(context), str(name), version)
    except ApiError as error:
        return _result(Declared(), unreadable(str(name), version, error))
    except WorkspaceError as error:
        return _result(Declared(), str(error))


def declared_resources(workspace: Workspace, name: str, version: str) -> Values:
    """As the function answers; raises WorkspaceError when the file cannot be read."""
    path = "/".join(segment(part) for part in (*split_model_name(name), version))
    from agent_deploy.rules.mlmodel import MLmodelError, parsed

    try:
        declared = parse(parsed(workspace.text(f"{FILES}/{path}/MLmodel")))
    except MLmodelError as error:
        problem = f"{name} version {version}: its MLmodel file cannot be read: {error}. Log the model again"
        return _result(Declared(), problem)
    where = f"{name} version {version}, MLmodel: "
    return _result(declared, "\n".join(f"{where}{problem}" for problem in declared.problems))


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


def _result(declared: Declared, problem: str) -> Values:
    return {
        "resources": [
            {"kind": resource.kind, "name": resource.name, "onBehalfOfUser": resource.on_behalf_of_user}
            for resource in declared.resources
        ],
        "userScopes": list(declared.user_scopes),
        "unknownKinds": list(declared.unknown_kinds),
        "problem": problem,
    }


NOTHING_DECLARED = _result(Declared(), "")
