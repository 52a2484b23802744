"""AgentDeployment: one agent behind one serving endpoint, declared whole."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from agent_deploy.components import review, verification
from agent_deploy.components.arguments import (
    AgentDeploymentArgs,
    AgentIdentity,
    ServedEntityState,
)
from agent_deploy.components.environment import Environment, References
from agent_deploy.components.feedback_model import ServedFeedback, served_feedback
from agent_deploy.components.identities import Identities, declare, described
from agent_deploy.components.inference_tables import (
    InferenceTableNames,
    InferenceTables,
    InferenceTablesArgs,
    table_names,
)
from agent_deploy.components.late_values import OF_DEPLOYMENT, without_late
from agent_deploy.components.options import child_options, owner_marks
from agent_deploy.components.outputs import join
from agent_deploy.components.signature import takes_one_dict
from agent_deploy.components.verification import Verified
from agent_deploy.resources.databricks import Permissions
from agent_deploy.resources.head_start import start_provider
from agent_deploy.resources.properties import to_wire
from agent_deploy.resources.provider import in_workspace
from agent_deploy.resources.serving_endpoint import ServingEndpoint
from agent_deploy.rules import deployment as rules
from agent_deploy.rules import names
from agent_deploy.rules.environment import agent_environment
from agent_deploy.rules.known_arguments import DERIVATION, KNOWN, well_shaped
from agent_deploy.rules.review import Access, endpoint_access


@dataclass(frozen=True)
class _Declared:
    """What an endpoint needs before it. No plain dict: Pulumi would lift its Outputs, and hide all for one unknown."""

    verified: Verified
    references: References
    identities: Identities
    feedback: ServedFeedback


class AgentDeployment(pulumi.ComponentResource):
    """An agent on Databricks: serving endpoint, versions and their traffic, environment, permissions, inference tables.

    Everything is verified in the preview, before anything is created. Does declaratively what
    databricks.agents.deploy() does by call, and changes in place what that call leaves alone.
    """

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

    @takes_one_dict
    def __init__(self, name: str, args: AgentDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agent-deploy:index:AgentDeployment", name, {}, in_workspace(name, opts))
        start_provider(self)
        in_time, late = without_late(args, OF_DEPLOYMENT)
        args, misshapen = well_shaped(in_time)  # type: ignore[assignment]
        environment = Environment(args)
        invoke = pulumi.InvokeOptions(parent=self)
        owner_mark, *former_marks = owner_marks(name, opts)
        # Whatever the children need goes through `verified`: nothing is registered unless every check has passed.
        plain = environment.plain()
        verified: pulumi.Output[Verified] = plain.apply(
            lambda plain: verification.verify(
                name,
                plain.args,
                owner_mark,
                invoke,
                environment.made_here(),
                [*late, *misshapen, *environment.useless()],
                former_marks,
                environment.misplaced(),
            )
        )
        # Only the running program knows which values are secret, so what is declared of them is declared in the apply:
        # while the verification is under way, for which their scope's name waits.
        endpoint_name = verified.apply(lambda v: v.deployment.endpoint_name)
        stored = plain.apply(lambda _: environment.store_secrets(name, endpoint_name, child_options(self)))
        declared = join(lambda v, references: self._declared(name, v, references, environment), verified, stored)
        endpoint = ServingEndpoint(
            name,
            name=endpoint_name,
            served_entities=declared.apply(lambda d: _served_entities(d, environment)),
            traffic=declared.apply(_traffic),
            ai_gateway=verified.apply(_ai_gateway),
            tags=verified.apply(lambda v: rules.endpoint_tags(v.args.get("tags") or {}, v.experiment_id)),
            description=args.get("description"),
            budget_policy_id=args.get("budget_policy_id"),
            owner_mark=owner_mark,
            opts=child_options(
                self,
                custom_timeouts=_timeouts(args),
                # An agent may touch what it declares before it answers, and until it has left.
                depends_on=declared.apply(lambda d: [*d.identities.components, *d.feedback.components]),
            ),
        )
        permissions = None
        if args.get("permissions"):
            permissions = Permissions(
                f"{name}-permissions",
                serving_endpoint_id=endpoint.endpoint_id,
                access_controls=verified.apply(lambda v: [_access_control(each) for each in endpoint_access(v.args)]),
                opts=child_options(self),
            )
        self.review_app_url = verified.apply(lambda v: review.declare(name, self, v, endpoint, permissions))
        self.identities = declared.apply(_described)
        self.inference_tables = self._tables(name, args, endpoint)
        self._set_outputs(endpoint)

    def _declared(self, name: str, verified: Verified, references: References, environment: Environment) -> _Declared:
        secret = environment.existing_secret(verified.args, references)
        identities = declare(name, self, verified, secret)
        return _Declared(verified, references, identities, served_feedback(name, self, verified))

    def _tables(
        self, name: str, args: AgentDeploymentArgs, endpoint: ServingEndpoint
    ) -> pulumi.Output[InferenceTableNames]:
        """What is derived from the payload table, which the endpoint itself has."""
        given: Mapping[str, Any] = args.get("inference_tables") or {}
        nothing_more = given.get("derive") is False and not given.get("readers")
        if given.get("enabled") is False or nothing_more:
            return endpoint.payload_table.apply(lambda table: table_names(table, derived=False))
        derivation: Any = {field: given[field] for field in DERIVATION if given.get(field) is not None}
        tables = InferenceTablesArgs(
            endpoint_name=endpoint.name,
            payload_table=endpoint.payload_table,
            verified=True,
            **derivation,
        )
        if given.get("delete_on_destroy") is not None:
            tables["delete_on_destroy"] = given["delete_on_destroy"]
        return InferenceTables(f"{name}-inference-tables", tables, child_options(self)).table_names

    def _set_outputs(self, endpoint: ServingEndpoint) -> None:
        self.endpoint_name = endpoint.name
        self.endpoint_id = endpoint.endpoint_id
        # Known in a preview already, unlike the entities' states.
        place = join(lambda host, name: (host, name), endpoint.workspace_url, endpoint.name)
        self.query_endpoint = place.apply(lambda p: f"{p[0]}/serving-endpoints/{p[1]}/invocations")
        self.endpoint_url = place.apply(lambda p: f"{p[0]}/ml/endpoints/{p[1]}")
        now = (endpoint.served_entities, endpoint.traffic, endpoint.served_entity_states)
        self.served_entities = join(_states, place, *now)
        self.register_outputs(
            {
                "endpointName": self.endpoint_name,
                "endpointId": self.endpoint_id,
                "queryEndpoint": self.query_endpoint,
                "endpointUrl": self.endpoint_url,
                "reviewAppUrl": self.review_app_url,
                "servedEntities": self.served_entities,
                "inferenceTables": self.inference_tables,
                "identities": self.identities,
            }
        )


def _served_entities(declared: _Declared, environment: Environment) -> dict[str, Any]:
    verified, references, identities = declared.verified, declared.references, declared.identities
    entities = rules.served_entities(verified.deployment, verified.numbers, verified.args.get("instance_profile_arn"))
    for index, entity in enumerate(entities.values()):
        # References to new secrets stay Outputs inside the map, so that a preview shows all the rest of it.
        own = {
            **identities.environment(entity["entity_version"]),
            **environment.of_version(index, verified.args, references),
        }
        entity["environment_vars"] = agent_environment(own, verified.experiment_id)
    wanted = {name: to_wire(entity) for name, entity in entities.items()}
    scope = verified.deployment.endpoint_name
    kept = {
        name: {
            **entity,
            "environmentVars": {
                **environment.with_current(entity.get("environmentVars") or {}, scope, references),
                **identities.environment(entity["entityVersion"]),
            },
        }
        for name, entity in verified.kept.items()
    }
    return {**wanted, **kept, **declared.feedback.entities}


def _traffic(declared: _Declared) -> dict[str, int]:
    # Kept versions and the feedback model are reached by their names alone.
    by_name_alone = (*declared.verified.kept, *declared.feedback.entities)
    return {
        **rules.traffic(declared.verified.deployment, declared.verified.numbers),
        **dict.fromkeys(by_name_alone, 0),
    }


def _described(declared: _Declared) -> Any:
    principals = declared.identities.by_version
    if not principals:
        return described(declared.verified, {})
    ids: Any = {version: principal.application_id for version, principal in principals.items()}
    return pulumi.Output.from_input(ids).apply(lambda known: described(declared.verified, known))


def _ai_gateway(verified: Verified) -> dict[str, Any]:
    tables = verified.args.get("inference_tables") or {}
    if tables.get("enabled") is False:
        return {}
    catalog, schema, _ = names.split_model_name(verified.deployment.model_name)
    prefix = tables.get("prefix")
    hint = {} if prefix else {"table_name_prefix_hint": names.table_prefix(verified.deployment.model_name)}
    config = {
        "catalog_name": tables.get("catalog") or catalog,
        "schema_name": tables.get("schema") or schema,
        "table_name_prefix": prefix,
        "delete_on_destroy": tables.get("delete_on_destroy"),
        **hint,
    }
    return to_wire({"inference_table_config": config})


def _access_control(access: Access) -> Any:
    return to_wire({access.field: access.principal, "permission_level": access.level})


def _timeouts(args: AgentDeploymentArgs) -> pulumi.CustomTimeouts | None:
    given: Mapping[str, Any] = args.get("timeouts") or {}
    # A name that is not known is told with all other mistakes.
    timeouts = {name: given[name] for name in KNOWN["timeouts"] if name in given}
    return pulumi.CustomTimeouts(**timeouts) if timeouts else None


def _states(place: tuple[str, str], *now: Mapping[str, Any] | None) -> list[ServedEntityState]:
    host, name = place
    entities, traffic, states = (each or {} for each in now)
    base = f"{host}/serving-endpoints/{name}/served-models"
    return [
        ServedEntityState(
            name=entity_name,
            model_name=entity["entityName"],
            version=entity["entityVersion"],
            traffic_percentage=int(traffic.get(entity_name, 0)),
            query_endpoint=f"{base}/{entity_name}/invocations",
            deployment=(states.get(entity_name) or {}).get("deployment", ""),
            message=(states.get(entity_name) or {}).get("message", ""),
        )
        for entity_name, entity in sorted(entities.items())
    ]
