"""What a resource of a plugin implements, in plain Python values: nothing here knows gRPC, protobuf or Databricks.

Implementations are synchronous and run in threads, many at once: they keep no state of their own.
Values are dicts, lists, str, bool, int, float and None; a value not known yet (preview) is ``UNKNOWN``. Secrets arrive
unwrapped: the servicer remembers which paths were secret and marks the same paths in everything that goes back.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

Values = dict[str, Any]
# ("servedEntities", "qa_3", "environmentVars", "KEY"): names of properties and keys of maps; an int is a list's index.
Path = tuple[str | int, ...]


class _Unknown(enum.Enum):
    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("a value that is not known yet was used as a condition; compare with `is UNKNOWN`")


UNKNOWN: Final = _Unknown.UNKNOWN


class UserError(Exception):
    """A failure whose text tells the user what is wrong and what to do; shown as it is, without a stack trace."""


class Cancelled(Exception):
    """The user interrupted the run while the implementation waited."""


class PartialFailure(Exception):
    """The object exists, but not as wanted: the engine records it with its reasons, and the next run updates it.

    ``properties`` and ``inputs`` are what is really there; ``secrets`` as in Found. Raised by create, read and update.
    """

    def __init__(
        self,
        id: str,
        properties: Values,
        inputs: Values,
        reasons: Sequence[str],
        secrets: Mapping[Path, Any] | None = None,
    ) -> None:
        super().__init__("; ".join(reasons))
        self.id, self.properties, self.inputs, self.reasons = id, properties, inputs, list(reasons)
        self.secrets = secrets or {}


@dataclass(frozen=True)
class Failure:
    """A mistake in one input: where it is (a Path, or its text as the user should read it), and what to do about it."""

    path: Path | str
    reason: str


class Kind(enum.Enum):
    """What happened to one value between the old inputs and the new ones."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Change:
    """One changed value. ``of_inputs`` is False when the path is one of the outputs."""

    kind: Kind
    replaces: bool = False
    of_inputs: bool = True


@dataclass
class Diff:
    """The changed paths; empty means that there is nothing to do."""

    changes: dict[Path, Change] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replaces(self) -> bool:
        return any(change.replaces for change in self.changes.values())


@dataclass(frozen=True)
class Created:
    """What create returns: the id in the workspace, and all properties (inputs as they are, and outputs)."""

    id: str
    properties: Values


@dataclass(frozen=True)
class Found:
    """What read returns when the object exists; ``inputs`` are those that would make the object as it is now.

    ``secrets``: path and value of what the state keeps as a secret although nobody has marked it.
    """

    id: str
    properties: Values
    inputs: Values
    secrets: Mapping[Path, Any] = field(default_factory=dict)


def _nothing(*_: object) -> None:
    pass


@dataclass
class Context:
    """One operation: who is meant, how long it may take, and the way to talk to the user while it runs."""

    urn: str = ""
    name: str = ""
    type: str = ""
    preview: bool = False
    # Whatever the plugin's own `configure` returned: for ours, the connection to the workspace.
    configuration: Any = None
    # Seconds that the user allows (customTimeouts); None: the implementation's default.
    timeout: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    secret_paths: frozenset[Path] = frozenset()
    # log(severity, text, ephemeral): severity is "debug", "info", "warning" or "error".
    log: Callable[[str, str, bool], None] = _nothing

    def status(self, text: str) -> None:
        """Text beside the resource while the operation runs; the next one replaces it."""
        self.log("info", text, True)

    def info(self, text: str) -> None:
        """A line that stays."""
        self.log("info", text, False)

    def warn(self, text: str) -> None:
        """A warning that stays."""
        self.log("warning", text, False)

    def is_secret(self, *path: str | int) -> bool:
        """Whether the new input at ``path``, or something around it, was marked secret by the user."""
        return any(path[:length] in self.secret_paths for length in range(1, len(path) + 1))

    def deadline(self, default: float) -> float:
        """The moment (time.monotonic) at which the operation's time is over; ``default`` in seconds."""
        return time.monotonic() + (self.timeout or default)

    def pause(self, seconds: float) -> None:
        """Waits; raises Cancelled at once when the user interrupts the run."""
        if self.cancelled.wait(max(seconds, 0)):
            raise Cancelled


