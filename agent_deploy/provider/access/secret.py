"""The resource Secret: a value in a secret scope, under a key of its own, so that its successor can exist beside it."""

from __future__ import annotations

import re
import secrets
from typing import ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Failure,
    Found,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.secrets import SUFFIX_LENGTH, SecretReference

# Source: Databricks, "Secret management": 128 of these characters; the suffix and its hyphen need eight.
_NAME = re.compile(r"[\w.@-]{1,120}")
SCOPE_NAME = re.compile(r"[\w.@/-]{1,128}")


class Secret(Resource):
    """Id: ``scope/key``. Every change makes a new key first; the old one goes when nothing refers to it any more."""

    inputs: ClassVar[tuple[str, ...]] = ("scope", "name", "value")
    outputs: ClassVar[tuple[str, ...]] = ("key", "reference")
    secrets: ClassVar[frozenset[str]] = frozenset({"value"})
    replaces: ClassVar[frozenset[str]] = frozenset({"*"})

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Only the form; whether the scope exists shows at creation, as the same run may make it."""
        problems = []
        scope, name, value = (inputs.get(field) for field in self.inputs)
        if scope is not UNKNOWN and not (isinstance(scope, str) and SCOPE_NAME.fullmatch(scope)):
            problems.append(Problem("scope", scope, "1 to 128 letters, digits, '_', '-', '.', '@' or '/'"))
        if name is not UNKNOWN and not (isinstance(name, str) and _NAME.fullmatch(name)):
            problems.append(Problem("name", name, "1 to 120 letters, digits, '_', '-', '.' or '@'"))
        if value is not UNKNOWN and not isinstance(value, str):
            problems.append(Problem("value", None, "a string"))
        return inputs, [Failure("", str(problem)) for problem in problems]

    def create(self, context: Context, inputs: Values) -> Created:
        """Puts the value under a new key."""
        scope, key = inputs["scope"], f"{inputs['name']}-{secrets.token_hex(4)[:SUFFIX_LENGTH]}"
        body = {"scope": scope, "key": key, "string_value": inputs["value"]}
        # Repeatable: the same value under the same key.
        workspace_of(context).post("/api/2.0/secrets/put", body, repeatable=True)
        return Created(f"{scope}/{key}", {**inputs, "key": key, "reference": str(SecretReference(scope, key))})

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """Only whether the key is there: no API tells that a value was changed."""
        if not old_inputs:
            raise UserError(f"The secret {id} cannot be imported, as its value cannot be read: declare it anew.")
        scope, _, key = id.rpartition("/")
        keys = keys_of(workspace_of(context), scope)
        if keys is None or key not in keys:
            return None
        return Found(id, {**old_inputs, "key": key, "reference": str(SecretReference(scope, key))}, old_inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Every change is a replacement."""
        raise UserError("A secret is never changed in place.")

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes the key, if it and its scope are still there."""
        scope, _, key = id.rpartition("/")
        try:
            workspace_of(context).post("/api/2.0/secrets/delete", {"scope": scope, "key": key}, repeatable=True)
        except ApiError as error:
            if not error.is_missing:
                raise


def keys_of(workspace: Workspace, scope: str) -> set[str] | None:
    """The keys in a scope; None when there is no such scope."""
    answer = workspace.find("/api/2.0/secrets/list", {"scope": scope})
    return None if answer is None else {str(secret["key"]) for secret in answer.get("secrets") or []}
