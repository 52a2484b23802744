"""From a declared deployment to the endpoint's served entities, traffic, tags and gateway; no look-ups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent_deploy.rules import names
from agent_deploy.rules.declaration import DEFAULT_SIZE, DEFAULT_TYPE, Deployment, Text
from agent_deploy.rules.environment import EXPERIMENT_TAG
from agent_deploy.rules.values import Unknown, is_known, made_of


def served_entities(deployment: Deployment, numbers: Sequence[str]) -> dict[str, Any]:
    """Served entity's name → its properties, the environment left out; ``numbers`` are the resolved versions."""
    entities: dict[str, Any] = {}
    for wanted, number in zip(deployment.versions, numbers, strict=True):
        entity = {
            "entity_name": deployment.model_name,
            "entity_version": number,
            "workload_size": wanted.workload_size,
            "workload_type": wanted.workload_type,
            "scale_to_zero_enabled": wanted.scale_to_zero,
        }
        if deployment.instance_profile_arn:
            entity["instance_profile_arn"] = deployment.instance_profile_arn
        entities[names.served_entity_name(str(deployment.model_name), number)] = entity
    return entities


def traffic(deployment: Deployment, numbers: Sequence[str]) -> dict[str, int | Unknown] | Unknown:
    """Served entity's name → percentage."""
    if isinstance(deployment.traffic, Unknown):
        return deployment.traffic
    return {
        names.served_entity_name(str(deployment.model_name), number): deployment.traffic[wanted.label]
        for wanted, number in zip(deployment.versions, numbers, strict=True)
    }


def feedback_entity(deployment: Deployment, version: Any) -> dict[str, Any]:
    """The feedback model as deploy() serves it: the smallest size, no environment; ``version`` may be an Output."""
    return {
        "entity_name": deployment.feedback_model,
        "entity_version": version,
        "workload_size": DEFAULT_SIZE,
        "workload_type": DEFAULT_TYPE,
        "scale_to_zero_enabled": deployment.scale_to_zero,
    }


def endpoint_tags(user: Mapping[str, Text] | Unknown, experiment_id: Text | None) -> dict[str, Text] | Unknown:
    """The user's tags and, as deploy() writes it, the experiment's id."""
    if isinstance(user, Unknown):
        # The keys are not known either: none of them can be told from the experiment's.
        return made_of(lambda tags: endpoint_tags(tags, experiment_id), user) if is_known(experiment_id) else Unknown()
    return {**({EXPERIMENT_TAG: experiment_id} if experiment_id else {}), **user}


def ai_gateway(deployment: Deployment) -> dict[str, Any]:
    """Where the endpoint logs to; empty without inference tables."""
    tables = deployment.tables
    if not tables.enabled:
        return {}
    hint = made_of(names.table_prefix, deployment.model_name)
    config = {
        "catalog_name": deployment.tables_catalog,
        "schema_name": deployment.tables_schema,
        "table_name_prefix": tables.prefix,
        "delete_on_destroy": tables.delete_on_destroy,
        **({} if tables.prefix else {"table_name_prefix_hint": hint}),
    }
    return {"inference_table_config": config}
