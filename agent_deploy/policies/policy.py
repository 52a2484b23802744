"""What a policy is: one form for all, with an id that stays; what it judges, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Final

from agent_deploy.rules.values import is_known

Values = Mapping[str, Any]
ADVISORY, MANDATORY, DISABLED, REMEDIATE = "advisory", "mandatory", "disabled", "remediate"
SEVERITIES: Final = (ADVISORY, MANDATORY, DISABLED)
STACKS: Final = "stacks"


@dataclass(frozen=True)
class Resource:
    """One resource of a stack as plain data.

    In ``properties``, what is secret or not known yet is a `Hidden` of rules/values.py (`reading.resource` makes it
    one). ``parent`` is a URN; ``before`` has the properties that the stack's state holds, None where the resource is
    new or whoever asks cannot know.
    """

    type: str
    name: str
    properties: Values
    urn: str = ""
    parent: str = ""
    before: Values | None = None

    @property
    def stack(self) -> str:
        """The stack's name, which its URN has: ``urn:pulumi:prod::project::type::name``; empty without one."""
        return self.urn.removeprefix("urn:pulumi:").partition("::")[0]

    def mapping(self, name: str) -> Values:
        """A property that is a map; empty where it is left out or not to be looked at."""
        value = self.properties.get(name)
        return value if isinstance(value, Mapping) else {}

    def hides(self, name: str) -> bool:
        """Whether the property cannot be looked at."""
        return not is_known(self.properties.get(name))


@dataclass(frozen=True)
class Setting:
    """What a team may set of a policy; ``schema`` is JSON Schema, with the default."""

    name: str
    description: str
    schema: Values

    @property
    def default(self) -> Any:
        """What it is when nobody sets it."""
        return self.schema["default"]


def names(name: str, description: str, default: Sequence[str] = ()) -> Setting:
    """A setting that is a list of names."""
    return Setting(name, description, {"type": "array", "items": {"type": "string"}, "default": list(default)})


def everywhere(*patterns: str) -> Setting:
    """In which stacks a policy holds: each policy has this setting."""
    described = "In which stacks the policy holds, as patterns of their names."
    return names(STACKS, described, patterns or ("*",))


# From one resource and the policy's settings to what is wrong with it, in words that a reader of the preview knows.
JudgeOne = Callable[[Resource, Values], Iterator[str]]
# The same for all resources of a stack: with the resource that each is about.
JudgeAll = Callable[[Sequence[Resource], Values], Iterator[tuple[Resource, str]]]
# From a resource's properties to those that are put in place of some of them; empty where there is nothing to mend.
Mend = Callable[[Resource, Values, date], dict[str, Any]]


@dataclass(frozen=True)
class Policy:
    """One rule. ``types`` are the type tokens that ``one`` judges; ``all`` judges a whole stack instead.

    ``mends`` is the property that ``mend`` puts something in place of, or adds to.
    ``looks_back``: it compares with what the state has, and finds nothing where that is not told.
    """

    id: str
    title: str
    why: str
    source: str
    severity: str
    remedy: str
    types: frozenset[str] = frozenset()
    one: JudgeOne | None = None
    all: JudgeAll | None = None
    mend: Mend | None = None
    mends: str = ""
    looks_back: bool = False
    settings: tuple[Setting, ...] = field(default_factory=lambda: (everywhere(),))

    @property
    def defaults(self) -> dict[str, Any]:
        """All settings as they are when nobody sets them."""
        return {setting.name: setting.default for setting in self.settings}


@dataclass(frozen=True)
class Finding:
    """What a policy has against a resource; ``severity`` as it is set, advisory or mandatory."""

    policy: Policy
    severity: str
    resource: Resource
    text: str

    def __str__(self) -> str:
        return f"{self.resource.name}: {self.text}. {self.policy.remedy} [{self.policy.id}]"


def holds_in(settings: Values, stack: str) -> bool:
    """Whether a policy with these settings is judged in a stack."""
    return any(fnmatchcase(stack, pattern) for pattern in settings[STACKS])
