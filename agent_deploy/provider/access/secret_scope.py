"""The resource SecretScope: one that a run which was cut short has made is gone on with.

The vendor's resource of this name is refused then, for good: a scope of its name exists.
"""

from __future__ import annotations

from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError, ConnectionLost
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.access.secret import SCOPE_NAME, keys_of
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.rules.problems import Problem

SCOPES = "/api/2.0/secrets/scopes"
_ACLS = "/api/2.0/secrets/acls/list"


class SecretScope(Resource):
    """Id: the scope's name. Another name is another scope, made before the old one goes."""

    inputs: ClassVar[tuple[str, ...]] = ("name",)
    replaces: ClassVar[frozenset[str]] = frozenset({"name"})

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Only the form."""
        name = inputs.get("name")
        if name is UNKNOWN or (isinstance(name, str) and SCOPE_NAME.fullmatch(name)):
            return inputs, []
        problem = Problem("name", name, "1 to 128 letters, digits, '_', '-', '.', '@' or '/'")
        return inputs, [Failure("", str(problem))]

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """Of the name alone: what the vendor's resource has besides is no change."""
        return super().diff(context, id, {name: old_inputs.get(name) for name in self.inputs}, old, inputs)

    def create(self, context: Context, inputs: Values) -> Created:
        """Makes one, or goes on with the one that a run which was cut short has made."""
        workspace, name = workspace_of(context), str(inputs["name"])
        try:
            workspace.post(f"{SCOPES}/create", {"scope": name, "scope_backend_type": "DATABRICKS"})
        except ApiError as error:
            if not error.already_exists:
                raise
            if not _is_left_over(workspace, name):
                raise UserError(_taken(name)) from error
            context.info(f"Went on with the secret scope {name}, which an interrupted run made: it was empty.")
        except ConnectionLost:
            if not _is_left_over(workspace, name):
                raise
        return Created(name, inputs)

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """Whether it is there."""
        scopes = workspace_of(context).get(f"{SCOPES}/list").get("scopes") or []
        if all(scope.get("name") != id for scope in scopes):
            return None
        return Found(id, {**old, "name": id}, {**old_inputs, "name": id})

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Another name is another scope."""
        raise UserError("A secret scope is never changed in place.")

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes it with what is in it."""
        try:
            workspace_of(context).post(f"{SCOPES}/delete", {"scope": id}, repeatable=True)
        except ApiError as error:
            if not error.is_missing:
                raise


def _is_left_over(workspace: Workspace, name: str) -> bool:
    """Whether it is empty, and nobody else's: a scope has nothing to mark it with, and secrets come after it is noted.

    An empty one that whoever deploys has made by hand is taken as well: nothing is lost with it.
    """
    try:
        if keys_of(workspace, name) != set():
            return False
        entries: list[dict[str, Any]] = workspace.get(_ACLS, {"scope": name}).get("items") or []
    except ApiError as error:
        if error.is_missing or error.status == 403:
            return False  # not to be told: then it is not ours to take
        raise
    me = workspace.user_name()
    return [str(entry.get("principal")).lower() for entry in entries] == [me.lower()]


def _taken(name: str) -> str:
    return (
        f"A secret scope {name!r} exists already, and no interrupted run of yours has left it: it has secrets, or "
        f"others may use it. If nobody needs it, delete it (`databricks secrets delete-scope {name}`), or choose "
        "another name: secret_scope of an AgentServicePrincipal, endpoint_name of an AgentDeployment, whose scopes are "
        "called after its endpoint"
    )
