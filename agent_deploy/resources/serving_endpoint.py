"""A model serving endpoint, by our own provider: changed in place, waited for, told truthfully when it fails."""

from collections.abc import Mapping
from typing import Any

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output, to_wire
from agent_deploy.rules.endpoint_fields import below

_FIELDS = frozenset(rule.argument for rule in below("").values())


class ServingEndpoint(OwnResource):
    """A serving endpoint; its id is its name.

    ``served_entities`` maps a served entity's name to ``{entity_name, entity_version, workload_size, workload_type,
    scale_to_zero_enabled, environment_vars, instance_profile_arn}``; ``traffic`` maps it to a percentage (0 to 100, the
    sum is 100). Both empty declares the endpoint ahead of its first version. ``ai_gateway`` holds
    ``inference_table_config`` ``{catalog_name, schema_name, table_name_prefix | table_name_prefix_hint,
    delete_on_destroy}``.
    Source of the fields: Databricks, serving endpoints API reference.
    """

    name: pulumi.Output[str] = output("name")
    served_entities: pulumi.Output[Mapping[str, Any]] = output("servedEntities")
    traffic: pulumi.Output[Mapping[str, int]] = output("traffic")
    tags: pulumi.Output[Mapping[str, str]] = output("tags")
    description: pulumi.Output[str | None] = output("description")
    endpoint_id: pulumi.Output[str] = output("endpointId")
    """Hexadecimal id, by which the permissions API knows the endpoint."""
    endpoint_url: pulumi.Output[str | None] = output("endpointUrl")
    """Only route-optimised endpoints have one."""
    creator: pulumi.Output[str] = output("creator")
    ready: pulumi.Output[str] = output("ready")
    config_update: pulumi.Output[str] = output("configUpdate")
    config_version: pulumi.Output[int] = output("configVersion")
    served_entity_states: pulumi.Output[Mapping[str, Any]] = output("servedEntityStates")
    """Served entity → ``{deployment, message}``."""
    served_version_ids: pulumi.Output[Mapping[str, str] | None] = output("servedVersionIds")
    """Served entity → id of the model version that was deployed: a number is given again when a model is made anew."""
    table_name_prefix: pulumi.Output[str] = output("tableNamePrefix")
    payload_table: pulumi.Output[str] = output("payloadTable")
    """Full name of the raw inference table, or the empty string."""
    workspace_url: pulumi.Output[str] = output("workspaceUrl")

    def __init__(
        self,
        resource_name: str,
        *,
        name: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
        **fields: Any,
    ) -> None:
        """``fields`` are those of rules/endpoint_fields.py, in snake_case; another one is a TypeError."""
        if unknown := sorted(fields.keys() - _FIELDS):
            raise TypeError(f"a serving endpoint has no {', '.join(unknown)}")
        super().__init__(resource_name, to_wire({"name": name, **fields}), opts)
