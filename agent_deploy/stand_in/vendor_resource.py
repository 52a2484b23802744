"""What the vendor's resources have in common: inputs and given names, replacement, and the steps of an operation."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, is_missing
from agent_deploy.provider.plugin.resource import (
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
from agent_deploy.stand_in.refusals import missing

# Path of an input, or of a field in it → what is filled in there.
Defaults = Mapping[tuple[str, ...], Any]
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
    # What is filled in where the program says nothing: it is sent, and stands in the state. A field inside an input is
    # filled in where the program gives that input.
    defaults: ClassVar[Defaults] = {}
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
        """Whether an error of reading says that the object does not exist; of deleting, only its class counts."""
        return is_missing(error)

    def create(self, context: Context, inputs: Values) -> Created:
        with self._refused("create"):
            made = self.make(context, inputs)
        properties = {**declared(inputs), **made.properties}
        try:
            return Created(made.id, {**properties, **self.complete(context, made.id, inputs)})
        except (WorkspaceError, UserError, Cancelled) as error:
            reason = f"{made.id} was created, but: cannot read {self._title}: {error or 'interrupted'}"
            raise PartialFailure(made.id, properties, inputs, [reason]) from error

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        with self._refused("read"):
            try:
                found = self.find(context, id, old_inputs, old)
            except ApiError as error:
                if self.is_gone(error):
                    return None
                raise
        return found and Found(found.id, {**declared(found.inputs), **found.properties}, found.inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        with self._refused("update"):
            self.change(context, id, old, inputs)
        kept = {name: old[name] for name in self.outputs if name in old}
        with self._refused("read"):
            return {**kept, **declared(inputs), **self.complete(context, id, inputs)}

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        with self._refused("delete"):
            try:
                self.remove(context, id, old_inputs, old)
            except ApiError as error:
                if not is_missing(error):
                    raise

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        given = {name: value for name, value in inputs.items() if value is not None and name != DEFAULTS}
        failures = [Failure((name,), _unsupported(context.type)) for name in given if name not in self.inputs]
        failures += [missing(context, name) for name in sorted(self.required - given.keys())]
        if not failures:
            failures = self.check_inputs(context, given)
        completed = self._with_defaults(given)
        if self.autonamed and "name" not in given:
            kept = old_inputs.get("name") if "name" in old_inputs.get(DEFAULTS, ()) else None
            completed["name"] = kept or f"{context.name}-{_suffix()}"
        return {**completed, DEFAULTS: sorted(completed.keys() - given.keys())}, failures

    def check_inputs(self, context: Context, inputs: Values) -> list[Failure]:
        """What is wrong with inputs that are all known by name; may meet UNKNOWN, and may complete the inputs."""
        return []

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        # What a plugin chose for itself and this one does not: the vendor's made the state.
        chosen = set(old_inputs.get(DEFAULTS, ())) - inputs.keys()
        known = {name: value for name, value in old_inputs.items() if name not in chosen}
        found = super().diff(context, id, self.comparable(known), old, self.comparable(inputs))
        # As the vendor's plugin: wherever the program gave the name, the old object goes first, under another name too.
        given = self.autonamed and "name" not in inputs.get(DEFAULTS, ())
        found.delete_before_replace = found.replaces and given
        return found

    def comparable(self, inputs: Mapping[str, Any]) -> Values:
        """The inputs without the differences that mean nothing."""
        completed = without_notes(self._with_defaults(inputs))
        return {name: self._comparable(name, value) for name, value in completed.items()}

    def _with_defaults(self, inputs: Mapping[str, Any]) -> Values:
        completed = dict(inputs)
        for (name, *inner), value in self.defaults.items():
            if not inner:
                completed.setdefault(name, value)
            elif isinstance(completed.get(name), dict) and completed[name].get(inner[0]) is None:
                completed[name] = {**completed[name], inner[0]: value}
        return completed

    @property
    def _title(self) -> str:
        return re.sub(r"(?<=[a-z])[A-Z]", lambda letter: f" {letter[0]}", type(self).__name__).lower()

    @contextmanager
    def _refused(self, operation: str) -> Iterator[None]:
        """Failures say of which operation on what, in the words of the vendor's plugin."""
        try:
            yield
        except (ApiError, UserError) as error:
            raise UserError(f"cannot {operation} {self._title}: {error}") from error

    def _comparable(self, name: str, value: Any) -> Any:
        if name in self.caseless and isinstance(value, str):
            return value.lower()
        if name in self.sets and isinstance(value, list) and not any(item is UNKNOWN for item in value):
            return sorted(value, key=_rank)
        return value

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        return {**super().preview(context, old, {}), **declared(inputs)}

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


def without_notes(value: Any) -> Any:
    """The same without what plugins note in each object of a state's inputs; the vendor's does it at every depth."""
    if isinstance(value, Mapping):
        return {name: without_notes(item) for name, item in value.items() if name != DEFAULTS}
    return [without_notes(item) for item in value] if isinstance(value, list) else value


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
