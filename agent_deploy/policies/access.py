"""Policies about who may do what: privileges, permissions, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from agent_deploy.policies.policy import ADVISORY, MANDATORY, Policy, Resource, Setting, Values, everywhere, names
from agent_deploy.rules.feedback_model import MODEL as FEEDBACK
from agent_deploy.rules.groups import EVERYBODY
from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.rotation import period
from agent_deploy.rules.unity_catalog import ALL_PRIVILEGES
from agent_deploy.rules.values import is_known

GRANT: Final = "databricks:index/grant:Grant"
GRANTS: Final = "databricks:index/grants:Grants"
OWN_GRANT: Final = "agent-deploy:index:SecurableGrant"
PERMISSIONS: Final = "databricks:index/permissions:Permissions"
OWN_PERMISSION: Final = "agent-deploy:index:ObjectPermission"
SECRET_ACL: Final = "databricks:index/secretAcl:SecretAcl"
OWN_SECRET: Final = "agent-deploy:index:ServicePrincipalSecret"
VENDOR_SECRET: Final = "databricks:index/servicePrincipalSecret:ServicePrincipalSecret"
FILE: Final = "databricks:index/workspaceFile:WorkspaceFile"
OWN_FILE: Final = "agent-deploy:index:WorkspaceFile"

_GRANTS: Final = frozenset({GRANT, GRANTS, OWN_GRANT})
_SERVING: Final = "serving-endpoints"
_PRINCIPALS: Final = ("groupName", "userName", "servicePrincipalName")


def _grants(resource: Resource) -> Iterator[tuple[str, list[str]]]:
    """Principal and privileges, as far as they are known."""
    several = resource.properties.get("grants") if resource.type == GRANTS else [resource.properties]
    for grant in several if isinstance(several, Sequence) else ():
        if not isinstance(grant, Mapping):
            continue
        principal, privileges = grant.get("principal"), grant.get("privileges")
        if is_known(principal) and isinstance(privileges, Sequence):
            yield str(principal), [_privilege(each) for each in privileges if isinstance(each, str)]


def _privilege(name: str) -> str:
    return name.upper().replace(" ", "_")


def _is_too_much(resource: Resource, settings: Values) -> Iterator[str]:
    refused = {_privilege(each) for each in settings["privileges"]}
    for principal, privileges in _grants(resource):
        if found := sorted(refused & set(privileges)):
            yield f"{principal} gets {', '.join(found)}"


ALL_OF_THEM = Policy(
    "AGD004",
    "no ALL PRIVILEGES",
    "An agent that may do everything can be talked into everything.",
    "Databricks, Unity Catalog privileges and securable objects: ALL PRIVILEGES",
    MANDATORY,
    "Grant the privileges that are needed by name",
    _GRANTS,
    _is_too_much,
    settings=(everywhere(), names("privileges", "Privileges that nobody is granted.", [ALL_PRIVILEGES])),
)


def _is_for_all(resource: Resource, settings: Values) -> Iterator[str]:
    for principal, privileges in _grants(resource):
        # The feedback model is everybody's to execute, as databricks.agents.deploy() has it.
        given = [each for each in privileges if not (each == "EXECUTE" and _is_feedback(resource))]
        if principal.lower() in EVERYBODY and given:
            yield f"everybody ({principal}) gets {', '.join(given)}"


def _is_feedback(resource: Resource) -> bool:
    named = (resource.properties.get(field) for field in ("model", "function", "fullName"))
    return any(isinstance(name, str) and name.rpartition(".")[2] == FEEDBACK for name in named)


FOR_ALL = Policy(
    "AGD005",
    "no privilege for everybody",
    "What all users of the account may read, every agent and every guest may read.",
    "Databricks, Manage privileges in Unity Catalog: account users",
    MANDATORY,
    "Grant it to a group of those who need it",
    _GRANTS,
    _is_for_all,
)


def _accesses(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """Kind of principal, its name and the level, as far as they are known."""
    given = resource.properties
    if resource.type == OWN_PERMISSION:
        kind, principal, level = (given.get(each) for each in ("principalKind", "principal", "level"))
        if all(isinstance(each, str) for each in (kind, principal, level)):
            yield str(kind), str(principal), str(level)
        return
    controls = given.get("accessControls")
    for control in controls if isinstance(controls, Sequence) else ():
        if not isinstance(control, Mapping) or not isinstance(level := control.get("permissionLevel"), str):
            continue
        for field in _PRINCIPALS:
            if isinstance(principal := control.get(field), str):
                yield field.removesuffix("Name").replace("serviceP", "service_p"), principal, level


def _is_endpoint(resource: Resource) -> bool:
    if resource.type == OWN_PERMISSION:
        return resource.properties.get("objectType") == _SERVING
    return "servingEndpointId" in resource.properties


def _is_not_listed(resource: Resource, settings: Values) -> Iterator[str]:
    listed = {"group": settings["groups"], "service_principal": settings["servicePrincipals"]}
    if not _is_endpoint(resource) or not any(listed.values()):
        return
    for kind, principal, level in _accesses(resource):
        if OBJECT_TYPES[_SERVING].allows(level, "CAN_QUERY") and principal not in listed.get(kind, ()):
            yield f"the {kind.replace('_', ' ')} {principal} may query the endpoint ({level}), and is not listed"


LISTED = Policy(
    "AGD009",
    "only listed groups may query",
    "Who may ask an agent is decided once for an environment, not in each program.",
    "Databricks, Access control lists: serving endpoint ACLs",
    MANDATORY,
    "Give the permission to a listed group, or have the policy's settings list it",
    frozenset({PERMISSIONS, OWN_PERMISSION}),
    _is_not_listed,
    settings=(
        everywhere(),
        names("groups", "Groups that may query. While nobody is listed at all, nothing is judged."),
        names("servicePrincipals", "Application ids of service principals that may query."),
    ),
)

_PERIOD = re.compile(r"\d{4}-\d\d-\d\d/(?P<days>\d+)d")  # as rules/rotation.py writes one


def _rotates(resource: Resource, settings: Values) -> str:
    """What is wrong with the rotation; empty where nothing is."""
    when, most = resource.properties.get("timeRotating"), settings["days"]
    if when in (None, ""):
        return "it is never rotated"
    found = _PERIOD.fullmatch(when) if isinstance(when, str) else None
    return f"it is rotated every {found['days']} days, not every {most}" if found and int(found["days"]) > most else ""


def _does_not_rotate(resource: Resource, settings: Values) -> Iterator[str]:
    if wrong := _rotates(resource, settings):
        yield wrong


def _rotate(resource: Resource, settings: Values, today: date) -> dict[str, Any]:
    return {"timeRotating": period(settings["days"], today)} if _rotates(resource, settings) else {}


ROTATION = Policy(
    "AGD011",
    "secrets of service principals rotate",
    "A secret that was copied once is good for two years where nobody makes a new one.",
    "Databricks, Authorize service principal access with OAuth: secrets live for up to 730 days",
    ADVISORY,
    "Set rotation_days",
    frozenset({OWN_SECRET, VENDOR_SECRET}),
    _does_not_rotate,
    mend=_rotate,
    mends="timeRotating",
    settings=(
        everywhere(),
        Setting(
            "days",
            "How many days a secret is used at most; remediation rotates as often.",
            {"type": "integer", "minimum": 1, "default": 90},
        ),
    ),
)


def _is_public(resource: Resource, settings: Values) -> Iterator[str]:
    if resource.type in (FILE, OWN_FILE):
        # Ours has a folder and a name within it, the vendor's a path.
        place = resource.properties.get("folder" if resource.type == OWN_FILE else "path")
        if isinstance(place, str) and f"{place}/".startswith("/Shared/"):
            yield f"every user of the workspace may write what lies in {place}"
        return
    accesses = _accesses(resource)
    if resource.type == SECRET_ACL:
        accesses = iter([("group", str(resource.properties.get("principal")), "the secrets of the scope")])
    for _, principal, level in accesses:
        if principal.lower() in EVERYBODY:
            yield f"everybody ({principal}) gets {level}"


PUBLIC = Policy(
    "AGD012",
    "nothing is public",
    "An agent answers with what it may read; whoever may ask it may read that as well.",
    "Databricks, Access control lists; the groups users and account users hold everybody",
    MANDATORY,
    "Name a group of those who need it",
    frozenset({PERMISSIONS, OWN_PERMISSION, SECRET_ACL, FILE, OWN_FILE}),
    _is_public,
)
