"""A secret scope, which is gone on with when the run that made it was cut short."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output

# What it was in states of earlier versions, which is taken over as it is.
VENDOR_TYPE = "databricks:index/secretScope:SecretScope"


class SecretScope(OwnResource):
    """A scope that whoever deploys manages, and nobody else reads."""

    name: pulumi.Output[str] = output("name")

    def __init__(
        self, resource_name: str, *, name: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        ours = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=VENDOR_TYPE)])
        super().__init__(resource_name, {"name": name}, pulumi.ResourceOptions.merge(ours, opts))
