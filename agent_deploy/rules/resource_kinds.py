"""What an agent may declare that it needs: kinds of resource, what each is to Databricks, and the privilege on it.

Sources: MLflow, `mlflow.models.resources`, for the kinds; Databricks, "Authentication for dependent resources" and
"Authentication for AI agents (Model Serving)", for the privileges; for a vector search index, "Add a vector search
index resource to a Databricks app" (an index is a table to Unity Catalog: Can Use is SELECT there).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.records import camel_case, described
from agent_deploy.rules.unity_catalog import Requirement, Securable, requirements
from agent_deploy.rules.values import is_known


@dataclass(frozen=True, order=True)
class Resource:
    """One declared resource; ``on_behalf_of_user``: reached as the user who asks, so the agent is given nothing."""

    kind: str = described("sql_warehouse, table, function, …, as MLflow names it in a model's MLmodel.")
    name: str = described("Name or id, as MLflow wants it.")
    on_behalf_of_user: bool = described(
        "Reached as the user who asks: the agent is given nothing. Default false.", False
    )
    writes: bool = described("Whether the agent writes there, too. Of a volume or a table. Default false.", False)

    @classmethod
    def of(cls, given: Mapping[str, Any], kind: str | None = None) -> Resource:
        """Out of what a program or an MLmodel document says; its name may be unknown yet, or have any mistake."""
        name = given.get("name") or ""
        said = {each.name: given.get(each.name, given.get(camel_case(each.name))) for each in fields(cls)[2:]}
        return cls(
            str(given.get("kind") or "") if kind is None else kind,
            str(name) if is_known(name) else name,
            **{flag: bool(value) for flag, value in said.items()},
        )

    def given(self) -> Any:
        """As a program says it."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        kind = KINDS.get(self.kind)
        return f"{kind.title if kind else self.kind} {self.name}"


@dataclass(frozen=True)
class Syntax:
    """What a name of a kind looks like; ``example`` is shown beside a wrong one."""

    pattern: re.Pattern[str]
    expected: str
    example: str


@dataclass(frozen=True)
class Kind:
    """A row of the table. Either ``securable`` (Unity Catalog's type) or ``object_type`` (permissions API's path)."""

    name: str
    title: str
    syntax: Syntax
    deployer: str  # privilege or level that whoever deploys must have
    agent: str  # privilege or level that the agent is given
    securable: str = ""
    object_type: str = ""
    # Whether the platform makes an identity for the agent and gives it this resource by itself.
    passthrough: bool = True
    # What both need besides where the agent writes, too.
    writer: str = ""
    # What no API of the workspace shows, so that it can only be told, not checked.
    beyond: str = ""


@dataclass(frozen=True, order=True)
class WorkspaceObject:
    """An object with an access control list: ``type`` is the permissions API's path, ``name`` what users declare."""

    type: str
    name: str

    def __str__(self) -> str:
        kind = OBJECT_TYPES.get(self.type)
        return f"{kind.title if kind else self.type} '{self.name}'"


@dataclass(frozen=True)
class Route:
    """Where an object answers for itself; ``id_field`` is empty when the permissions API knows it by its name."""

    path: str
    id_field: str = ""
    # Field of the answer that says which level the caller himself has.
    level_field: str = ""


Target = Securable | WorkspaceObject

# Permissions API's path → where the object is found by the name that users know.
ROUTES: Mapping[str, Route] = {
    "serving-endpoints": Route("/api/2.0/serving-endpoints/{}", "id", "permission_level"),
    "vector-search-endpoints": Route("/api/2.0/vector-search/endpoints/{}", "id"),
    "sql/warehouses": Route("/api/2.0/sql/warehouses/{}"),
    "genie": Route("/api/2.0/genie/spaces/{}"),
    "apps": Route("/api/2.0/apps/{}"),
    "database-instances": Route("/api/2.0/database/instances/{}"),
    "experiments": Route("/api/2.0/mlflow/experiments/get?experiment_id={}"),
}