class Resource:
    """One type of resource. Subclasses write create, read, update and delete; the rest has sensible defaults."""

    # All inputs and all further outputs, in camelCase: the schema is held against them by a test.
    inputs: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[tuple[str, ...]] = ()
    # Top-level properties that are secret whether the user marked them or not.
    secrets: ClassVar[frozenset[str]] = frozenset()
    # Top-level inputs whose change means a new object; "*" for all.
    replaces: ClassVar[frozenset[str]] = frozenset()
    delete_before_replace: ClassVar[bool] = False

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """The inputs completed (names given, defaults), and what is wrong with them. May meet UNKNOWN anywhere.

        ``old_inputs`` is empty for a new object. Names that are chosen here once are kept from ``old_inputs``.
        """
        return inputs, []

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """What changes from the old inputs to the new; ``old`` are all properties in the state. May meet UNKNOWN."""
        changes = {
            path: Change(kind, replaces="*" in self.replaces or path[0] in self.replaces)
            for path, kind in differences(old_inputs, inputs)
        }
        return Diff(changes, self.delete_before_replace)

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """The properties after create (``old`` is None) or update, as far as a preview knows them; makes no call."""
        before: Mapping[str, Any] = {} if old is None else old
        return {**inputs, **{name: before.get(name, UNKNOWN) for name in self.outputs}}

    def create(self, context: Context, inputs: Values) -> Created:
        """Makes the object. All values are known."""
        raise NotImplementedError

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """The object as it is now, or None when it is gone. Empty ``old_inputs`` and ``old``: an import."""
        raise NotImplementedError

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Changes the object in place and returns all its properties.

        Also called with equal inputs, when the last operation ended in a PartialFailure.
        """
        raise NotImplementedError

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes the object; an object that is already gone is no error."""
        raise NotImplementedError


# A function of the plugin: its arguments (never UNKNOWN) to its result. Raises UserError for what the user must mend.
Function = Callable[[Context, Values], Values]


@dataclass(frozen=True)
class Package:
    """A plugin as data: all that the servicer needs to answer the engine."""

    name: str
    version: str
    # By type token: "agent-deploy:index:Secret".
    resources: Mapping[str, Resource]
    functions: Mapping[str, Function] = field(default_factory=dict)
    # The Pulumi schema of resources, functions and configuration, without the components, which are inferred.
    schema: Callable[[], dict[str, Any]] = dict
    # What is said in the schema of arguments of components, besides what their types say; see inferred_schema.py.
    marks: Mapping[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    # The component classes, imported when first asked for; None without any.
    components: Callable[[], list[type]] | None = None
    # The provider's inputs to the object that implementations see as `context.configuration`; called once, no I/O.
    configure: Callable[[Values], Any] = dict
    check_configuration: Callable[[Values], list[Failure]] = lambda _: []
    # Names of the provider's inputs that are secret whether marked or not.
    secret_configuration: frozenset[str] = frozenset()
    # Exceptions besides UserError whose text is meant for the user.
    user_errors: tuple[type[Exception], ...] = ()
    # What to do about a type that the package does not have.
    missing: str = "Is a newer version of the plugin needed?"
    # Where an unexpected error should be reported.
    issues_url: str = ""


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Kind]]:
    """The paths at which two values differ, as deep as both are dicts; lists are compared as a whole.

    None counts as absent. An UNKNOWN new value counts as a change.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), (*path, key))
    elif new is UNKNOWN or old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, Kind.ADD if old is None else Kind.DELETE if new is None else Kind.UPDATE
