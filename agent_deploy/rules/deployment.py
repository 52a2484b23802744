"""From the arguments of an agent's deployment to the endpoint's served entities, traffic and tags; no look-ups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.credentials import PASSTHROUGH, check_auth, check_credentials, check_own_credentials
from agent_deploy.rules.declared_resources import from_program
from agent_deploy.rules.environment import EXPERIMENT_TAG, check_environment
from agent_deploy.rules.experiment import check_experiment
from agent_deploy.rules.feedback_model import beside
from agent_deploy.rules.inference_tables import check_derivation_off, check_tables
from agent_deploy.rules.known_arguments import check_booleans, check_known, check_texts
from agent_deploy.rules.previous_versions import check_keep_previous
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.review import check_access
from agent_deploy.rules.timeouts import check_timeouts
from agent_deploy.rules.traffic import check_count, check_percentage, check_traffic
from agent_deploy.rules.workload import check_workload

DEFAULT_SIZE, DEFAULT_TYPE = "Small", "CPU"

_TABLES = "inference_tables."
_PER_VERSION = ("workload_size", "workload_type", "scale_to_zero")


@dataclass(frozen=True)
class NamedVersion:
    """One version as declared: a number, or an alias that is still to be resolved; ``field`` for errors."""

    field: str
    version: str | None
    alias: str | None

    @property
    def label(self) -> str:
        """What the user called it."""
        return self.version or self.alias or "?"


@dataclass(frozen=True)
class WantedVersion(NamedVersion):
    """With the rest of what is declared of it."""

    traffic_percentage: int | None
    workload_size: str
    workload_type: str
    scale_to_zero: bool


@dataclass(frozen=True)
class Deployment:
    """The arguments after their check: all plain values."""

    model_name: str
    endpoint_name: str
    versions: tuple[WantedVersion, ...]
    traffic: Mapping[str, int] = field(default_factory=dict)  # by label
    feedback_model: str = ""  # its full name; empty: none is served


def check_arguments(args: Mapping[str, Any]) -> list[Problem]:
    """All problems that can be seen without asking the workspace. Values that are None are not known yet."""
    of_model = names.check_model_name("model_name", args.get("model_name")) or _check_model(args)
    problems = check_known(args) + check_booleans(args) + check_texts(args) + of_model
    if (endpoint := args.get("endpoint_name")) is not None:
        problems += names.check_endpoint_name("endpoint_name", endpoint)
    elif not of_model:
        problems += names.check_endpoint_name("endpoint_name", names.endpoint_name(args["model_name"]))
    problems += check_workload("", args.get("workload_size"), args.get("workload_type"))
    problems += check_environment("environment", args.get("environment") or {})
    problems += check_experiment(args) + check_auth(args)
    problems += check_credentials("environment", args.get("environment") or {}, args.get("auth") or PASSTHROUGH)
    if args.get("resources"):
        problems += from_program("resources", args["resources"])[1]
    problems += _check_versions(args)
    if tables := args.get("inference_tables"):
        problems += check_tables(_TABLES, tables) + check_derivation_off(_TABLES, tables)
    problems += check_keep_previous(args.get("keep_previous"))
    problems += check_timeouts("timeouts.", args.get("timeouts") or {})
    return problems + check_access(args)


def plan(args: Mapping[str, Any]) -> Deployment:
    """The deployment that checked arguments declare."""
    versions = tuple(_wanted(field, version, args) for field, version in _declared(args))
    endpoint = names.endpoint_of(args)
    return Deployment(args["model_name"], endpoint, versions, _traffic(args, versions), feedback_model(args))


def feedback_model(args: Mapping[str, Any]) -> str:
    """Full name of the feedback model that is served as well; empty before the first version: nothing is to rate."""
    return beside(args["model_name"]) if _declared(args) and _takes_feedback(args) else ""


def named_versions(args: Mapping[str, Any]) -> list[NamedVersion]:
    """The versions that can be looked up, whatever else is wrong with the arguments."""
    return [
        NamedVersion(
            field, None if (number := version.get("version")) is None else _number(number), version.get("alias")
        )
        for field, version in _declared(args)
        if not _check_name(field, version)
    ]


def resolved_duplicates(versions: Sequence[NamedVersion], numbers: Sequence[str]) -> list[Problem]:
    """Two entries that turn out to be the same version, such as an alias and its number; "" is not resolved."""
    problems = []
    for index, number in enumerate(numbers):
        if number and number in numbers[:index]:
            first, second = versions[numbers.index(number)], versions[index]
            if first.label == second.label:
                continue  # seen in the arguments already
            expected = f"another version than {first.field} ({first.label}), which is version {number} as well"
            problems.append(Problem(second.field, second.label, expected, "Take one of them out"))
    return problems


def served_entities(deployment: Deployment, numbers: Sequence[str], instance_profile: str | None) -> dict[str, Any]:
    """Served entity's name → its properties, the environment left out; ``numbers`` are the resolved versions."""
    entities: dict[str, Any] = {}
    for wanted, number in zip(deployment.versions, numbers, strict=True):
        entity = {
            "entity_name": deployment.model_name,
            "entity_version": number,
            "workload_size": wanted.workload_size,
            "workload_type": wanted.workload_type,
            "scale_to_zero_enabled": wanted.scale_to_zero,
        }
        if instance_profile:
            entity["instance_profile_arn"] = instance_profile
        entities[names.served_entity_name(deployment.model_name, number)] = entity
    return entities


