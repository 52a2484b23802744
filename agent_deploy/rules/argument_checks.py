"""What is wrong with a deployment's arguments, as far as it shows without asking the workspace.

The arguments are a tree of plain values, `Secret` and `Unknown` (rules/values.py), of which the latter two pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.credentials import (
    PASSTHROUGH,
    SERVICE_PRINCIPAL,
    check_auth,
    check_complete,
    check_credentials,
    check_own_credentials,
)
from agent_deploy.rules.declaration import Deployment, declared_versions, named_experiment
from agent_deploy.rules.declared_resources import from_program
from agent_deploy.rules.environment import EXPERIMENT_VARIABLE, check_environment
from agent_deploy.rules.feedback_model import beside
from agent_deploy.rules.inference_tables import check_derivation_off, check_tables
from agent_deploy.rules.kept_versions import check_keep_previous
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.review import check_access
from agent_deploy.rules.timeouts import check_timeouts
from agent_deploy.rules.tracing import unknown_tracing
from agent_deploy.rules.traffic import check_count, check_percentage, check_traffic
from agent_deploy.rules.values import Unknown, is_known, known
from agent_deploy.rules.workload import check_workload

_TABLES = "inference_tables."
_PROFILE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:instance-profile/\S+")


def check_arguments(args: Mapping[str, Any]) -> list[Problem]:
    """All problems of a deployment's arguments."""
    problems = _check_profile(args.get("instance_profile_arn")) + _check_names(args)
    problems += check_workload("", args.get("workload_size"), args.get("workload_type"))
    problems += check_environment("environment", args.get("environment") or {})
    problems += _check_experiment(args) + check_auth(args)
    problems += check_complete("service_principal", args.get("service_principal"))
    problems += check_credentials("environment", args.get("environment") or {}, args.get("auth") or PASSTHROUGH)
    if args.get("resources"):
        problems += from_program("resources", args["resources"])[1]
    problems += _check_versions(args)
    if tables := args.get("inference_tables"):
        problems += check_tables(_TABLES, tables) + check_derivation_off(_TABLES, tables)
    problems += check_keep_previous(args.get("keep_previous"))
    problems += check_timeouts("timeouts.", args.get("timeouts") or {})
    return problems + check_access(args)


def undecided(deployment: Deployment, args: Mapping[str, Any]) -> list[Problem]:
    """Values that a preview does not know yet, although what is declared depends on them."""
    why = ""
    if deployment.identity.auth == SERVICE_PRINCIPAL:
        why = f"with auth = {SERVICE_PRINCIPAL}, as what is granted depends on it"
    elif deployment.keep_previous:
        why = "with keep_previous, as which versions stay depends on it"
    if not why or not deployment.versions:
        return []
    expected, remedy = f"a value that is known {why}", "Write it down, or run `pulumi up` for what it comes from first"
    fields = [each.field for each in deployment.versions if Unknown in (type(each.number), type(each.alias))]
    fields += ["model_name"] if isinstance(deployment.model_name, Unknown) else []
    if deployment.identity.auth == SERVICE_PRINCIPAL:
        given = enumerate(args.get("resources") or ())
        fields += [f"resources[{index}].name" for index, each in given if not is_known(each.get("name"))]
        fields += unknown_tracing("environment", args.get("environment") or {})
    return [Problem(field, None, expected, remedy) for field in fields]


def resolved_duplicates(deployment: Deployment, numbers: Sequence[str | Unknown]) -> list[Problem]:
    """Two entries that turn out to be the same version, such as an alias and its number; "" is not resolved."""
    problems = []
    for index, number in enumerate(numbers):
        if isinstance(number, str) and number and number in numbers[:index]:
            first, second = deployment.versions[numbers.index(number)], deployment.versions[index]
            if first.label == second.label:
                continue  # seen in the arguments already
            expected = f"another version than {first.field} ({first.label}), which is version {number} as well"
            problems.append(Problem(second.field, second.label, expected, "Take one of them out"))
    return problems


