"""The tables that a pipeline derives from a payload table, by our own provider: they outlive the pipeline."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output, to_wire


class DerivedTables(OwnResource):
    """Kept when the pipeline is deleted, unless ``delete_on_destroy``."""

    request_logs: pulumi.Output[str] = output("requestLogs")
    assessment_logs: pulumi.Output[str] = output("assessmentLogs")
    quarantine: pulumi.Output[str] = output("quarantine")

    def __init__(
        self,
        resource_name: str,
        *,
        pipeline_id: pulumi.Input[str],
        payload_table: pulumi.Input[str],
        delete_on_destroy: pulumi.Input[bool] | None = None,
        await_tables: pulumi.Input[bool] | None = None,
        warehouse_id: pulumi.Input[str] | None = None,
        former_folder: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "pipeline_id": pipeline_id,
            "payload_table": payload_table,
            "delete_on_destroy": delete_on_destroy,
            "await_tables": await_tables,
            "warehouse_id": warehouse_id,
            "former_folder": former_folder,
        }
        super().__init__(resource_name, to_wire(inputs), opts)
