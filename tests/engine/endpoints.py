"""Endpoints at random, as others make them with databricks-sdk: what an AgentDeployment can say, and what it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import (
    AiGatewayConfig,
    EmailNotifications,
    EndpointCoreConfigInput,
    EndpointTag,
    ServingEndpointAccessControlRequest,
    ServingEndpointPermissionLevel,
)
from hypothesis import strategies as st

from agent_deploy.client import agents_service
from agent_deploy.rules.environment import AGENT_ENVIRONMENT
from agent_deploy.rules.feedback_model import files
from agent_deploy.rules.names import served_entity_name
from tests.engine.serving import MODEL, Site

FEEDBACK = "main.default.feedback"
GROUPS = ("readers", "writers")
REFERENCE = "{{secrets/search/api-key}}"
PLAIN = "sk-plain-text-nobody-may-see"


@dataclass(frozen=True)
class Made:
    """One endpoint: the body that makes it, who may use it, and whether its versions are registered."""

    config: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    gateway: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    notifications: Mapping[str, Any] = field(default_factory=dict)
    access: Mapping[str, str] = field(default_factory=dict)
    registered: bool = False

    @property
    def versions(self) -> list[Mapping[str, Any]]:
        """The served entities that are the agent's."""
        return [each for each in self.config["served_entities"] if each["entity_name"] == MODEL]

    def _gateway_of(self, name: str) -> dict[str, Any]:
        """With a table of the endpoint's own."""
        gateway = dict(self.gateway)
        if table := gateway.get("inference_table_config"):
            gateway["inference_table_config"] = {**table, "table_name_prefix": f"{table['table_name_prefix']}_{name}"}
        return gateway

    def make(self, site: Site, name: str) -> None:
        """Makes it, by Databricks' own client."""
        client = WorkspaceClient(host=site.host, token=site.environment["DATABRICKS_TOKEN"])
        client.serving_endpoints.create(
            name,
            config=EndpointCoreConfigInput.from_dict(dict(self.config)),
            tags=[EndpointTag(key, value) for key, value in self.tags.items()] or None,
            ai_gateway=AiGatewayConfig.from_dict(self._gateway_of(name)) if self.gateway else None,
            description=self.description or None,
            email_notifications=EmailNotifications.from_dict(dict(self.notifications)) if self.notifications else None,
        )
        id = str(site.settled(name)["id"])
        for group, level in self.access.items():
            entry = ServingEndpointAccessControlRequest(
                group_name=group, permission_level=ServingEndpointPermissionLevel(level)
            )
            client.serving_endpoints.update_permissions(id, access_control_list=[entry])
        for each in self.versions if self.registered else ():
            record = {"model_name": MODEL, "endpoint_name": name, "served_entity_name": str(each["name"])}
            agents_service.register(site.workspace, {**record, "model_version": str(each["entity_version"])})


def prepare(site: Site) -> str:
    """What endpoints refer to: versions, the feedback model, groups, a secret; returns an experiment's id."""
    site.register_bare(MODEL, 3)
    site.register_bare(FEEDBACK, 1, files("", "3.11", "0", "2026-01-01")["MLmodel"])
    for group in GROUPS:
        site.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": group})
    site.workspace.post("/api/2.0/secrets/scopes/create", {"scope": "search"})
    site.workspace.post("/api/2.0/secrets/put", {"scope": "search", "key": "api-key", "string_value": "x"})
    made = site.workspace.post("/api/2.0/mlflow/experiments/create", {"name": "/Shared/of-endpoints"})
    return str(made["experiment_id"])


_words = st.text("abcXYZ 123-_äö:'\"#{[&*!|>%@`,?\\", min_size=1, max_size=12).map(str.strip).filter(bool)
_plain_words = _words.filter(lambda text: "{{" not in text)
_variables = st.dictionaries(st.sampled_from(["STYLE", "LIMIT", "SEARCH_KEY", "A_1"]), st.sampled_from([REFERENCE]) | (
    _plain_words.map(lambda text: text[:5])
), max_size=3)  # fmt: skip
_tags = st.dictionaries(st.sampled_from(["team", "cost center", "on", "1"]), _words | st.just(""), max_size=3)
_sizes = st.sampled_from(["Small", "Medium", "Large"])


