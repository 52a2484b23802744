"""What a program names must be there: the secrets that its references lead to, principals, experiment, tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import segment
from agent_deploy.provider.folder_writers import open_place
from agent_deploy.provider.look_ups import memory_of, patient
from agent_deploy.provider.permission_facts import PermissionFacts, UnknownPrincipal, facts_of
from agent_deploy.provider.pipeline_dry_run import check_pipeline
from agent_deploy.provider.resource import Context, Values
from agent_deploy.provider.secret import keys_of
from agent_deploy.provider.unity_tables import TABLES
from agent_deploy.rules.groups import ACCOUNT_USERS, ADMINS, USERS
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resources import ROUTES
from agent_deploy.rules.review import EXPERIMENTS, KINDS_BY_FIELD, PRINCIPAL_KINDS
from agent_deploy.rules.secrets import SecretReference, parse_reference
from agent_deploy.rules.verification import Presence

# Every workspace has these groups, whether or not its listing shows them.
_ALWAYS = frozenset({ADMINS, USERS, ACCOUNT_USERS})
# How many of the keys that there are an error names.
MAX_NAMED = 20
_CREATE_PRINCIPAL = "Create it, correct the name, or give the output of the resource that makes it in this program"
# By key, the fields that refer to it.
Wanted = Mapping[SecretReference, Sequence[str]]


def check_references(context: Context, arguments: Values) -> list[str]:
    """What is wrong with ``references``; one look-up per scope."""
    problems: list[str] = []
    by_scope: dict[str, dict[SecretReference, list[str]]] = defaultdict(dict)
    for named in arguments.get("references") or []:
        reference = parse_reference(str(named["value"]))
        if reference is None:
            # Not shown: a half-written reference may hold the secret itself.
            problems.append(str(Problem(named["field"], None, "a reference of the form {{secrets/scope/key}}")))
        else:
            by_scope[reference.scope].setdefault(reference, []).append(str(named["field"]))
    for scope, wanted in by_scope.items():
        problems += _lost(context, scope, wanted)
    return problems


def _lost(context: Context, scope: str, wanted: Wanted) -> list[str]:
    everywhere = ", ".join(dict.fromkeys(field for fields in wanted.values() for field in fields))
    try:
        keys = memory_of(context).once(("keys of", scope), lambda: keys_of(patient(context), scope))
    except ApiError as error:
        if error.status != 403:
            raise
        remedy = f"Have whoever manages it run `databricks secrets put-acl {scope} PRINCIPAL READ`"
        return [f"{everywhere}: the keys of the secret scope {scope!r} may not be listed ({error.message}). {remedy}"]
    if keys is None:
        return [f"{everywhere}: there is no secret scope {scope!r}. Create it, or correct the name"]
    there = ", ".join(sorted(keys)[:MAX_NAMED]) or "none"
    return [
        f"{', '.join(fields)}: there is no key {reference.key!r} in the secret scope {scope!r} (there: {there}). "
        f"Put the value with `databricks secrets put-secret {scope} {reference.key}`, or correct the name"
        for reference, fields in wanted.items()
        if reference.key not in keys
    ]


def check_principals(context: Context, arguments: Values) -> list[str]:
    """Those of ``principals`` that the workspace does not know, or knows as another kind than their field names."""
    problems = []
    for named in arguments.get("principals") or []:
        field, name = str(named["field"]), str(named["value"])
        wanted = KINDS_BY_FIELD.get(field.rpartition(".")[2], "")
        if name in _ALWAYS and wanted in ("", "group"):
            continue
        if problem := _lost_principal(facts_of(context), field, name, wanted):
            problems.append(str(problem))
    return problems


def _lost_principal(facts: PermissionFacts, field: str, name: str, wanted: str) -> Problem | None:
    try:
        found = facts.principal(name).kind
    except UnknownPrincipal:
        return Problem(field, name, "a principal of this workspace", _CREATE_PRINCIPAL)
    if found == wanted or not wanted:
        return None
    try:
        facts.principal(name, kind=wanted)  # two of different kinds may have one name
    except UnknownPrincipal:
        expected = f"the name of a {_words(wanted)}, and this is a {_words(found)}"
        argument = next(each for each, kind in PRINCIPAL_KINDS.items() if kind == found)
        return Problem(field, name, expected, f"Name a {_words(wanted)}, or say {argument} instead")
    return None


def check_tables(context: Context, arguments: Values) -> list[str]:
    """Those of ``tables`` that are not there."""
    return [
        str(
            Problem(
                str(named["field"]), str(named["value"]), "a table that exists", "Correct the name, or leave it out"
            )
        )
        for named in arguments.get("tables") or []
        if facts_of(context).look_up(f"{TABLES}/{segment(str(named['value']))}").presence is Presence.MISSING
    ]


def check_experiment(context: Context, arguments: Values) -> list[str]:
    """Whether there is no such ``experiment``, or only in the bin; one that may not be seen may be right.

    That one is missing which others are let into is told with the permission on it.
    """
    named = arguments.get("experiment")
    if not named:
        return []
    found = facts_of(context).look_up(ROUTES[EXPERIMENTS].path.format(segment(str(named["value"]))))
    stage = (found.document.get("experiment") or {}).get("lifecycle_stage")
    is_missing = found.presence is Presence.MISSING and not arguments.get("sharesExperiment")
    if not is_missing and stage != "deleted":
        return []
    remedy = "Create or restore it, correct the id, or leave it out for the one in which the first version was logged"
    return [str(Problem(str(named["field"]), str(named["value"]), "the id of an MLflow experiment", remedy))]


def check_source_folder(context: Context, arguments: Values) -> list[str]:
    """Whether everybody may write in ``sourceFolder``. Who else may, the resource tells that writes there."""
    named = arguments.get("sourceFolder")
    if not named or not (error := open_place(facts_of(context), str(named["value"])).error):
        return []
    return [f"{named['field']}: {error}"]


def _words(kind: str) -> str:
    return kind.replace("_", " ")


# Each gets the arguments of one deployment in verifyDeployments and returns what is wrong; they run beside each other.
CHECKS: tuple[Callable[[Context, Values], list[str]], ...] = (
    check_references,
    check_principals,
    check_experiment,
    check_tables,
    check_pipeline,
    check_source_folder,
)
