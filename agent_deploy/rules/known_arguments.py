"""The names of AgentDeployment's arguments, which hold others, which are booleans: what is not so is an error.

A test holds these against the arguments' own declaration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent_deploy.rules.credentials import check_complete
from agent_deploy.rules.problems import Problem

# Of tables that are derived from an endpoint's payload.
DERIVATION = (
    "derive", "schedule", "schedule_timezone", "serverless", "cluster_policy_id", "warehouse_id", "retention_days",
    "readers", "served_entities_table",
)  # fmt: skip
_SWITCHES = ("derive", "serverless")
# Where the names stand → the names. "" is the top; a list's entries are checked one by one.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "": (
        "model_name", "versions", "model_version", "traffic", "keep_previous", "endpoint_name", "scale_to_zero",
        "workload_size", "workload_type", "environment", "auth", "resources", "replace_resources", "rotation_days",
        "secret_lifetime_days", "service_principal", "experiment_id", "instance_profile_arn", "tags", "description",
        "budget_policy_id", "permissions", "review_app", "inference_tables", "feedback_model", "timeouts",
    ),
    "versions": (
        "version", "alias", "traffic_percentage", "workload_size", "workload_type", "scale_to_zero", "environment",
    ),
    "permissions": ("level", "user_name", "group_name", "service_principal_name"),
    "review_app": ("enabled", "reviewers", "instructions"),
    "review_app.reviewers": ("user_name", "group_name", "service_principal_name"),
    "resources": ("kind", "name", "on_behalf_of_user"),
    "service_principal": ("application_id", "client_secret"),
    "inference_tables": ("enabled", "catalog", "schema", "prefix", "delete_on_destroy", *DERIVATION),
    "timeouts": ("create", "update", "delete"),
}  # fmt: skip
# Those of them that are True or False.
BOOLEANS: Mapping[str, tuple[str, ...]] = {
    "": ("scale_to_zero", "replace_resources", "feedback_model"),
    "versions": ("scale_to_zero",),
    "review_app": ("enabled",),
    "resources": ("on_behalf_of_user",),
    "inference_tables": ("enabled", "delete_on_destroy", *_SWITCHES),
}
# Those that are any string; what is a name of something, or one of a few words, is judged as that.
TEXTS: Mapping[str, tuple[str, ...]] = {
    "": ("experiment_id", "instance_profile_arn", "description", "budget_policy_id"),
    "review_app": ("instructions",),
    "inference_tables": ("catalog", "schema", "cluster_policy_id", "warehouse_id", "served_entities_table"),
}
_PROFILE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:instance-profile/\S+")
# Of the component InferenceTables by itself.
TABLES_BOOLEANS = ("delete_on_destroy", "verified", *_SWITCHES)


# Arguments that are lists of mappings, and those that are mappings; an example is shown beside what is neither.
LISTS: Mapping[str, str] = {
    "versions": '[{"version": "3"}]',
    "permissions": '[{"group_name": "users", "level": "CAN_QUERY"}]',
    "review_app.reviewers": '[{"group_name": "users"}]',
    "resources": '[{"kind": "table", "name": "main.default.docs"}]',
}
MAPPINGS: Mapping[str, str] = {
    "traffic": '{"3": 90, "4": 10}',
    "environment": '{"KEY": "value"}',
    "service_principal": '{"application_id": …, "client_secret": …}',
    "tags": '{"team": "search"}',
    "review_app": '{"reviewers": [{"group_name": "users"}]}',
    "inference_tables": '{"enabled": False}',
    "timeouts": '{"create": "45m"}',
}
_PLAIN = (str, bytes, int, float)
_ENTRY = re.compile(rf"(?:{'|'.join(map(re.escape, LISTS))})\[\d+\]")


def well_shaped(args: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The arguments without those that are misshapen, and what is wrong with these. What is not plain data passes.

    An entry that is none becomes an empty one, so that the others keep their indices: `of_well_shaped` leaves out what
    is then said of it.
    """
    problems: list[Problem] = []
    shaped = dict(args)
    for place, example in LISTS.items():
        value = _at(shaped, place)
        if isinstance(value, (*_PLAIN, Mapping)):
            problems.append(Problem(place, _shown(place, value), f"a list, such as {example}"))
        elif isinstance(value, (list, tuple)):
            entries, of_entries = _well_shaped_entries(place, value)
            problems += of_entries
            shaped = _with(shaped, place, entries) if of_entries else shaped
    for place in MAPPINGS:
        problems += not_a_mapping(place, args.get(place), place)
    missing = [*_without_value("environment", args.get("environment"))]
    for index, entry in enumerate(listed if isinstance(listed := args.get("versions"), (list, tuple)) else ()):
        if isinstance(entry, Mapping):
            missing += _without_value(f"versions[{index}].environment", entry.get("environment"))
    missing += check_complete("service_principal", args.get("service_principal"))
    if isinstance(traffic := args.get("traffic"), Mapping):
        # A version may be written as a number everywhere.
        shaped["traffic"] = {str(version): share for version, share in traffic.items()}
    misshapen = {problem.field.split(".")[0] for problem in problems if "[" not in problem.field}
    return {name: value for name, value in shaped.items() if name not in misshapen}, problems + missing