def traffic(deployment: Deployment, numbers: Sequence[str]) -> dict[str, int]:
    """Served entity's name → percentage."""
    return {
        names.served_entity_name(deployment.model_name, number): deployment.traffic[wanted.label]
        for wanted, number in zip(deployment.versions, numbers, strict=True)
    }


def feedback_entity(deployment: Deployment, version: Any, scale_to_zero: bool) -> dict[str, Any]:
    """The feedback model as deploy() serves it: the smallest size, no environment; ``version`` may be an Output."""
    return {
        "entity_name": deployment.feedback_model,
        "entity_version": version,
        "workload_size": DEFAULT_SIZE,
        "workload_type": DEFAULT_TYPE,
        "scale_to_zero_enabled": scale_to_zero,
    }


def endpoint_tags(user: Mapping[str, str], experiment_id: str | None) -> dict[str, str]:
    """The user's tags and, as deploy() writes it, the experiment's id."""
    return {**({EXPERIMENT_TAG: experiment_id} if experiment_id else {}), **user}


def _takes_feedback(args: Mapping[str, Any]) -> bool:
    return args.get("feedback_model") is not False


def _check_model(args: Mapping[str, Any]) -> list[Problem]:
    model = str(args["model_name"])
    if of_entities := names.check_servable_name("model_name", model):
        return of_entities
    if model.lower() != beside(model).lower() or not _takes_feedback(args):
        return []
    remedy = "Give the agent's model another name, or do without feedback: feedback_model=False"
    return [Problem("model_name", model, "another name, as this is the one of the schema's feedback model", remedy)]


def _declared(args: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    if (version := args.get("model_version")) is not None:
        return [("model_version", {"version": version})]
    return [(f"versions[{index}]", version) for index, version in enumerate(args.get("versions") or ())]


def _wanted(field: str, version: Mapping[str, Any], args: Mapping[str, Any]) -> WantedVersion:
    # What a version does not say, the deployment says for all.
    own = {key: version[key] if version.get(key) is not None else args.get(key) for key in _PER_VERSION}
    number, percentage = version.get("version"), version.get("traffic_percentage")
    return WantedVersion(
        field=field,
        version=_number(number),
        alias=version.get("alias"),
        traffic_percentage=None if percentage is None else int(percentage),
        workload_size=own["workload_size"] or DEFAULT_SIZE,
        workload_type=own["workload_type"] or DEFAULT_TYPE,
        scale_to_zero=bool(own["scale_to_zero"]),
    )


def _number(value: object) -> str | None:
    # Programs write 3 as well as "3"; numbers cross the engine's wire as doubles.
    return None if value is None else str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_versions(args: Mapping[str, Any]) -> list[Problem]:
    if args.get("model_version") is not None and args.get("versions"):
        remedy = "model_version is the shorthand for a single one"
        return [Problem("model_version", args["model_version"], "either model_version or versions, not both", remedy)]
    declared = _declared(args)
    problems = check_count("versions", len(declared), _takes_feedback(args) and bool(declared))
    for field_name, version in declared:
        problems += _check_version(field_name, version, args.get("auth") or PASSTHROUGH)
    if problems:
        return problems
    return _check_shares(args, tuple(_wanted(field_name, version, args) for field_name, version in declared))


def _check_version(field_name: str, version: Mapping[str, Any], auth: str) -> list[Problem]:
    prefix, environment = f"{field_name}.", version.get("environment") or {}
    problems = _check_name(field_name, version)
    problems += check_percentage(f"{prefix}traffic_percentage", version.get("traffic_percentage"))
    problems += check_workload(prefix, version.get("workload_size"), version.get("workload_type"))
    problems += check_environment(f"{prefix}environment", environment)
    return problems + check_own_credentials(f"{prefix}environment", environment, auth)


def _check_name(field_name: str, version: Mapping[str, Any]) -> list[Problem]:
    number, alias = version.get("version"), version.get("alias")
    if (number is None) == (alias is None):
        given = None if number is None else f"version {number} and alias {alias}"
        remedy = "Leave one of them out" if given else 'Write {"version": "3"}, for example'
        return [Problem(field_name, given, "either a version number or an alias", remedy)]
    if number is not None and not str(_number(number)).isdecimal():
        remedy = f'For an alias write {{"alias": {str(number)!r}}}'
        return [Problem(field_name, number, "the number of a model version, such as '3'", remedy)]
    return []


def _check_shares(args: Mapping[str, Any], versions: tuple[WantedVersion, ...]) -> list[Problem]:
    labels = [wanted.label for wanted in versions]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        return [Problem("versions", ", ".join(twice), "each version once", "Take the repetition out")]
    said = [wanted for wanted in versions if wanted.traffic_percentage is not None]
    if args.get("traffic") is not None:
        if said:
            return [Problem("traffic", dict(args["traffic"]), "percentages either here or in versions, not in both")]
        return check_traffic("traffic", args["traffic"], labels)
    if not said and len(versions) > 1:
        remedy = "Say traffic_percentage for each version, or traffic={version: percentage}"
        return [Problem("traffic", None, f"how the requests are shared among versions {', '.join(labels)}", remedy)]
    if said:
        shares = {wanted.label: wanted.traffic_percentage or 0 for wanted in versions}
        return check_traffic("traffic_percentage", shares, labels)
    return []


def _traffic(args: Mapping[str, Any], versions: tuple[WantedVersion, ...]) -> dict[str, int]:
    said = args.get("traffic")
    if said is None and len(versions) == 1 and versions[0].traffic_percentage is None:
        return {versions[0].label: 100}
    shares = said or {wanted.label: wanted.traffic_percentage for wanted in versions}
    return {wanted.label: int(shares.get(wanted.label) or 0) for wanted in versions}
