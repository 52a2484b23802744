"""What the vendor's resources have in common: inputs and given names, replacement, and the steps of an operation."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, is_missing
from agent_deploy.provider.resource import (
    UNKNOWN,
    Cancelled,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    PartialFailure,
    Resource,
    UserError,
    Values,
)

# Where the vendor's plugin notes which inputs it chose itself.
DEFAULTS = "__defaults"
# As the vendor's plugin names resources: "<resource>-<7 hex digits>".
SUFFIX_BYTES = 4
SUFFIX_LENGTH = 7
ME = "/api/2.0/preview/scim/v2/Me"


class VendorResource(Resource):
    """Checks and diffs as the vendor's plugin does; subclasses make the calls: make, complete, find, change, remove."""

    required: ClassVar[frozenset[str]] = frozenset()
    # Whether `name` is chosen when the program gives none.
    autonamed: ClassVar[bool] = False
    # Inputs that are lists, but compared without regard to order.
    sets: ClassVar[frozenset[str]] = frozenset()
    # Inputs that are compared without regard to case.
    caseless: ClassVar[frozenset[str]] = frozenset()

    def make(self, context: Context, inputs: Values) -> Created:
        """Makes the object; from here on it must be in the state, whatever follows."""
        raise NotImplementedError

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        """Waits for, and reads back, what was written: the properties besides the inputs."""
        return {}

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """The object as it is now; None, or an error that says so, when it is gone."""
        raise NotImplementedError

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        """Changes the object in place. Types that are always replaced come here only to be completed."""

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes the object; may fail with an error that says that it is gone."""
        raise NotImplementedError

    def is_gone(self, error: ApiError) -> bool:
        """Whether the error says that the object does not exist."""
        return is_missing(error)

    def create(self, context: Context, inputs: Values) -> Created:
        made = self.make(context, inputs)
        properties = {**declared(inputs), **made.properties}
        try:
            return Created(made.id, {**properties, **self.complete(context, made.id, inputs)})
        except (WorkspaceError, UserError, Cancelled) as error:
            reason = f"{made.id} was created, but cannot be read: {error or 'interrupted'}"
            raise PartialFailure(made.id, properties, inputs, [reason]) from error

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        try:
            found = self.find(context, id, old_inputs, old)
        except ApiError as error:
            if self.is_gone(error):
                return None
            raise
        return found and Found(found.id, {**declared(found.inputs), **found.properties}, found.inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        self.change(context, id, old, inputs)
        kept = {name: old[name] for name in self.outputs if name in old}
        return {**kept, **declared(inputs), **self.complete(context, id, inputs)}

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        try:
            self.remove(context, id, old_inputs, old)
        except ApiError as error:
            if not self.is_gone(error):
                raise

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        given = {name: value for name, value in inputs.items() if value is not None and name != DEFAULTS}
        failures = [Failure((name,), _unsupported(context.type)) for name in given if name not in self.inputs]
        failures += [Failure((name,), "is required") for name in sorted(self.required - given.keys())]
        if not failures:
            failures = self.check_inputs(given)
        if self.autonamed and "name" not in given:
            kept = old_inputs.get("name") if "name" in old_inputs.get(DEFAULTS, ()) else None
            given |= {"name": kept or f"{context.name}-{_suffix()}", DEFAULTS: ["name"]}
        return given, failures

    def check_inputs(self, inputs: Values) -> list[Failure]:
        """What is wrong with inputs that are all known by name; may meet UNKNOWN, and may complete the inputs."""
        return []

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        found = super().diff(context, id, self.comparable(old_inputs), old, self.comparable(inputs))
        # Two objects cannot have one name: where the program gave it, the old object goes first.
        kept = self.autonamed and inputs.get("name") is not UNKNOWN and inputs.get("name") == old_inputs.get("name")
        found.delete_before_replace = bool(found.replaces and kept and DEFAULTS not in inputs)
        return found

    def comparable(self, inputs: Mapping[str, Any]) -> Values:
        """The inputs without the differences that mean nothing."""
        return {name: self._comparable(name, value) for name, value in inputs.items() if name != DEFAULTS}

    def _comparable(self, name: str, value: Any) -> Any:
        if name in self.caseless and isinstance(value, str):
            return value.lower()
        if name in self.sets and isinstance(value, list) and not any(item is UNKNOWN for item in value):
            return sorted(value, key=_rank)
        return value

    def foresee(self, context: Context, old: Values | None, inputs: Values) -> Values:
        return {**super().foresee(context, old, {}), **declared(inputs)}

    def seen(self, inputs: Mapping[str, Any], actual: Mapping[str, Any]) -> Values:
        """The inputs with what is ``actual``, spelled as declared where the difference means nothing."""
        both = {**inputs, **{name: value for name, value in actual.items() if value is not None}}
        return {
            name: inputs[name] if name in inputs and self._same(name, inputs[name], value) else value
            for name, value in both.items()
        }

    def _same(self, name: str, one: Any, other: Any) -> bool:
        return bool(self._comparable(name, one) == self._comparable(name, other))


def workspace_of(context: Context) -> Workspace:
    """The connection, for one operation."""
    workspace: Workspace = context.configuration
    return workspace.during(context.cancelled)


def current_user(workspace: Workspace) -> str:
    """Who calls: a user's e-mail address, or a service principal's application id."""
    answer = workspace.get(ME, {"excludedAttributes": "entitlements"})
    return str(answer.get("userName", ""))


def declared(inputs: Mapping[str, Any]) -> Values:
    """The inputs without the plugin's own notes."""
    return {name: value for name, value in inputs.items() if name != DEFAULTS}


def present(values: Mapping[str, Any]) -> Values:
    """Without what is false, zero or empty: the vendor's plugin leaves it out of what it sends."""
    return {name: value for name, value in values.items() if value}


def _rank(item: Any) -> str:
    """One place in a sorted list for equal items, whatever the order of their fields."""
    return json.dumps(item, sort_keys=True, default=str)


def _suffix() -> str:
    return secrets.token_hex(SUFFIX_BYTES)[:SUFFIX_LENGTH]


def _unsupported(type_token: str) -> str:
    return (
        f"is not something that the stand-in databricks plugin does for {type_token}. "
        "Use the vendor's plugin (AGENT_DEPLOY_DATABRICKS_PLUGIN=vendor), or leave it out"
    )
