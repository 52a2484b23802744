"""AgentDeployment: one agent behind one serving endpoint, declared whole."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, overload

import pulumi
from typing_extensions import Unpack

from agent_deploy.components import ephemeral_stack, review, verification
from agent_deploy.components.arguments import (
    AgentDeploymentArgs,
    AgentIdentity,
    ServedEntityState,
)
from agent_deploy.components.component import Component
from agent_deploy.components.environment import References, store_secrets, with_current
from agent_deploy.components.feedback_model import ServedFeedback, served_feedback
from agent_deploy.components.inference_tables import (
    InferenceTableNames,
    InferenceTablesArgs,
    VerifiedInferenceTables,
    table_names,
)
from agent_deploy.components.outputs import join, of_its_own
from agent_deploy.components.owner_marks import owner_marks
from agent_deploy.components.parsing import outputs_in, parse, resolve, to_input
from agent_deploy.components.signature import takes_keywords
from agent_deploy.components.verification import Verified
from agent_deploy.components.version_identities import Identities, declare, described
from agent_deploy.resources.databricks import Permissions
from agent_deploy.resources.head_start import start_provider
from agent_deploy.resources.properties import to_wire
from agent_deploy.resources.serving_endpoint import ServingEndpoint
from agent_deploy.rules import deployment as rules
from agent_deploy.rules.declaration import DERIVATION
from agent_deploy.rules.endpoint_fields import PLAIN_ARGUMENTS
from agent_deploy.rules.environment import agent_environment
from agent_deploy.rules.review import endpoint_access
from agent_deploy.rules.values import Unknown


@dataclass(frozen=True)
class _Declared:
    """What an endpoint needs before it. No plain dict: Pulumi would lift its Outputs, and hide all for one unknown."""

    verified: Verified
    references: References
    identities: Identities
    feedback: ServedFeedback


class AgentDeployment(Component):
    """An agent on Databricks: serving endpoint, versions and their traffic, environment, permissions, inference tables.

    Everything is verified in the preview, before anything is created. Does declaratively what
    databricks.agents.deploy() does by call, and changes in place what that call leaves alone.
    """

    kind = "AgentDeployment"

    endpoint_name: pulumi.Output[str]
    """Name of the serving endpoint."""
    endpoint_id: pulumi.Output[str]
    """Hexadecimal id, by which the permissions API knows the endpoint."""
    query_endpoint: pulumi.Output[str]
    """URL that answers queries, traffic shared among the versions."""
    endpoint_url: pulumi.Output[str]
    """Page of the endpoint in the workspace."""
    review_app_url: pulumi.Output[str]
    """Where stakeholders chat with the agent and rate its answers."""
    served_entities: pulumi.Output[list[ServedEntityState]]
    """The versions behind the endpoint and their states; the feedback model is the one named `feedback`."""
    inference_tables: pulumi.Output[InferenceTableNames]
    """Full names of the tables that keep requests, responses and feedback."""
    identities: pulumi.Output[list[AgentIdentity]]
    """Who each version is and what it may touch."""

    @overload
    def __init__(self, name: str, args: AgentDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None: ...
    @overload
    def __init__(
        self, name: str, *, opts: pulumi.ResourceOptions | None = None, **args: Unpack[AgentDeploymentArgs]
    ) -> None: ...
    @takes_keywords
    def __init__(self, name: str, args: AgentDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts, args)
        start_provider(self)
        parsed = ephemeral_stack.adapted(parse(self.kind, AgentDeploymentArgs, args), self._ephemeral)
        owner_mark, *_ = marks = owner_marks(name, opts)
        invoke = pulumi.InvokeOptions(parent=self)
        # Neither is ever unknown, whatever in the arguments is: all children are declared in every run. Whatever they
        # need goes through `verified`: nothing is created unless every check has passed.
        given = resolve(parsed).apply(lambda resolved: verification.read(name, resolved))
        verified: pulumi.Output[Verified] = given.apply(lambda given: verification.verify(name, given, marks, invoke))
        endpoint_name = verified.apply(lambda v: to_input(v.deployment.endpoint_name))
        # Declared while the verification is under way, for which their scope's name waits.
        stored = given.apply(lambda given: store_secrets(name, self, given.deployment, endpoint_name))
        declared = join(lambda v, references: self._declared(name, v, references), verified, stored)
        endpoint = ServingEndpoint(
            name,
            name=endpoint_name,
            served_entities=of_its_own(declared, _served_entities),
            traffic=declared.apply(_traffic),
            ai_gateway=verified.apply(lambda v: to_input(to_wire(rules.ai_gateway(v.deployment)))),
            tags=verified.apply(lambda v: to_input(rules.endpoint_tags(v.deployment.tags, v.experiment_id))),
            owner_mark=owner_mark,
            **{argument: _plain(verified, argument) for argument in PLAIN_ARGUMENTS if argument in parsed.tree},
            opts=self.for_child(
                "endpoint",
                custom_timeouts=_timeouts(parsed.tree.get("timeouts") or {}),
                # An agent may touch what it declares before it answers, and until it has left.
                depends_on=declared.apply(lambda d: [*d.identities.components, *d.feedback.components]),
            ),
        )
        permissions = None
        if parsed.tree.get("permissions"):
            permissions = Permissions(
                f"{name}-permissions",
                serving_endpoint_id=endpoint.endpoint_id,
                access_controls=verified.apply(_access_controls),
                opts=self.for_housekeeping("permissions"),
            )
        self._set_outputs(
            endpoint,
            has_own_url=bool(parsed.tree.get("route_optimized")),
            review_app_url=verified.apply(lambda v: review.declare(name, self, v, endpoint, permissions)),
            identities=declared.apply(_described),
            inference_tables=self._tables(name, parsed.tree.get("inference_tables") or {}, endpoint),
        )

    def _declared(self, name: str, verified: Verified, references: References) -> _Declared:
        identities = declare(name, self, verified, references)
        return _Declared(verified, references, identities, served_feedback(name, self, verified))

    def _tables(
        self, name: str, given: Mapping[str, Any], endpoint: ServingEndpoint
    ) -> pulumi.Output[InferenceTableNames]:
        """What is derived from the payload table, which the endpoint itself has."""
        nothing_more = given.get("derive") is False and not given.get("readers")
        if given.get("enabled") is False or nothing_more:
            return endpoint.payload_table.apply(lambda table: table_names(table, derived=False))
        further: Any = {key: value for key, value in given.items() if key in (*DERIVATION, "delete_on_destroy")}
        tables = InferenceTablesArgs(
            endpoint_name=endpoint.name,
            payload_table=endpoint.payload_table,
            **further,
        )
        return VerifiedInferenceTables(f"{name}-inference-tables", tables, self.for_child()).table_names

    def _set_outputs(self, endpoint: ServingEndpoint, has_own_url: bool, **others: pulumi.Output[Any]) -> None:
        # Known in a preview already, unlike the entities' states.
        place = join(lambda host, name: (host, name), endpoint.workspace_url, endpoint.name)
        asked = place.apply(lambda p: f"{p[0]}/serving-endpoints/{p[1]}/invocations")
        now = (endpoint.served_entities, endpoint.traffic, endpoint.served_entity_states)
        self.hand_out(
            endpoint_name=endpoint.name,
            endpoint_id=endpoint.endpoint_id,
            query_endpoint=endpoint.endpoint_url if has_own_url else asked,
            endpoint_url=place.apply(lambda p: f"{p[0]}/ml/endpoints/{p[1]}"),
            served_entities=join(_states, place, *now),
            **others,
        )


def _served_entities(declared: _Declared) -> Any:
    verified, references, identities = declared.verified, declared.references, declared.identities
    deployment, numbers = verified.deployment, verified.known_numbers
    if numbers is None:
        # Even their names are not known; what they will depend on is.
        later = [*references.by_place.values(), *outputs_in(declared.feedback.entities)]
        return pulumi.Output.all(*later).apply(lambda _: pulumi.UNKNOWN)
    entities = rules.served_entities(deployment, numbers)
    for version, entity in zip(deployment.versions, entities.values(), strict=True):
        # References to new secrets stay Outputs inside the map, so that a preview shows all the rest of it.
        own = {
            **identities.environment(entity["entity_version"]),
            **deployment.variables_of(version, references.by_place),
        }
        entity["environment_vars"] = agent_environment(own, verified.experiment_id)
    wanted = {name: to_input(to_wire(entity)) for name, entity in entities.items()}
    kept = {
        name: {
            **entity,
            "environmentVars": {
                **with_current(entity.get("environmentVars") or {}, deployment.endpoint_name, references),
                **identities.environment(entity["entityVersion"]),
            },
        }
        for name, entity in verified.kept.items()
    }
    return {**wanted, **kept, **declared.feedback.entities}


def _traffic(declared: _Declared) -> Any:
    numbers = declared.verified.known_numbers
    shares = Unknown() if numbers is None else rules.traffic(declared.verified.deployment, numbers)
    # Kept versions and the feedback model are reached by their names alone.
    by_name_alone = dict.fromkeys((*declared.verified.kept, *declared.feedback.entities), 0)
    return to_input(shares if isinstance(shares, Unknown) else {**shares, **by_name_alone})


def _described(declared: _Declared) -> Any:
    principals = declared.identities.by_version
    ids: Any = {version: principal.application_id for version, principal in principals.items()}
    return described(declared.verified, ids)


def _plain(verified: pulumi.Output[Verified], argument: str) -> pulumi.Output[Any]:
    return verified.apply(lambda v: to_input(v.deployment.plain_fields[argument]))


def _access_controls(verified: Verified) -> list[Any]:
    deployment = verified.deployment
    accesses = endpoint_access(deployment.permissions, deployment.review.reviewers)
    return [to_input(to_wire({each.field: each.principal, "permission_level": each.level})) for each in accesses]


def _timeouts(given: Mapping[str, Any]) -> pulumi.CustomTimeouts | None:
    return pulumi.CustomTimeouts(**given) if given else None


def _states(place: tuple[str, str], *now: Mapping[str, Any] | None) -> list[ServedEntityState]:
    host, name = place
    entities, traffic, states = (each or {} for each in now)
    base = f"{host}/serving-endpoints/{name}/served-models"
    return [
        ServedEntityState(
            name=entity_name,
            model_name=entity.get("entityName", ""),
            version=entity.get("entityVersion", ""),
            traffic_percentage=int(traffic.get(entity_name, 0)),
            query_endpoint=f"{base}/{entity_name}/invocations",
            deployment=(states.get(entity_name) or {}).get("deployment", ""),
            message=(states.get(entity_name) or {}).get("message", ""),
        )
        for entity_name, entity in sorted(entities.items())
    ]
