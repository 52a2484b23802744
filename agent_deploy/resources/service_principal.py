"""A service principal of the workspace, which is found again when the run that made it was cut short."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output

# What it was in states of earlier versions, which is taken over as it is.
VENDOR_TYPE = "databricks:index/servicePrincipal:ServicePrincipal"


class ServicePrincipal(OwnResource):
    """``id`` is its SCIM id; grants and access lists name it by ``application_id``."""

    display_name: pulumi.Output[str] = output("displayName")
    application_id: pulumi.Output[str] = output("applicationId")

    def __init__(
        self, resource_name: str, *, display_name: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        ours = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=VENDOR_TYPE)])
        super().__init__(resource_name, {"displayName": display_name}, pulumi.ResourceOptions.merge(ours, opts))
