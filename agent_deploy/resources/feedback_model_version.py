"""The feedback model of a schema, by our own provider: adopted where there is one, registered where there is none."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output


class FeedbackModelVersion(OwnResource):
    """A version of the model that takes feedback on a schema's agents; its id is the model's full name.

    Shared: the model leaves with the last of its users, and stays when it was there before them.
    """

    model_name: pulumi.Output[str] = output("modelName")
    version: pulumi.Output[str] = output("version")
    """Number of the version to serve."""
    created: pulumi.Output[bool] = output("created")
    """Whether one of our runs made the model."""

    def __init__(
        self,
        resource_name: str,
        *,
        model_name: pulumi.Input[str],
        owner_mark: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"modelName": model_name, "ownerMark": owner_mark}
        super().__init__(resource_name, inputs, opts)
