"""An OAuth secret of a service principal; a changed or rotated one exists before the old one goes."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output

# What it was in states of earlier versions, which is taken over as it is.
VENDOR_TYPE = "databricks:index/servicePrincipalSecret:ServicePrincipalSecret"


class ServicePrincipalSecret(OwnResource):
    """``lifetime`` in seconds: ``"86400s"``; another ``time_rotating`` is another secret.

    One of whole hours is shortened by less than an hour, by which the resource knows what an interrupted run has left.
    """

    service_principal_id: pulumi.Output[str] = output("servicePrincipalId")
    secret: pulumi.Output[str] = output("secret")
    create_time: pulumi.Output[str] = output("createTime")
    expire_time: pulumi.Output[str] = output("expireTime")

    def __init__(
        self,
        resource_name: str,
        *,
        service_principal_id: pulumi.Input[str],
        lifetime: pulumi.Input[str] | None = None,
        time_rotating: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "servicePrincipalId": service_principal_id,
            "lifetime": lifetime,
            "timeRotating": time_rotating,
        }
        ours = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=VENDOR_TYPE)], additional_secret_outputs=["secret"])
        super().__init__(resource_name, inputs, pulumi.ResourceOptions.merge(ours, opts))