# Unity Catalog: no period, space, slash or control character in a level; a backtick would end a quoted name.
_LEVEL = r"[^.\s/`\x00-\x1f\x7f]{1,255}"
_THREE = Syntax(re.compile(rf"{_LEVEL}\.{_LEVEL}\.{_LEVEL}"), "a Unity Catalog name of three levels", "main.default.x")
_ONE = Syntax(re.compile(_LEVEL), "a name of one level, without period, space or slash", "github")
_ID = Syntax(re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"), "an id of letters, digits, '-' and '_'", "0123456789abcdef")
_ENDPOINT = Syntax(
    re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"),
    "1 to 63 letters, digits, '-', '_' or '.', the first and the last a letter or digit",
    "databricks-gte-large-en",
)
_HYPHENATED = Syntax(
    re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"), "1 to 63 letters, digits and '-'", "my-app"
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("sql_warehouse", "SQL warehouse", _ID, "CAN_USE", "CAN_USE", object_type="sql/warehouses"),
        Kind(
            "serving_endpoint",
            "Serving endpoint",
            _ENDPOINT,
            "CAN_QUERY",
            "CAN_QUERY",
            object_type="serving-endpoints",
        ),
        Kind("function", "Function", _THREE, "EXECUTE", "EXECUTE", securable="function"),
        Kind("genie_space", "Genie space", _ID, "CAN_RUN", "CAN_RUN", object_type="genie"),
        Kind("vector_search_index", "Vector search index", _THREE, "SELECT", "SELECT", securable="table"),
        Kind("table", "Table", _THREE, "SELECT", "SELECT", securable="table", writer="MODIFY"),
        Kind("uc_connection", "Connection", _ONE, "USE_CONNECTION", "USE_CONNECTION", securable="connection"),
        Kind(
            "lakebase",
            "Database instance",
            _HYPHENATED,
            "CAN_USE",
            "CAN_USE",
            object_type="database-instances",
            beyond="membership in databricks_superuser is kept inside the database, where only it can be looked up",
        ),
        Kind("app", "App", _HYPHENATED, "CAN_USE", "CAN_USE", object_type="apps", passthrough=False),
        Kind("uc_model_service", "Model service", _THREE, "EXECUTE", "EXECUTE", "model_service", passthrough=False),
        Kind(
            "volume",
            "Volume",
            _THREE,
            "READ_VOLUME",
            "READ_VOLUME",
            securable="volume",
            passthrough=False,
            writer="WRITE_VOLUME",
        ),
    )
}


def check_resources(field: str, resources: Sequence[Resource]) -> list[Problem]:
    """Unknown kinds and malformed names; ``field`` as the user wrote it, each resource by its index."""
    problems = []
    for index, resource in enumerate(resources):
        where = f"{field}[{index}]"
        kind = KINDS.get(resource.kind)
        if kind is None:
            newer = "A kind that a newer MLflow knows needs a newer agent_deploy"
            problems.append(not_one_of(f"{where}.kind", resource.kind, KINDS, otherwise=newer))
        elif resource.writes and not kind.writer:
            writable = ", ".join(each.name for each in KINDS.values() if each.writer)
            problems.append(Problem(f"{where}.writes", True, f"only with kind {writable}", "Take it out"))
        elif is_known(resource.name) and not kind.syntax.pattern.fullmatch(resource.name):
            expected = f"{kind.syntax.expected}, such as {kind.syntax.example!r} ({kind.title})"
            problems.append(Problem(f"{where}.name", resource.name, expected))
    return problems


def without_passthrough(resources: Iterable[Resource]) -> list[Resource]:
    """Those that the platform's automatic passthrough does not support; they need a service principal of their own."""
    reads_only = {kind.name for kind in KINDS.values() if kind.passthrough}
    return [each for each in resources if not each.on_behalf_of_user and (each.writes or each.kind not in reads_only)]


def target(resource: Resource) -> Target:
    """The securable or the workspace object that a declared resource is."""
    kind = KINDS[resource.kind]
    if kind.securable:
        return Securable.of(kind.securable, resource.name)
    return WorkspaceObject(kind.object_type, resource.name)


@dataclass(frozen=True)
class Access:
    """What one principal needs on one object: a privilege, or a level of the object's access control list."""

    target: Target
    privilege: str


def access(resource: Resource, privilege: str) -> list[Access]:
    """A privilege on a resource and, for Unity Catalog, USE CATALOG and USE SCHEMA around it, outermost first."""
    found = target(resource)
    if isinstance(found, WorkspaceObject):
        return [Access(found, privilege)]
    written = [Access(found, KINDS[resource.kind].writer)] if resource.writes else []
    return [*(_access(needed) for needed in requirements(privilege, found)), *written]


def deployer_access(resource: Resource) -> list[Access]:
    """What whoever deploys must have; nothing for a resource that is reached on behalf of the user who asks."""
    return [] if resource.on_behalf_of_user else access(resource, KINDS[resource.kind].deployer)


def agent_access(resources: Iterable[Resource]) -> list[Access]:
    """What the agent must be given for all its resources, each privilege once, parents before what is in them."""
    found: dict[Access, None] = {}
    for resource in resources:
        if not resource.on_behalf_of_user:
            found.update(dict.fromkeys(access(resource, KINDS[resource.kind].agent)))
    return list(found)


def agent_grants(
    resources: Iterable[Resource], open_to_all: Collection[tuple[str, str, str]] = ()
) -> dict[Securable, tuple[str, ...]]:
    """Securable → the agent's privileges there, sorted: one grant each.

    ``open_to_all`` (securable's type, name, privilege) is what everybody has and nobody must be given.
    """
    grants: dict[Securable, set[str]] = {}
    for needed in agent_access(resources):
        if isinstance(needed.target, Securable):
            if (needed.target.type, needed.target.name, needed.privilege) in open_to_all:
                continue
            grants.setdefault(needed.target, set()).add(needed.privilege)
    return {securable: tuple(sorted(privileges)) for securable, privileges in grants.items()}


def agent_permissions(resources: Iterable[Resource]) -> dict[WorkspaceObject, str]:
    """Workspace object → the agent's level there: one permission each."""
    return {
        needed.target: needed.privilege
        for needed in agent_access(resources)
        if isinstance(needed.target, WorkspaceObject)
    }


def _access(needed: Requirement) -> Access:
    return Access(needed.securable, needed.privilege)