def of_well_shaped(problems: Iterable[Problem], misshapen: Iterable[Problem]) -> list[Problem]:
    """The ``problems`` without those of entries that are told in ``misshapen``, and were judged as empty ones."""
    entries = {problem.field for problem in misshapen if _ENTRY.fullmatch(problem.field)}
    return [problem for problem in problems if not (entry := _ENTRY.match(problem.field)) or entry[0] not in entries]


def _well_shaped_entries(place: str, given: Sequence[Any]) -> tuple[list[Any], list[Problem]]:
    entries: list[Any] = []
    problems: list[Problem] = []
    for index, entry in enumerate(given):
        field = f"{place}[{index}]"
        if entry is None or isinstance(entry, (*_PLAIN, list, tuple)):
            problems.append(Problem(field, _shown(place, entry), f"an entry as in {LISTS[place]}"))
            entries.append({})
        elif place == "versions" and isinstance(entry, Mapping):
            wrong = list(not_a_mapping(f"{field}.environment", entry.get("environment"), "environment"))
            problems += wrong
            entries.append({name: value for name, value in entry.items() if not wrong or name != "environment"})
        else:
            entries.append(entry)
    return entries, problems


def _with(args: Mapping[str, Any], place: str, value: object) -> dict[str, Any]:
    name, _, inner = place.partition(".")
    return {**args, name: _with(args[name], inner, value) if inner else value}


def _without_value(field: str, environment: object) -> Iterator[Problem]:
    # Told here, as later None stands for a secret; Pulumi would leave the variable out without a word.
    for key, value in environment.items() if isinstance(environment, Mapping) else ():
        if value is None:
            remedy = "Give it one (os.environ.get() has None for a variable that is not set), or leave it out"
            yield Problem(f"{field}[{key!r}]", None, "a string, and not None", remedy)


def not_a_mapping(field: str, value: object, place: str) -> Iterator[Problem]:
    """A value other than names and values where such are meant, as at the ``place`` of MAPPINGS."""
    if isinstance(value, (*_PLAIN, list, tuple)):
        yield Problem(field, _shown(place, value), f"names and values, such as {MAPPINGS[place]}")


def _shown(place: str, value: object) -> object:
    """The value for an error; None where it may be a secret, or hold one in an environment of its own."""
    holds_one = place == "versions" and not isinstance(value, _PLAIN)
    return None if holds_one or place in ("environment", "service_principal") else value


def check_known(args: Mapping[str, Any]) -> list[Problem]:
    """Names that mean nothing, each with the nearest that does."""
    return _everywhere(args, KNOWN, unknown_names)


def check_booleans(args: Mapping[str, Any]) -> list[Problem]:
    """Texts and numbers where True or False is meant: Python would take any text, "no" as well, for true."""
    return _everywhere(args, BOOLEANS, non_booleans)


def non_booleans(prefix: str, given: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Problem]:
    """Of the ``names`` in ``given`` those that are neither True nor False. What is not plain data passes."""
    for name in names:
        value = given.get(name)
        if isinstance(value, (*_PLAIN, Mapping, list, tuple)) and not isinstance(value, bool):
            yield Problem(f"{prefix}{name}", value, "True or False")


def check_texts(args: Mapping[str, Any]) -> list[Problem]:
    """Numbers and the like where a string is meant, and a tag's value that is none; an ARN that names no profile."""
    problems = _everywhere(args, TEXTS, _no_texts)
    tags = args.get("tags")
    if isinstance(tags, Mapping):
        problems += [_no_text(f"tags[{key!r}]", value) for key, value in tags.items() if _is_no_text(value)]
    arn = args.get("instance_profile_arn")
    if isinstance(arn, str) and not _PROFILE_ARN.fullmatch(arn):
        expected = "the ARN of an instance profile, arn:aws:iam::<account>:instance-profile/<name>"
        problems.append(Problem("instance_profile_arn", arn, expected))
    return problems


def _no_texts(prefix: str, given: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Problem]:
    for name in names:
        if _is_no_text(given.get(name)):
            yield _no_text(f"{prefix}{name}", given[name])


def _is_no_text(value: object) -> bool:
    return isinstance(value, (*_PLAIN, Mapping, list, tuple)) and not isinstance(value, str)


def _no_text(field: str, value: object) -> Problem:
    remedy = f'Write "{value}"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
    return Problem(field, value, "a string", remedy)


def _everywhere(
    args: Mapping[str, Any],
    names_at: Mapping[str, tuple[str, ...]],
    check: Callable[[str, Mapping[str, Any], tuple[str, ...]], Iterable[Problem]],
) -> list[Problem]:
    """What a check of some names finds at all the places where they stand."""
    return [
        problem
        for place, names in names_at.items()
        for prefix, given in _given_at(args, place)
        for problem in check(prefix, given, names)
    ]


def _given_at(args: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What stands at a place, with the prefix of its fields: each entry of a list."""
    value = _at(args, place) if place else args
    if isinstance(value, Mapping):
        yield f"{place}." if place else "", value
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            if isinstance(entry, Mapping):
                yield f"{place}[{index}].", entry


def _at(args: Mapping[str, Any], place: str) -> Any:
    value: Any = args
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def unknown_names(
    prefix: str, given: Mapping[str, Any], known: tuple[str, ...], component: str = "AgentDeployment"
) -> Iterator[Problem]:
    """Names of ``given`` that are not among the ``known`` ones."""
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "There is: " + ", ".join(known)
        yield Problem(f"{prefix}{name}", None, f"a name that {component} knows", remedy)
