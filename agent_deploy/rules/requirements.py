"""What a deployment needs of a workspace, besides its resources: one field for each, with the privileges that it takes.

A further requirement is one more field here, and its value in rules/verifiable.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from agent_deploy.rules.inference_tables import READ_PRIVILEGES, run_privileges
from agent_deploy.rules.object_permissions import CAN_MANAGE
from agent_deploy.rules.records import described
from agent_deploy.rules.resource_kinds import Access, Resource, WorkspaceObject, deployer_access
from agent_deploy.rules.unity_catalog import MANAGE, Securable, requirements

# A secret scope has its own, simpler list. Source: Databricks, "Secret access control".
SECRET_SCOPE = "secret-scopes"
# What is about no object of its own: rights in the workspace.
WORKSPACE = WorkspaceObject("workspace", "")
WORKSPACE_ADMIN = "workspace admin"
# Source: Databricks, "Create custom model serving endpoints", identity and access.
ENDPOINT_ENTITLEMENT = "workspace-access"


@dataclass(frozen=True)
class Need:
    """One privilege on one object.

    ``purpose`` is what the object is for, in a user's words; empty where it is only around something else.
    """

    access: Access
    kind: str
    purpose: str = ""
    # To be created, or changed where it exists.
    creates: bool = False
    # To give this privilege, unless everybody has it anyhow; or to these alone, unless each of them was granted it.
    gives: str = ""
    receivers: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The object, as a user would call it."""
        return self.purpose or str(self.access.target)


def needs(resources: Iterable[Resource], wanted: Requirements) -> list[Need]:
    """Everything to look at, each privilege on each object once, in the order of the declaration."""
    resources = list(resources)
    found: dict[tuple[Access, tuple[str, ...], str], Need] = {}
    for need in (*_of_resources(resources), *_of_deployment(wanted, resources)):
        found.setdefault((need.access, need.receivers, need.gives), need)
    return sorted(found.values(), key=lambda need: need.access.target == WORKSPACE)


def _of_resources(resources: Sequence[Resource]) -> Iterator[Need]:
    for resource in resources:
        yield from _needs(deployer_access(resource), resource.kind, str(resource))


def _of_deployment(wanted: Requirements, resources: Sequence[Resource]) -> Iterator[Need]:
    for each in fields(wanted):
        if getattr(wanted, each.name):
            yield from each.metadata["needs"](wanted, resources)


def _needs(needed: Sequence[Access], kind: str, purpose: str) -> Iterator[Need]:
    for each in needed[:-1]:
        yield Need(each, each.target.type)
    for each in needed[-1:]:
        yield Need(each, kind, purpose)


def in_catalog(privilege: str, securable: Securable, kind: str, purpose: str) -> Iterator[Need]:
    """A privilege on an object of Unity Catalog, after those on what it is in."""
    needed = [Access(each.securable, each.privilege) for each in requirements(privilege, securable)]
    yield from _needs(needed, kind, purpose)


def _grants(_: Requirements, resources: Sequence[Resource]) -> Iterator[Need]:
    """Whoever gives a privilege manages the object, and what is around it for USE CATALOG and USE SCHEMA."""
    for resource in resources:
        needed = deployer_access(resource)
        for each in needed:
            manage = CAN_MANAGE if isinstance(each.target, WorkspaceObject) else MANAGE
            own = (resource.kind, str(resource)) if each is needed[-1] else (each.target.type, "")
            yield Need(Access(each.target, manage), *own, gives=each.privilege)


