"""Credentials in an agent's environment: the variables of Databricks' unified authentication, by name.

Source: Databricks, "Databricks client unified authentication"; databricks-sdk, `Config`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.rules.numbers import whole
from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.secrets import looks_like_reference, parse_reference
from agent_deploy.rules.values import known

PASSTHROUGH, SERVICE_PRINCIPAL, MANUAL = "PASSTHROUGH", "SERVICE_PRINCIPAL", "MANUAL"
AUTHS = (PASSTHROUGH, SERVICE_PRINCIPAL, MANUAL)

HOST, CLIENT_ID, CLIENT_SECRET = "DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"
# What must never stand in plain text, whoever reads the endpoint's configuration.
SECRET_VARIABLES = frozenset({"DATABRICKS_TOKEN", CLIENT_SECRET, "DATABRICKS_PASSWORD", "ARM_CLIENT_SECRET"})

# A word of a variable's name that makes its value a credential; and the last one where it is only about a credential.
_CREDENTIAL_WORD = re.compile(r"(?:^|_)(?:KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)")
_ABOUT_ONE = re.compile(
    r"_(?:COUNT|ENDPOINT|FILE|HEADER|ID|LENGTH|LIMIT|NAME|PATH|PREFIX|SCOPE|SIZE|TTL|TYPE|URI|URL)$"
)
_LEAST_CREDENTIAL = 6  # characters; shorter are numbers, true and false
# How tokens of Databricks, OpenAI, GitHub, Slack and AWS begin, and a private key in PEM. Source: their documentation.
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:dapi[0-9a-f]{8}|sk-[\w-]{12}|gh[oprsu]_\w{12}|github_pat_\w{12}|xox[abeoprs]-[\w-]{8}"
    r"|AKIA[A-Z0-9]{12})|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.ASCII,
)
# A password in an address, and the keys of Azure's and of databases' connection strings; no ${placeholder}.
_CONNECTION = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@{}<>$]+@|\b(?:AccountKey|SharedAccessKey|Password|Pwd)=[^\s;{}<>$]{6}",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Method:
    """One way to sign in: the variables that tell it, and all that it takes."""

    auth_type: str
    signs: frozenset[str]
    takes: frozenset[str]


METHODS = (
    Method("pat", frozenset({"DATABRICKS_TOKEN"}), frozenset({HOST, "DATABRICKS_TOKEN"})),
    Method("oauth-m2m", frozenset({CLIENT_ID, CLIENT_SECRET}), frozenset({HOST, CLIENT_ID, CLIENT_SECRET})),
    Method(
        "basic",
        frozenset({"DATABRICKS_USERNAME", "DATABRICKS_PASSWORD"}),
        frozenset({HOST, "DATABRICKS_USERNAME", "DATABRICKS_PASSWORD"}),
    ),
    Method(
        "azure-client-secret",
        frozenset({"ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "ARM_TENANT_ID"}),
        frozenset({HOST, "ARM_CLIENT_ID", "ARM_CLIENT_SECRET", "ARM_TENANT_ID"}),
    ),
)
# What a service principal that exists is given by.
_EXISTING = {
    "application_id": "the application id of a service principal",
    "client_secret": "an OAuth secret of the service principal, as a Pulumi secret or as {{secrets/scope/key}}",
}
_OWN = frozenset().union(*(method.signs for method in METHODS))
# The arguments that count with auth = SERVICE_PRINCIPAL alone.
OF_SERVICE_PRINCIPAL = ("rotation_days", "secret_lifetime_days", "service_principal")


def check_auth(args: Mapping[str, object]) -> list[Problem]:
    """Problems of ``auth`` and of what goes with it."""
    auth = args.get("auth") or PASSTHROUGH
    if auth not in AUTHS:
        return [not_one_of("auth", auth, AUTHS)]
    problems = []
    if auth == MANUAL and args.get("resources"):
        remedy = "Take resources out, or choose PASSTHROUGH or SERVICE_PRINCIPAL"
        problems.append(Problem("resources", None, "none with auth = MANUAL, where nothing is granted", remedy))
    only = "only with auth = SERVICE_PRINCIPAL"
    for field in OF_SERVICE_PRINCIPAL:
        if auth != SERVICE_PRINCIPAL and args.get(field) is not None:
            problems.append(Problem(field, None, only, "Take it out, or set auth"))
    problems += check_existing("service_principal", args)
    return problems + check_rotation("", args.get("rotation_days"), args.get("secret_lifetime_days"))


def check_existing(field: str, args: Mapping[str, Any]) -> list[Problem]:
    """Problems of a service principal that exists, the argument ``field``, and of what does not go with one."""
    existing = args.get(field)
    if not isinstance(existing, Mapping):
        return []
    exposed = _is_exposed(CLIENT_SECRET, existing.get("client_secret"))
    problems = [_plain_text(field, "client_secret")] if exposed else []
    expected = f"none beside {field}, whose secret is rotated by whoever owns it"
    beside = [name for name in ("rotation_days", "secret_lifetime_days") if args.get(name) is not None]
    return problems + [Problem(name, args[name], expected, "Take it out") for name in beside]


def check_complete(field: str, existing: object) -> Iterator[Problem]:
    """What is missing of a service principal that exists."""
    if not isinstance(existing, Mapping):
        return
    remedy = f"Give it (config.get() and config.get_secret() have None for a key that is not set), or leave {field} out"
    for name, expected in _EXISTING.items():
        value = existing.get(name)
        if value is None or value == "":
            yield Problem(f"{field}.{name}", None, expected, remedy)


def check_rotation(prefix: str, rotation_days: object, lifetime_days: object) -> list[Problem]:
    """A secret must live longer than it is used."""
    problems = []
    for field, value in (("rotation_days", rotation_days), ("secret_lifetime_days", lifetime_days)):
        if value is not None and not 1 <= (whole(value) or 0) <= MAX_LIFETIME_DAYS:
            expected = f"a whole number of days from 1 to {MAX_LIFETIME_DAYS}"
            problems.append(Problem(f"{prefix}{field}", value, expected))
    both = not problems and rotation_days is not None and lifetime_days is not None
    if both and (whole(lifetime_days) or 0) <= (whole(rotation_days) or 0):
        expected = f"more than rotation_days ({rotation_days}), or the secret expires while it is used"
        problems.append(Problem(f"{prefix}secret_lifetime_days", lifetime_days, expected))
    return problems


# Source: Databricks, "Authorize service principal access with OAuth": at most 730 days, 5 secrets a principal.
MAX_LIFETIME_DAYS, MAX_SECRETS = 730, 5


def too_many_secrets(principal: str, count: int) -> str:
    """Why a principal gets no further OAuth secret, and what to do."""
    return (
        f"service principal {principal} has {count} OAuth secrets, and the platform allows {MAX_SECRETS}: the new "
        "one that is due cannot be made. Delete one that nobody uses in the principal's settings (Secrets), "
        "not the one that this deployment made last, as the agent signs in with it"
    )


def check_credentials(field: str, environment: Mapping[str, object], auth: str) -> list[Problem]:
    """Problems of the variables by which the agent signs in."""
    problems = check_own_credentials(field, environment, auth)
    if auth not in (PASSTHROUGH, MANUAL):
        return problems
    begun = [method for method in METHODS if method.signs & set(environment)]
    pinned = known(environment.get("DATABRICKS_AUTH_TYPE"))
    if pinned is not None:
        begun = [method for method in begun if method.auth_type == pinned]
    if len(begun) > 1:
        named = " and ".join(method.auth_type for method in begun)
        remedy = "Keep the variables of one, or say which by DATABRICKS_AUTH_TYPE"
        problems.append(Problem(field, None, f"one way to sign in, but {named} are both there", remedy))
    for method in begun[:1]:
        if len(begun) == 1 and (missing := sorted(method.takes - set(environment))):
            there = ", ".join(sorted(method.signs & set(environment)))
            problems.append(Problem(f"{field} ({method.auth_type}: {there})", None, f"{', '.join(missing)} as well"))
    return problems


def check_own_credentials(field: str, environment: Mapping[str, object], auth: str) -> list[Problem]:
    """As far as it shows in one environment, whatever others add: plain text, and what a deployment sets itself."""
    problems = [_plain_text(field, key) for key, value in environment.items() if _is_exposed(key, value)]
    if auth == SERVICE_PRINCIPAL:
        # DATABRICKS_HOST may be the user's.
        expected = "not to be set with auth = SERVICE_PRINCIPAL, which sets it"
        own = sorted(_OWN & set(environment))
        problems += [Problem(f"{field}[{key!r}]", None, expected, "Take it out") for key in own]
    return problems


def looks_like_token(text: str) -> bool:
    """Whether something in the text begins as known tokens do, or is a connection string with its password."""
    return bool(_TOKENS.search(text) or _CONNECTION.search(text))


def looks_like_credential(key: str, value: object) -> bool:
    """Whether a variable seems to hold a credential in plain text: by its name, or as known tokens begin."""
    if not isinstance(value, str) or looks_like_reference(value):
        return False
    named = bool(_CREDENTIAL_WORD.search(key.upper())) and not _ABOUT_ONE.search(key.upper())
    # A path leads to the credential, it is none.
    return looks_like_token(value) or (named and len(value) >= _LEAST_CREDENTIAL and not value.startswith("/"))


def exposed_warning(fields: Sequence[str]) -> str:
    """What is told of variables that seem to hold a credential; their values are not shown."""
    seem = "seems to hold a credential" if len(fields) == 1 else "seem to hold credentials"
    where = "in plain text, to be read in previews, in the stack's state and in the endpoint's configuration"
    return f"{', '.join(fields)}: {seem} {where}. {_two_ways('it' if len(fields) == 1 else 'each', 'the value as')}"


def _is_exposed(key: str, value: object) -> bool:
    return key in SECRET_VARIABLES and isinstance(value, str) and parse_reference(value) is None


def _plain_text(field: str, key: str) -> Problem:
    # The value is not shown: it is the secret.
    return Problem(f"{field}[{key!r}]", None, "a secret, not plain text", _two_ways("it", f"{key}:"))


def _two_ways(what: str, variable: str) -> str:
    return (
        f"Either keep {what} in the stack (pulumi config set --secret, then config.require_secret), or put {what} into "
        f"a secret scope and write {variable} {{{{secrets/scope/key}}}}"
    )