@st.composite
def shares(draw: st.DrawFn, count: int) -> list[int]:
    """Percentages that sum to 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=count - 1, max_size=count - 1)))
    return [after - before for before, after in zip([0, *cuts], [*cuts, 100], strict=True)]


@st.composite
def sayable(draw: st.DrawFn, experiment: str) -> Made:
    """What an AgentDeployment can say as it is: an import that changes nothing."""
    numbers = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True))
    shared, feedback = draw(_variables), draw(st.booleans())
    logged = draw(st.booleans())
    traces = {"MLFLOW_EXPERIMENT_ID": experiment} if logged else {}
    entities = [
        {
            "name": served_entity_name(MODEL, str(number)),
            "entity_name": MODEL,
            "entity_version": str(number),
            "workload_size": draw(_sizes),
            "scale_to_zero_enabled": draw(st.booleans()),
            "environment_vars": {**shared, **draw(_variables), **traces, **AGENT_ENVIRONMENT},
        }
        for number in numbers
    ]
    routes = [
        {"served_model_name": entity["name"], "traffic_percentage": share}
        for entity, share in zip(entities, draw(shares(len(entities))), strict=True)
    ]
    if feedback:
        of = {"entity_name": FEEDBACK, "entity_version": "1", "workload_size": "Small"}
        entities.append({"name": "feedback", **of, "scale_to_zero_enabled": draw(st.booleans())})
        routes.append({"served_model_name": "feedback", "traffic_percentage": 0})
    prefix = draw(st.none() | st.sampled_from(["qa", "requests_of_qa"]))
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": prefix}
    return Made(
        config={"served_entities": entities, "traffic_config": {"routes": routes}},
        tags={**draw(_tags), **({"MONITOR_EXPERIMENT_ID": experiment} if logged else {})},
        gateway={"inference_table_config": table} if prefix else {},
        description=draw(st.just("") | _words),
        access=draw(st.dictionaries(st.sampled_from(GROUPS), st.sampled_from(["CAN_QUERY", "CAN_MANAGE"]))),
        registered=not logged and draw(st.booleans()),
    )


@st.composite
def anything(draw: st.DrawFn, experiment: str) -> Made:
    """What others make: with names of their own, without what agents need, with fields that no argument says."""
    made = draw(sayable(experiment))
    entities = []
    for entity in made.config["served_entities"]:
        changed = dict(entity)
        if entity["entity_name"] == MODEL:
            if draw(st.booleans()):
                changed["name"] = f"qa-{entity['entity_version']}"
            if draw(st.booleans()):
                changed["environment_vars"] = draw(_variables)
            changed["environment_vars"] = {
                **changed["environment_vars"],
                **draw(st.sampled_from([{}, {"lower": "x"}, {"OPENAI_API_KEY": PLAIN}])),
            }
            if draw(st.booleans()):
                del changed["workload_size"]
                changed |= {"min_provisioned_concurrency": 4, "max_provisioned_concurrency": 8}
        entities.append(changed)
    renamed = dict(zip([e["name"] for e in made.config["served_entities"]], [e["name"] for e in entities], strict=True))
    routes = [
        {**route, "served_model_name": renamed[route["served_model_name"]]}
        for route in made.config["traffic_config"]["routes"]
    ]
    return Made(
        config={"served_entities": entities, "traffic_config": {"routes": routes}},
        tags=made.tags,
        gateway=made.gateway,
        description=made.description,
        notifications=draw(st.just({}) | st.just({"on_update_failure": ["ann@example.com"]})),
        access=made.access,
        registered=draw(st.booleans()),
    )
