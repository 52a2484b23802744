"""From an endpoint as it stands to the entry that declares it: arguments of an AgentDeployment, as a stack file has
them, and what no argument says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.client.serving import routes_of, tags_of
from agent_deploy.importing.existing import Existing
from agent_deploy.importing.refusals import is_feedback
from agent_deploy.importing.strangers import strangers
from agent_deploy.provider.endpoint.request import is_on
from agent_deploy.rules import names
from agent_deploy.rules.credentials import MANUAL, METHODS, OF_SERVICE_PRINCIPAL, looks_like_credential
from agent_deploy.rules.declaration import DEFAULT_SIZE, DEFAULT_TYPE
from agent_deploy.rules.endpoint_fields import OWNER_TAG, PLAIN_ARGUMENTS
from agent_deploy.rules.environment import (
    AGENT_ENVIRONMENT,
    EXPERIMENT_TAG,
    EXPERIMENT_VARIABLE,
    check_environment,
)
from agent_deploy.rules.review import PERMISSION_LEVELS

_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_.-]")
# What an argument means that is left out: for those that the stack's defaults may say otherwise.
MEANT: Mapping[str, Any] = {
    "scale_to_zero": False,
    "workload_size": DEFAULT_SIZE,
    "workload_type": DEFAULT_TYPE,
    "description": "",
    "permissions": [],
    "route_optimized": False,
    "keep_previous": 0,
    "auth": "PASSTHROUGH",
}
_OF_VERSION = {
    "workload_size": ("workload_size", DEFAULT_SIZE),
    "workload_type": ("workload_type", DEFAULT_TYPE),
    "scale_to_zero": ("scale_to_zero_enabled", False),
}
_SIGNING_IN = frozenset().union(*(method.signs for method in METHODS))
_OWN_LEVEL = (
    "your own {} stays as long as you deploy. Where another identity does, as in CI, its first update takes it away: "
    "declare it then"
)
_TAKEN = "registered for endpoint {}; the next update registers it for this one"
# Joined with what the stack's defaults have under the same name.
JOINED = ("environment", "tags", "secrets")


@dataclass(frozen=True)
class Note:
    """What no argument says: the field of the endpoint, and what becomes of it."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


@dataclass(frozen=True)
class Entry:
    """``args`` as a stack file has them, with ``secrets``: variable to the key of the configuration that is to hold
    its value, which stands in the endpoint in plain text and is shown nowhere.
    """

    args: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[Note] = ()


def entry_of(found: Existing, name: str, defaults: Mapping[str, Any]) -> Entry:
    """The entry of an endpoint that nothing refuses (refusals.py), for a deployment of that name."""
    entities = {str(each["name"]): each for each in found.entities}
    feedback = {key: each for key, each in entities.items() if is_feedback(key, str(each["entity_name"]))}
    shares = routes_of(found.remote.get("config") or found.remote.get("pending_config"))
    versions = [each for key, each in entities.items() if key not in feedback]
    versions.sort(key=lambda each: (-shares.get(str(each["name"]), 0), -int(each["entity_version"])))
    model = str(versions[0]["entity_name"])
    notes = [Note(*each) for each in strangers(found.remote)]
    variables = [_variables(each, notes) for each in versions]
    experiment = _experiment(variables, found)
    # A model's name may have what a shell or Pulumi would read as something else.
    plain_name = _NOT_IN_KEYS.sub("-", name)
    secrets = {
        key: f"{plain_name}-{key}" for each in variables for key in each if looks_like_credential(key, each[key])
    }
    for key in secrets:
        notes += _secret(key, [each.get(key) for each in variables])
    plain = [{key: value for key, value in each.items() if key not in secrets} for each in variables]
    shared = {key: value for key, value in plain[0].items() if all(each.get(key) == value for each in plain)}
    args: dict[str, Any] = {
        "model_name": model,
        **({"endpoint_name": found.name} if found.name != names.endpoint_name(model) else {}),
        "versions": [
            _version(each, shares if len(versions) > 1 else {}, {k: v for k, v in own.items() if k not in shared})
            for each, own in zip(versions, plain, strict=True)
        ],
    }
    # The feedback model follows the deployment, its versions may differ from that.
    common: dict[str, Any] = {"scale_to_zero": bool((*feedback.values(), *versions)[0].get("scale_to_zero_enabled"))}
    for argument, (wire, meant) in _OF_VERSION.items():
        common.setdefault(argument, versions[0].get(wire) or meant)
        for wanted, entity in zip(args["versions"], versions, strict=True):
            if (value := entity.get(wire) or meant) != common[argument]:
                wanted[argument] = value
    args |= common
    profiles = {str(each.get("instance_profile_arn") or "") for each in versions}
    args["instance_profile_arn"] = max(profiles) or None
    args |= {"environment": shared, "secrets": secrets}
    if experiment:
        args["experiment_id"] = experiment
    tags = tags_of(found.remote)
    tags.pop(OWNER_TAG, None)
    if tags.get(EXPERIMENT_TAG) == experiment:
        tags.pop(EXPERIMENT_TAG, None)
    args["tags"] = tags
    args |= {argument: found.remote.get(rule.wire) for argument, rule in PLAIN_ARGUMENTS.items()}
    args["auth"] = MANUAL if any(_SIGNING_IN & set(each) for each in variables) else MEANT["auth"]
    args |= dict.fromkeys(OF_SERVICE_PRINCIPAL)
    args["permissions"] = [each for each in found.access if each["level"] in PERMISSION_LEVELS]
    notes += [
        Note("permissions", f"{', '.join(each.values())} is none of {', '.join(PERMISSION_LEVELS)}: left out")
        for each in found.access
        if each["level"] not in PERMISSION_LEVELS
    ]
    if args["permissions"] and found.own_level:
        notes.append(Note("permissions", _OWN_LEVEL.format(found.own_level)))
    args["review_app"] = _review(found)
    if found.registered:
        notes += [Note(f"register, version {number}", _TAKEN.format(of)) for number, of in found.elsewhere.items()]
    args["inference_tables"] = _tables(found.remote, model)
    args["feedback_model"] = bool(feedback)
    return Entry(_without_meant(args, defaults), secrets, notes)