def _check_names(args: Mapping[str, Any]) -> list[Problem]:
    model, endpoint = args.get("model_name"), args.get("endpoint_name")
    problems = []
    if is_known(model):
        problems += names.check_model_name("model_name", model) or _check_model(args)
    if endpoint is not None:
        problems += names.check_own_endpoint_name("endpoint_name", endpoint) if is_known(endpoint) else []
    elif isinstance(model, str) and not problems:
        problems += names.check_endpoint_name("endpoint_name", names.endpoint_name(model))
    return problems


def _check_model(args: Mapping[str, Any]) -> list[Problem]:
    model = str(args["model_name"])
    if of_entities := names.check_servable_name("model_name", model):
        return of_entities
    if model.lower() != beside(model).lower() or not _takes_feedback(args):
        return []
    remedy = "Give the agent's model another name, or do without feedback: feedback_model=False"
    return [Problem("model_name", model, "another name, as this is the one of the schema's feedback model", remedy)]


def _check_profile(arn: object) -> list[Problem]:
    if not isinstance(arn, str) or _PROFILE_ARN.fullmatch(arn):
        return []
    expected = "the ARN of an instance profile, arn:aws:iam::<account>:instance-profile/<name>"
    return [Problem("instance_profile_arn", arn, expected)]


def _check_experiment(args: Mapping[str, Any]) -> list[Problem]:
    """Two different ones: traces would be written to one, and looked for in the other."""
    given = known(args.get("experiment_id"))
    of_environment = named_experiment({"environment": args.get("environment")})
    other = known(of_environment.value) if of_environment else None
    if not given or not other or str(given) == other:
        return []
    remedy = "Take one of them out, or say the variable in a version, for its process alone"
    return [Problem(f"environment[{EXPERIMENT_VARIABLE!r}]", other, f"{given}, as experiment_id says", remedy)]


def _takes_feedback(args: Mapping[str, Any]) -> bool:
    return args.get("feedback_model") is not False


def _check_versions(args: Mapping[str, Any]) -> list[Problem]:
    if args.get("model_version") is not None and args.get("versions"):
        remedy, given = "model_version is the shorthand for a single one", known(args["model_version"])
        return [Problem("model_version", given, "either model_version or versions, not both", remedy)]
    versions = declared_versions(args)
    problems = check_count("versions", len(versions), _takes_feedback(args) and bool(versions))
    for field_name, version in versions:
        problems += _check_version(field_name, version, args.get("auth") or PASSTHROUGH)
    return problems or _check_shares(args, [version for _, version in versions])


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
        both = number is not None and is_known(number) and is_known(alias)
        given = f"version {number} and alias {alias}" if both else None
        remedy = 'Write {"version": "3"}, for example' if number is None else "Leave one of them out"
        return [Problem(field_name, given, "either a version number or an alias", remedy)]
    if alias is not None and is_known(alias):
        return names.check_alias(f"{field_name}.alias", alias)
    if number is not None and is_known(number) and not str(number).isdecimal():
        remedy = f'For an alias write {{"alias": {str(number)!r}}}'
        return [Problem(field_name, number, "the number of a model version, such as '3'", remedy)]
    return []


def _check_shares(args: Mapping[str, Any], versions: Sequence[Mapping[str, Any]]) -> list[Problem]:
    named = [version["version"] if version.get("version") is not None else version["alias"] for version in versions]
    labels = [str(label) for label in named if is_known(label)]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        return [Problem("versions", ", ".join(twice), "each version once", "Take the repetition out")]
    said = [version["traffic_percentage"] for version in versions if version.get("traffic_percentage") is not None]
    traffic = args.get("traffic")
    if traffic is not None and said:
        given = dict(traffic) if isinstance(traffic, Mapping) else None
        return [Problem("traffic", given, "percentages either here or in versions, not in both")]
    if traffic is None and not said and len(versions) > 1:
        remedy = "Say traffic_percentage for each version, or traffic={version: percentage}"
        return [Problem("traffic", None, f"how the requests are shared among versions {', '.join(labels)}", remedy)]
    if len(labels) < len(versions) or not is_known(traffic):
        return []  # which version has which share shows when all are known
    if traffic is not None:
        return check_traffic("traffic", traffic, labels)
    if not said:
        return []
    shares = [version.get("traffic_percentage") for version in versions]
    by_label = {label: 0 if share is None else share for label, share in zip(labels, shares, strict=True)}
    return check_traffic("traffic_percentage", by_label, labels)
