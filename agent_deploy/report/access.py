"""Who may do what, before and after: grants, permissions, secret scopes, what a passthrough identity reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.report.owners import DEPLOYMENT, is_of_identity
from agent_deploy.report.preview import Step, is_unknown
from agent_deploy.report.structure import UNKNOWN, Access
from agent_deploy.rules.credentials import PASSTHROUGH
from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.review import ENDPOINTS, PRINCIPAL_KINDS

# The vendor's arguments that name an object of Unity Catalog, and those that name a workspace object.
_SECURABLES = {
    "catalog": "catalog",
    "schema": "schema",
    "table": "table",
    "volume": "volume",
    "function": "function",
    "model": "model",
    "modelService": "model service",
    "mcpService": "MCP service",
    "foreignConnection": "connection",
}
_OBJECTS = {
    "servingEndpointId": ENDPOINTS,
    "sqlEndpointId": "sql/warehouses",
    "vectorSearchEndpointId": "vector-search-endpoints",
    "appName": "apps",
    "experimentId": "experiments",
    "jobId": "jobs",
    "pipelineId": "pipelines",
    "workspaceFileId": "files",
    "workspaceFilePath": "files",
    "directoryPath": "directories",
}
SOMEBODY = f"somebody {UNKNOWN}"
_INCLUDES = {kind.path: kind.includes for kind in OBJECT_TYPES.values()}


@dataclass(frozen=True)
class Held:
    """A privilege that is held; ``type`` is the permissions API's path of a workspace object, else empty."""

    access: Access
    of_agent: bool
    type: str = ""
    by_platform: bool = False  # as automatic passthrough gives it to a version

    @property
    def gives(self) -> set[tuple[str, str, str]]:
        """All that it lets its principal do there: a level includes lower ones.

        What one version reached and the next one does is nothing new.
        """
        who, level, what = self.access.principal, self.access.privilege, self.access.object
        who = "" if self.by_platform else who
        return {(who, each, what) for each in _INCLUDES.get(self.type, {}).get(level, {level})}


@dataclass(frozen=True)
class Differences:
    """What is newly held, and what no longer."""

    gained: tuple[Held, ...]
    lost: tuple[Held, ...]


def differences(steps: Sequence[Step], endpoint: str) -> Differences:
    """Of one agent's steps; ``endpoint`` is the name of its endpoint, for what is permitted on that."""
    before, after = (_held(steps, which, endpoint) for which in ("before", "after"))
    if not reach_is_told(steps):
        before = [held for held in before if not held.by_platform]
    return Differences(_beyond(after, before), _beyond(before, after))


def reach_is_told(steps: Sequence[Step]) -> bool:
    """Whether the preview says what passthrough gives to the versions: the engine's JSON leaves such outputs out."""
    deployments = [step for step in steps if step.type == DEPLOYMENT]
    told = (not step.new or "identities" in step.outputs("after") for step in deployments)
    return bool(deployments) and all(told)


def _beyond(some: Iterable[Held], others: Iterable[Held]) -> tuple[Held, ...]:
    given = {one for held in others for one in held.gives}
    found = {held for held in some if not held.gives <= given}
    return tuple(sorted(found, key=lambda held: (held.access, held.of_agent)))


def _held(steps: Sequence[Step], which: str, endpoint: str) -> list[Held]:
    names = {step.state.get("parent"): _principal_name(step) for step in steps if step.kind == "ServicePrincipal"}

    def principal(step: Step, given: object) -> str:
        if is_unknown(given) or given is None:
            return names.get(step.state.get("parent"), SOMEBODY)
        return text(given)

    return [held for step in steps for held in _of_step(step, which, endpoint, principal)]


def _principal_name(step: Step) -> str:
    name = step.state.get("inputs", {}).get("displayName")
    return f"new service principal {name}" if isinstance(name, str) and not is_unknown(name) else SOMEBODY


def _of_step(step: Step, which: str, endpoint: str, principal: Callable[[Step, object], str]) -> Iterator[Held]:
    # What is retained stays held; in a deployment's own list on its endpoint, that list says who stays.
    stays = which == "after" and bool(step.old.get("retainOnDelete")) and step.kind != "ObjectPermission"
    values = step.inputs("before" if stays and not step.new else which)
    if step.type == DEPLOYMENT:
        yield from _passthrough(step.outputs(which))
    reader = _READERS.get(step.kind)
    if reader is None or not values:
        return
    for who, privilege, kind, what in reader(values):
        object_type = kind if kind in _INCLUDES else ""
        if kind == ENDPOINTS and DEPLOYMENT in step.types and not is_of_identity(step):
            what = endpoint or "of the agent"  # by its id, which no reader knows
        access = Access(principal(step, who), text(privilege), f"{kind} {what}")
        yield Held(access, is_of_identity(step), object_type)


Row = tuple[object, object, str, str]  # principal, privilege, kind of object, object


def _grant(values: Mapping[str, Any]) -> Iterator[Row]:
    for argument, kind in _SECURABLES.items():
        if values.get(argument) is not None:
            for privilege in listed(values.get("privileges")):
                yield values.get("principal"), privilege, kind, text(values[argument])


def _securable_grant(values: Mapping[str, Any]) -> Iterator[Row]:
    for privilege in listed(values.get("privileges")):
        yield values.get("principal"), privilege, text(values.get("securableType")), text(values.get("fullName"))


def _object_permission(values: Mapping[str, Any]) -> Iterator[Row]:
    what = values.get("objectName") or values.get("objectId")
    yield values.get("principal"), values.get("level"), text(values.get("objectType")), text(what)


def _permissions(values: Mapping[str, Any]) -> Iterator[Row]:
    kind, what = next(((k, values[a]) for a, k in _OBJECTS.items() if values.get(a) is not None), ("object", None))
    for control in listed(values.get("accessControls")):
        if not isinstance(control, Mapping):
            yield UNKNOWN, UNKNOWN, kind, text(what)
            continue
        who = next((control[name] for name in _CONTROLS if control.get(name) is not None), UNKNOWN)
        yield who, control.get("permissionLevel"), kind, text(what)


def _secret_acl(values: Mapping[str, Any]) -> Iterator[Row]:
    yield values.get("principal"), values.get("permission"), "secret scope", text(values.get("scope"))


_CONTROLS = [name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:]) for name in PRINCIPAL_KINDS]
_READERS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Row]]] = {
    "Grant": _grant,
    "SecurableGrant": _securable_grant,
    "ObjectPermission": _object_permission,
    "Permissions": _permissions,
    "SecretAcl": _secret_acl,
}


def _passthrough(outputs: Mapping[str, Any]) -> Iterator[Held]:
    """What the platform gives to versions without an identity of their own; other identities are given grants."""
    for identity in listed(outputs.get("identities")):
        if isinstance(identity, Mapping) and identity.get("auth") == PASSTHROUGH:
            for line in listed(identity.get("access")):
                privilege, _, what = text(line).partition(" on ")
                access = Access(f"version {text(identity.get('version'))}", privilege, what)
                yield Held(access, True, by_platform=True)


def listed(value: object) -> list[Any]:
    """The list; one unknown element in place of an unknown list, none of what is no list."""
    if is_unknown(value):
        return [value]
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A name as it is quoted; what is not known says so, and what is no plain value is not quoted."""
    if value is None or is_unknown(value):
        return UNKNOWN
    return str(value) if isinstance(value, (str, int, float)) else UNKNOWN