def plain_text(found: Existing, entry: Entry) -> dict[str, str]:
    """Key of the configuration → the credential that the endpoint has in plain text, of the version that is asked most.

    To be handed on, and never to be shown.
    """
    numbers = [str(each["version"]) for each in entry.args["versions"]]
    by_version = {str(each.get("entity_version")): each.get("environment_vars") or {} for each in found.entities}
    values = {}
    for variable, key in entry.secrets.items():
        there = [by_version[number][variable] for number in numbers if variable in by_version.get(number, {})]
        if there:
            values[key] = str(there[0])
    return values


def joined(args: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry means beside the stack's defaults, as the program in `stacks/` joins them."""
    both = {key: {**(defaults.get(key) or {}), **(args.get(key) or {})} for key in JOINED}
    return {**defaults, **args, **both}


def _without_meant(args: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Only what has to be said: neither what leaving it out means, nor what the defaults say.

    None where the defaults say what this endpoint has not.
    """
    said = {}
    for key, value in args.items():
        if key in JOINED:
            value = {each: value[each] for each in value if (defaults.get(key) or {}).get(each) != value[each]}
            meant = {}
        else:
            meant = defaults.get(key, MEANT.get(key))
            value = MEANT.get(key) if value is None else value
        if value != meant and (value not in (None, "", {}, []) or key in defaults):
            said[key] = value
    return said


def _variables(entity: Mapping[str, Any], notes: list[Note]) -> dict[str, str]:
    """Those of a version that an AgentDeployment takes, without what it sets itself."""
    kept = {}
    for key, value in (entity.get("environment_vars") or {}).items():
        where = f"served entity {entity['name']}, environment_vars[{key!r}]"
        if AGENT_ENVIRONMENT.get(key) == value:
            continue
        if problems := check_environment("environment", {key: value}):
            # The value is not shown: a half-written reference may hold the secret itself.
            notes.append(Note(where, f"left out, as an AgentDeployment expects {problems[0].expected}"))
        else:
            kept[key] = str(value)
    return kept


def _experiment(variables: Sequence[dict[str, str]], found: Existing) -> str:
    """That of all versions, which then need not say it each; else that of the tag, else none."""
    named = {each.get(EXPERIMENT_VARIABLE, "") for each in variables}
    if len(named) == 1 and (one := next(iter(named))) and one.isdecimal():
        for each in variables:
            del each[EXPERIMENT_VARIABLE]
        return one
    return tags_of(found.remote).get(EXPERIMENT_TAG, "")


def _secret(key: str, values: Sequence[str | None]) -> Iterator[Note]:
    text = (
        "a credential in plain text, which is written nowhere: the entry has it as a secret, and its value has to be "
        "set. The next update puts it into a secret scope, and the endpoint then holds a reference"
    )
    yield Note(f"environment_vars[{key!r}]", text)
    if len(set(values)) > 1:
        yield Note(f"environment_vars[{key!r}]", "differs from version to version; the entry has one for all of them")


def _version(entity: Mapping[str, Any], shares: Mapping[str, int], own: Mapping[str, str]) -> dict[str, Any]:
    wanted: dict[str, Any] = {"version": str(entity["entity_version"])}
    if shares:
        wanted["traffic_percentage"] = shares.get(str(entity["name"]), 0)
    return {**wanted, **({"environment": dict(own)} if own else {})}


def _review(found: Existing) -> dict[str, Any]:
    """Versions that nobody has registered are not registered by being taken over."""
    if not found.registered:
        return {"enabled": False}
    return {"instructions": found.instructions} if found.instructions else {}


def _tables(remote: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The table that is filled, and no more: a pipeline that derives from it is a decision of its own."""
    table = (remote.get("ai_gateway") or {}).get("inference_table_config") or {}
    if not is_on(table):
        return {"enabled": False}
    place = dict(zip(("catalog", "schema"), model.split("."), strict=False))
    there = {level: str(table.get(f"{level}_name") or "") for level in place}
    return {"derive": False, **{level: name for level, name in there.items() if name.lower() != place[level].lower()}}
