"""What a program names must be there: the secrets that its references lead to, principals, experiment, tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import segment
from agent_deploy.provider.access.secret import keys_of
from agent_deploy.provider.access.service_principal_secret import secrets_of
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.pipeline_dry_run import check_pipeline
from agent_deploy.provider.workspace.connection import looked_up
from agent_deploy.provider.workspace.folder_writers import open_place
from agent_deploy.provider.workspace.look_ups import memory_of
from agent_deploy.provider.workspace.permission_facts import PermissionFacts, UnknownPrincipal, facts_of
from agent_deploy.provider.workspace.unity_tables import TABLES
from agent_deploy.rules import findings
from agent_deploy.rules.credentials import MAX_SECRETS, too_many_secrets
from agent_deploy.rules.findings import Finding
from agent_deploy.rules.groups import ACCOUNT_USERS, ADMINS, USERS
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resource_kinds import ROUTES
from agent_deploy.rules.review import EXPERIMENTS, KINDS_BY_FIELD, PRINCIPAL_KINDS
from agent_deploy.rules.secrets import SecretReference, parse_reference
from agent_deploy.rules.verifiable import WantedDeployment
from agent_deploy.rules.verification import Presence

# Every workspace has these groups, whether or not its listing shows them.
_ALWAYS = frozenset({ADMINS, USERS, ACCOUNT_USERS})
# How many of the keys that there are an error names.
MAX_NAMED = 20
_CREATE_PRINCIPAL = "Create it, correct the name, or give the output of the resource that makes it in this program"
# By key, the fields that refer to it.
Wanted = Mapping[SecretReference, Sequence[str]]


def check_references(context: Context, asked: WantedDeployment) -> list[Finding]:
    """What is wrong with the references; one look-up per scope."""
    found: list[Finding] = []
    by_scope: dict[str, dict[SecretReference, list[str]]] = defaultdict(dict)
    for named in asked.references:
        reference = parse_reference(named.value)
        if reference is None:
            # Not shown: a half-written reference may hold the secret itself.
            problem = Problem(named.field, None, "a reference of the form {{secrets/scope/key}}")
            found.append(findings.REFERENCE.found(problem))
        else:
            by_scope[reference.scope].setdefault(reference, []).append(named.field)
    for scope, wanted in by_scope.items():
        found += _lost(context, scope, wanted)
    return found


def _lost(context: Context, scope: str, wanted: Wanted) -> list[Finding]:
    everywhere = ", ".join(dict.fromkeys(field for fields in wanted.values() for field in fields))
    try:
        keys = memory_of(context).once(("keys of", scope), lambda: keys_of(looked_up(context), scope))
    except ApiError as error:
        if error.status != 403:
            raise
        remedy = f"Have whoever manages it run `databricks secrets put-acl {scope} PRINCIPAL READ`"
        why = f"the keys of the secret scope {scope!r} may not be listed ({error.message})"
        return [findings.KEYS.found(f"{everywhere}: {why}. {remedy}")]
    if keys is None:
        text = f"{everywhere}: there is no secret scope {scope!r}. Create it, or correct the name"
        return [findings.NO_SCOPE.found(text)]
    there = ", ".join(sorted(keys)[:MAX_NAMED]) or "none"
    return [
        findings.NO_KEY.found(
            f"{', '.join(fields)}: there is no key {reference.key!r} in the secret scope {scope!r} (there: {there}). "
            f"Put the value with `databricks secrets put-secret {scope} {reference.key}`, or correct the name"
        )
        for reference, fields in wanted.items()
        if reference.key not in keys
    ]


def check_principals(context: Context, asked: WantedDeployment) -> list[Finding]:
    """Those of the principals that the workspace does not know, or knows as another kind than their field names."""
    found = []
    for named in asked.principals:
        wanted = KINDS_BY_FIELD.get(named.field.rpartition(".")[2], "")
        if named.value in _ALWAYS and wanted in ("", "group"):
            continue
        if finding := _lost_principal(facts_of(context), named.field, named.value, wanted):
            found.append(finding)
    return found


def _lost_principal(facts: PermissionFacts, field: str, name: str, wanted: str) -> Finding | None:
    try:
        found = facts.principal(name).kind
    except UnknownPrincipal:
        problem = Problem(field, name, "a principal of this workspace", _CREATE_PRINCIPAL)
        return findings.NO_PRINCIPAL.found(problem)
    if found == wanted or not wanted:
        return None
    try:
        facts.principal(name, kind=wanted)  # two of different kinds may have one name
    except UnknownPrincipal:
        expected = f"the name of a {_words(wanted)}, and this is a {_words(found)}"
        argument = next(each for each, kind in PRINCIPAL_KINDS.items() if kind == found)
        problem = Problem(field, name, expected, f"Name a {_words(wanted)}, or say {argument} instead")
        return findings.OTHER_PRINCIPAL.found(problem)
    return None


def check_tables(context: Context, asked: WantedDeployment) -> list[Finding]:
    """Those of the tables that are not there."""
    remedy = "Correct the name, or leave it out"
    return [
        findings.NO_TABLE.found(Problem(named.field, named.value, "a table that exists", remedy))
        for named in asked.tables
        if facts_of(context).look_up(f"{TABLES}/{segment(named.value)}").presence is Presence.MISSING
    ]


def check_experiment(context: Context, asked: WantedDeployment) -> list[Finding]:
    """Whether there is no such experiment, or only in the bin; one that may not be seen may be right.

    That one is missing which others are let into is told with the permission on it.
    """
    named = asked.experiment
    if not named:
        return []
    found = facts_of(context).look_up(ROUTES[EXPERIMENTS].path.format(segment(named.value)))
    stage = (found.document.get("experiment") or {}).get("lifecycle_stage")
    is_missing = found.presence is Presence.MISSING and not asked.shares_experiment
    if not is_missing and stage != "deleted":
        return []
    remedy = "Create or restore it, correct the id, or leave it out for the one in which the first version was logged"
    return [findings.NO_EXPERIMENT.found(Problem(named.field, named.value, "the id of an MLflow experiment", remedy))]


def check_source_folder(context: Context, asked: WantedDeployment) -> list[Finding]:
    """Whether everybody may write in the source folder. Who else may, the resource tells that writes there."""
    named = asked.source_folder
    if not named or not (error := open_place(facts_of(context), named.value).error):
        return []
    return [findings.FOLDER.found(f"{named.field}: {error}")]


def check_oauth_secrets(context: Context, asked: WantedDeployment) -> list[Finding]:
    """Whether the service principal may have one more OAuth secret, if it is there."""
    if not (id := asked.service_principal_id):
        return []
    try:
        count = sum(1 for _ in secrets_of(looked_up(context), id))
    except ApiError as error:
        # Deleted by hand: the run that is previewed makes another one. Not to be seen: only the run can tell.
        if error.is_missing or error.status == 403:
            return []
        raise
    return [] if count < MAX_SECRETS else [findings.OAUTH_SECRETS.found(too_many_secrets(id, count))]


def _words(kind: str) -> str:
    return kind.replace("_", " ")


# Each gets what is to be verified and returns what is wrong; they run beside each other.
CHECKS: tuple[Callable[[Context, WantedDeployment], list[Finding]], ...] = (
    check_references,
    check_principals,
    check_experiment,
    check_tables,
    check_pipeline,
    check_source_folder,
    check_oauth_secrets,
)