def _model(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    securable = Securable.of("function", str(wanted.model_name))
    yield from in_catalog("EXECUTE", securable, "model", f"Model {wanted.model_name}")


def _creates(privilege: str, schema: str | None, what: str) -> Iterator[Need]:
    securable = Securable.of("schema", str(schema))
    yield from in_catalog(privilege, securable, "schema", f"Schema {schema} ({what})")


def _readers(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    for each in _around(wanted.inference_schema):
        shown = f"{each} (for the readers of the inference tables)"
        use = READ_PRIVILEGES[each.type]
        yield Need(Access(each, MANAGE), each.type, shown, gives=use, receivers=wanted.readers)


def _run_as(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    around = _around(wanted.inference_schema)
    table = (Securable.of("table", wanted.payload_table),) if wanted.payload_table else ()
    for each in (*around, *table) if around else ():
        shown = f"{each} (for run_as of the inference tables)"
        for privilege in run_privileges(each.type):
            yield Need(Access(each, MANAGE), each.type, shown, gives=privilege, receivers=(str(wanted.run_as),))
    for place in around[-1:] if wanted.readers else ():
        # Whoever derives owns the tables, and only who manages what they are in lets others read them.
        yield Need(Access(place, MANAGE), "schema", f"{place} (for the readers of what run_as derives)")


def _around(schema: str | None) -> tuple[Securable, ...]:
    place = Securable.of("schema", schema) if schema else None
    return (*place.parents, place) if place else ()


def _warehouse(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    warehouse = Resource("sql_warehouse", str(wanted.sql_warehouse))
    shown = f"{warehouse} (warehouse_id of the inference tables)"
    yield from _needs(deployer_access(warehouse), warehouse.kind, shown)


def _lent_warehouse(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    # Whoever does not manage it may not even read who may use it.
    warehouse = Resource("sql_warehouse", str(wanted.run_as_warehouse))
    shown = f"{warehouse} (for run_as of the inference tables)"
    yield Need(Access(deployer_access(warehouse)[-1].target, CAN_MANAGE), warehouse.kind, shown)


def _endpoint(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    shown = f"Serving endpoint {wanted.endpoint_name}"
    target = WorkspaceObject("serving-endpoints", str(wanted.endpoint_name))
    yield Need(Access(target, CAN_MANAGE), "serving_endpoint", shown, creates=True)
    yield Need(Access(WORKSPACE, ENDPOINT_ENTITLEMENT), "workspace", shown)


def _experiment(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    who = "the agent's service principal" if wanted.grant else "the reviewers of the review app"
    target = WorkspaceObject("experiments", str(wanted.experiment_id))
    yield Need(Access(target, CAN_MANAGE), "experiment", f"Experiment {wanted.experiment_id} (for {who})")


def _scopes(wanted: Requirements, _: Sequence[Resource]) -> Iterator[Need]:
    for scope in wanted.secret_scopes:
        target = WorkspaceObject(SECRET_SCOPE, scope)
        yield Need(Access(target, "MANAGE"), "secret_scope", f"Secret scope {scope}", creates=True)


def _principals(_: Requirements, __: Sequence[Resource]) -> Iterator[Need]:
    yield Need(Access(WORKSPACE, WORKSPACE_ADMIN), "workspace", "Service principals")


Needing = Callable[["Requirements", Sequence[Resource]], Iterable[Need]]


def _requires(description: str, default: Any, needing: Needing) -> Any:
    return described(description, default, needs=needing)


@dataclass(frozen=True)
class Requirements:
    """What the deployment itself needs, besides the resources; None, False or nothing: not needed."""

    create_service_principal: bool = _requires("Whether a service principal is to be created.", False, _principals)
    grant: bool = _requires("Whether the deployer gives the agent its privileges on the resources.", False, _grants)
    model_name: str | None = _requires("Registered model that is to be served.", None, _model)
    inference_schema: str | None = _requires(
        "catalog.schema in which the inference tables are to be created.",
        None,
        lambda wanted, _: _creates("CREATE_TABLE", wanted.inference_schema, "inference tables"),
    )
    feedback_schema: str | None = _requires(
        "catalog.schema in which the feedback model is to be registered.",
        None,
        lambda wanted, _: _creates("CREATE_MODEL", wanted.feedback_schema, "feedback model"),
    )
    readers: tuple[str, ...] = _requires("Principals that are to be let read the inference tables.", (), _readers)
    run_as: str | None = _requires("User or service principal that is to derive the inference tables.", None, _run_as)
    payload_table: str | None = _requires("Payload table that exists, to derive from.", None, lambda _, __: ())
    sql_warehouse: str | None = _requires("SQL warehouse that is to be used.", None, _warehouse)
    run_as_warehouse: str | None = _requires("SQL warehouse that run_as is to be let use.", None, _lent_warehouse)
    endpoint_name: str | None = _requires("Serving endpoint that is to be created or changed.", None, _endpoint)
    experiment_id: str | None = _requires("MLflow experiment that others are to be let into.", None, _experiment)
    secret_scopes: tuple[str, ...] = _requires("Secret scopes that are to be created, or written to.", (), _scopes)
