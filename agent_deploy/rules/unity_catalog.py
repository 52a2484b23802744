"""Unity Catalog's privileges: what may be granted on which securable, how it is inherited, what an action needs.

Source: Databricks, "Unity Catalog privileges and securable objects" and "Manage Unity Catalog object ownership".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent_deploy.rules.groups import ADMINS

ALL_PRIVILEGES, MANAGE, BROWSE = "ALL_PRIVILEGES", "MANAGE", "BROWSE"
USE_CATALOG, USE_SCHEMA = "USE_CATALOG", "USE_SCHEMA"
# What ALL PRIVILEGES does not include.
NOT_IN_ALL = frozenset({MANAGE, "EXTERNAL_USE_SCHEMA", "EXTERNAL_USE_LOCATION"})

_ANY = frozenset({ALL_PRIVILEGES, MANAGE})
_TABLE = _ANY | {"SELECT", "MODIFY", "REFRESH", "APPLY_TAG"}
_VOLUME = _ANY | {"READ_VOLUME", "WRITE_VOLUME", "APPLY_TAG"}
_FUNCTION = _ANY | {"EXECUTE", "APPLY_TAG", "CREATE_MODEL_VERSION"}
_SCHEMA = (
    _TABLE
    | _VOLUME
    | _FUNCTION
    | {USE_SCHEMA, "EXTERNAL_USE_SCHEMA", "CREATE_TABLE", "CREATE_FUNCTION", "CREATE_MODEL", "CREATE_VOLUME"}
    | {"CREATE_MATERIALIZED_VIEW", "CREATE_SERVICE"}
)

# Securable type → the privileges that may be granted on it (those of its children are inherited by them).
PRIVILEGES: Mapping[str, frozenset[str]] = {
    "metastore": frozenset(
        {"CREATE_CATALOG", "CREATE_CONNECTION", "CREATE_EXTERNAL_LOCATION", "CREATE_STORAGE_CREDENTIAL"}
        | {"CREATE_SERVICE_CREDENTIAL", "CREATE_SHARE", "CREATE_RECIPIENT", "CREATE_PROVIDER", "MANAGE_ALLOWLIST"}
        | {"USE_MARKETPLACE_ASSETS", "USE_PROVIDER", "USE_RECIPIENT", "USE_SHARE", "SET_SHARE_PERMISSION"}
    ),
    "catalog": _SCHEMA | {USE_CATALOG, "CREATE_SCHEMA", BROWSE},
    "schema": _SCHEMA,
    "table": _TABLE,
    "volume": _VOLUME,
    "function": _FUNCTION,
    "connection": _ANY | {"USE_CONNECTION", "CREATE_FOREIGN_CATALOG"},
    "external_location": _ANY | {"READ_FILES", "WRITE_FILES", "CREATE_EXTERNAL_TABLE", BROWSE},
    "storage_credential": _ANY | {"READ_FILES", "WRITE_FILES", "CREATE_EXTERNAL_LOCATION"},
    "credential": _ANY | {"ACCESS"},
    "model_service": _ANY | {"EXECUTE", "APPLY_TAG"},
}
# A registered model is a function to the permissions API; the old names of the hive metastore's privileges stay out.
_ALIASES = {"model": "function", "registered_model": "function", "foreign_connection": "connection", "view": "table"}
# How error messages call a securable.
_TITLES = {"function": "Routine or Model", "external_location": "External Location"}

_USE = {"catalog": USE_CATALOG, "schema": USE_SCHEMA}


@dataclass(frozen=True, order=True)
class Securable:
    """``type`` is the permissions API's word; ``name`` the full name in lower case, as Unity Catalog keeps it."""

    type: str
    name: str

    @classmethod
    def of(cls, securable_type: str, full_name: str) -> Securable:
        """From any spelling: ``model`` is ``function``, names are case-insensitive."""
        kind = securable_type.lower()
        return cls(_ALIASES.get(kind, kind), full_name.lower())

    @property
    def parents(self) -> tuple[Securable, ...]:
        """Nearest first: schema, catalog. The metastore is nobody's parent here: its privileges are not inherited."""
        levels = self.name.split(".")
        found = []
        if len(levels) > 2:
            found.append(Securable("schema", ".".join(levels[:2])))
        if len(levels) > 1:
            found.append(Securable("catalog", levels[0]))
        return tuple(found)

    def __str__(self) -> str:
        return f"{_TITLES.get(self.type, self.type.replace('_', ' ').title())} '{self.name}'"


@dataclass(frozen=True)
class Requirement:
    """A privilege on a securable."""

    privilege: str
    securable: Securable

    def __str__(self) -> str:
        return f"{self.privilege.replace('_', ' ')} on {self.securable}"


class Facts(Protocol):
    """What decisions need to know of the metastore."""

    def owner(self, securable: Securable) -> str:
        """User, service principal or group that owns it; empty when it does not exist."""

    def grants(self, securable: Securable) -> Mapping[str, Collection[str]]:
        """Privileges granted on this very securable, by principal."""


def requirements(privilege: str, securable: Securable) -> tuple[Requirement, ...]:
    """All that an action needs: USE CATALOG and USE SCHEMA on the parents, then the privilege itself.

    Whoever creates something in a catalog or schema uses that one, too.
    """
    path = tuple(reversed(securable.parents))
    if privilege.startswith("CREATE_") and securable.type in _USE:
        path = (*path, securable)
    return (*(Requirement(_USE[level.type], level) for level in path), Requirement(privilege, securable))


def effective(identities: Collection[str], securable: Securable, facts: Facts) -> frozenset[str]:
    """What the bearer of these names has on the securable: granted, inherited, or as its owner."""
    applicable = PRIVILEGES.get(securable.type, _ANY) | {BROWSE}
    if facts.owner(securable) in identities:
        return applicable
    found: set[str] = set()
    for level in (securable, *securable.parents):
        grants = facts.grants(level)
        for identity in identities:
            found.update(grants.get(identity, ()))
    if ALL_PRIVILEGES in found:
        found |= applicable - NOT_IN_ALL
    # Owning a parent gives no access to data, but the right to manage what is in it.
    if MANAGE not in found and manages(identities, securable, facts):
        found.add(MANAGE)
    return applicable & found


def manages(identities: Collection[str], securable: Securable, facts: Facts) -> bool:
    """Whether the bearer owns the securable, or what it is in, or administers the metastore."""
    owners = {facts.owner(level) for level in (securable, *securable.parents)}
    return ADMINS in identities or bool(owners & set(identities))


def missing(identities: Collection[str], privilege: str, securable: Securable, facts: Facts) -> list[Requirement]:
    """The requirements that are not met, parents first; empty when the action is allowed.

    To look (BROWSE) any privilege on the securable is enough; to look and to manage, managing a parent, too.
    """
    if privilege == BROWSE and BROWSE in effective(identities, securable, facts):
        return []
    looks = privilege in (MANAGE, BROWSE)
    lacking = []
    for needed in requirements(privilege, securable):
        held = effective(identities, needed.securable, facts)
        met = needed.privilege in held or (needed.privilege == BROWSE and bool(held))
        if not met and not (looks and manages(identities, needed.securable, facts)):
            lacking.append(needed)
    return lacking


def visible(identities: Collection[str], securable: Securable, facts: Facts) -> bool:
    """Whether the bearer may see that it exists."""
    return not missing(identities, BROWSE, securable, facts)
