"""AI Gateway's inference table on an endpoint that others own, by our own provider: the rest of the gateway stays."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output, to_wire


class EndpointInferenceTable(OwnResource):
    """Turned on for as long as the resource exists; a table that was on before is used, and left on."""

    payload_table: pulumi.Output[str] = output("payloadTable")
    """Full name."""
    switched_on: pulumi.Output[bool] = output("switchedOn")
    """Whether this resource has turned it on."""

    def __init__(
        self,
        resource_name: str,
        *,
        endpoint_name: pulumi.Input[str],
        catalog_name: pulumi.Input[str],
        schema_name: pulumi.Input[str],
        table_name_prefix: pulumi.Input[str | None] | None = None,
        table_name_prefix_hint: pulumi.Input[str | None] | None = None,
        delete_on_destroy: pulumi.Input[bool] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "endpoint_name": endpoint_name,
            "catalog_name": catalog_name,
            "schema_name": schema_name,
            "table_name_prefix": table_name_prefix,
            "table_name_prefix_hint": table_name_prefix_hint,
            "delete_on_destroy": delete_on_destroy,
        }
        super().__init__(resource_name, to_wire(inputs), opts)
