"""A value in a secret scope, under a key with a random suffix: a changed value is a new key."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output


class Secret(OwnResource):
    """A secret whose replacement exists before it goes, so that what reads it can move over.

    Served containers read secrets only when they start; pulumi-databricks#642 tells what happens without this.
    """

    scope: pulumi.Output[str] = output("scope")
    key: pulumi.Output[str] = output("key")
    """``name`` with a random suffix."""
    reference: pulumi.Output[str] = output("reference")
    """``{{secrets/scope/key}}``, for environment variables."""

    def __init__(
        self,
        resource_name: str,
        *,
        scope: pulumi.Input[str],
        name: pulumi.Input[str],
        value: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"scope": scope, "name": name, "value": pulumi.Output.secret(value)}
        super().__init__(resource_name, inputs, opts)
