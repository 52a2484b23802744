"""What the program would change of an endpoint right after it was taken over: by the resources' own comparison."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.importing.children import ENDPOINT, MODEL, PERMISSIONS, REGISTRATION, SCOPE, SECRET, Child
from agent_deploy.provider.endpoint.diff import at, with_traffic
from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.feedback.feedback_model_version import FeedbackModelVersion
from agent_deploy.provider.plugin.property_values import path_text
from agent_deploy.provider.plugin.resource import Context, PartialFailure, Path, Resource, UserError
from agent_deploy.provider.registration.agent_registration import AgentRegistration
from agent_deploy.rules.credentials import looks_like_credential
from agent_deploy.rules.environment import AGENT_ENVIRONMENT, EXPERIMENT_TAG, EXPERIMENT_VARIABLE

# Whose `read` decides what an import gives. The vendor's Permissions are declared as they were read.
_HANDLERS: Mapping[str, type[Resource]] = {
    ENDPOINT: ServingEndpoint,
    MODEL: FeedbackModelVersion,
    REGISTRATION: AgentRegistration,
}
_ABSENT = "not there"
REFUSED = "refused by the next preview"
# Why an AgentDeployment cannot say what is there; by the last part of a path that has a fixed name.
_WHY = {
    "servedEntities": "served entities are named as deploy() names them: <model>_<version>",
    "environmentVars": "a deployment's variables",
    "traffic": "follows the served entities' names",
    "minProvisionedConcurrency": "no argument says it; the resource ServingEndpoint has it",
    "maxProvisionedConcurrency": "no argument says it; the resource ServingEndpoint has it",
    "workloadSize": "the feedback model is served Small",
    "entityVersion": "the feedback model is served in its highest version that is READY",
    "instanceProfileArn": "one profile counts for all versions",
    "emailNotifications": "no argument says it; the resource ServingEndpoint has it",
    "usageTrackingConfig": "no argument says it; the resource ServingEndpoint has it",
    "tags": "the stack's defaults, or the experiment's tag, which a deployment sets",
    "experimentId": "the version joins the Review App of its experiment",
    "servedEntityName": "the register has it under the name that it had",
}
_WHY_MADE = {
    REGISTRATION: "the register has no such record for this endpoint",
    MODEL: "the schema has no feedback model that is READY",
    SCOPE: "a deployment keeps its secrets in a scope of its own",
    SECRET: "the endpoint has the value in plain text",
}
_SET = "an AgentDeployment sets it: agents need it to trace and to answer with request ids"
_EXPERIMENT = "an AgentDeployment says where traces go; its versions and its tags name one experiment"


@dataclass(frozen=True)
class Difference:
    """One field of one resource: what is there, what the program declares, and why it cannot be as it is."""

    resource: str
    field: str
    there: str
    declared: str
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"{self.resource}, {self.field}: {self.there} → {self.declared}{why}"


def differences(context: Context, given: Sequence[Child]) -> Iterator[Difference]:
    """Of all resources; what is to be made is one difference."""
    for child in given:
        if child.is_component:
            continue
        if not child.id:
            yield Difference(child.name, "resource", _ABSENT, "made", _made(child))
        elif handler := _HANDLERS.get(child.type):
            yield from _of_resource(context, handler(), child)


def permission_changes(given: Sequence[Child], access: Sequence[Mapping[str, str]]) -> Iterator[Difference]:
    """Of the endpoint's list, which is what the entry says: a bundle's may say less than there is."""
    there = {tuple(each.values()) for each in access}
    for child in given:
        if child.type == PERMISSIONS:
            controls = (child.inputs or {}).get("accessControls") or ()
            declared = {tuple(each.values()) for each in controls}
            if declared != there:
                yield Difference(child.name, "accessControls", _list(there), _list(declared), "the entry's list counts")


def _list(access: Collection[tuple[str, ...]]) -> str:
    return ", ".join(sorted(" ".join(each) for each in access)) or "nobody"


def _of_resource(context: Context, handler: Resource, child: Child) -> Iterator[Difference]:
    declared = dict(child.inputs or {})
    try:
        found = handler.read(context, child.id, {}, {})
    except PartialFailure as partial:
        reasons = "; ".join(partial.reasons)
        yield Difference(child.name, "state", reasons, "deployed again", "an endpoint that is READY needs no update")
        present, properties = partial.inputs, partial.properties
    else:
        if found is None:
            yield Difference(child.name, "resource", _ABSENT, "made", _made(child))
            return
        present, properties = found.inputs, found.properties
    if child.type in (ENDPOINT, MODEL):
        # The mark is set before the import, or comes with the import file.
        present, properties = ({**each, "ownerMark": declared["ownerMark"]} for each in (present, properties))
    try:
        inputs, failures = handler.check(context, present, declared)
    except UserError as error:
        yield Difference(child.name, "inputs", "there", REFUSED, str(error))
        return
    for failure in failures:
        yield Difference(child.name, str(failure.path or "inputs"), "there", REFUSED, failure.reason)
    changes = handler.diff(context, child.id, present, properties, inputs).changes
    before, after = with_traffic(present), with_traffic(inputs)
    for path in changes:
        yield _difference(child, path, at(before, path), at(after, path))
    if child.type == ENDPOINT:
        yield from _below_new_names(child, before.get("servedEntities") or {}, after.get("servedEntities") or {})


def _below_new_names(
    child: Child, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Iterator[Difference]:
    """Of versions that are called otherwise from now on: what else changes of them, which new names would hide."""
    gone = {_version(entity): entity for name, entity in before.items() if name not in after}
    for name, wanted in after.items():
        there = gone.get(_version(wanted)) if name not in before else None
        if there is None:
            continue
        for field in dict.fromkeys((*there, *wanted)):
            for key in _keys(there.get(field), wanted.get(field)):
                path: Path = ("servedEntities", name, field, *key)
                old, new = (at({"servedEntities": {name: each}}, path) for each in (there, wanted))
                # What is added stands in the entry.
                if old != new and old is not None:
                    yield _difference(child, path, old, new)


def _version(entity: Mapping[str, Any]) -> tuple[str, str]:
    return str(entity.get("entityName")), str(entity.get("entityVersion"))


def _keys(*values: Any) -> list[tuple[str, ...]]:
    """Of mappings each key; else the value as a whole."""
    mappings = [each for each in values if isinstance(each, Mapping)]
    return [(key,) for key in dict.fromkeys(key for each in mappings for key in each)] if mappings else [()]


def _difference(child: Child, path: Path, before: Any, after: Any) -> Difference:
    return Difference(child.name, path_text(path), _shown(path, before), _shown(path, after), _why(path))


def _shown(path: Path, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        model, version = value.get("entityName"), value.get("entityVersion")
        return f"{model} version {version}" if model else ", ".join(f"{k}={_shown((k,), v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "a credential, not shown" if looks_like_credential(str(path[-1]), value) else repr(value)


def _why(path: Path) -> str:
    last = str(path[-1])
    if last in AGENT_ENVIRONMENT:
        return _SET
    if last in (EXPERIMENT_VARIABLE, EXPERIMENT_TAG):
        return _EXPERIMENT
    if path[:1] == ("servedEntities",) and len(path) == 2:
        return _WHY["servedEntities"]
    return next((_WHY[str(part)] for part in reversed(path) if str(part) in _WHY), "")


def _made(child: Child) -> str:
    return _WHY_MADE.get(child.type, "")
