"""Our plugin with a workspace of its own, for where a databricks provider cannot decide for both."""

import pulumi

from agent_deploy.resources.properties import to_wire
from agent_deploy.resources.provider import PACKAGE


class Provider(pulumi.ProviderResource):
    """A provider of this package; what is left out is looked for in the environment, as Databricks' SDKs do."""

    def __init__(
        self,
        resource_name: str,
        *,
        host: pulumi.Input[str] | None = None,
        token: pulumi.Input[str] | None = None,
        client_id: pulumi.Input[str] | None = None,
        client_secret: pulumi.Input[str] | None = None,
        profile: pulumi.Input[str] | None = None,
        account_id: pulumi.Input[str] | None = None,
        auth_type: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "host": host,
            "token": None if token is None else pulumi.Output.secret(token),
            "client_id": client_id,
            "client_secret": None if client_secret is None else pulumi.Output.secret(client_secret),
            "profile": profile,
            "account_id": account_id,
            "auth_type": auth_type,
        }
        super().__init__(PACKAGE, resource_name, to_wire(inputs), opts)
