"""A served version in the agents service's register, by our own provider."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output


class AgentRegistration(OwnResource):
    """One version of an agent's model in the register that databricks.agents reads, and the agent in a Review App.

    The register holds one record for each version of a model, the latest last; its id is ``<model>/<version>``. Where
    the workspace has no agents service, it warns, and ``registered`` is false.
    """

    registered: pulumi.Output[bool] = output("registered")
    query_endpoint: pulumi.Output[str] = output("queryEndpoint")
    """URL that asks this version alone."""
    review_app_url: pulumi.Output[str] = output("reviewAppUrl")
    """Where reviewers chat with the agent."""
    review_app_id: pulumi.Output[str] = output("reviewAppId")
    """Id of the experiment's Review App, or the empty string."""

    def __init__(
        self,
        resource_name: str,
        *,
        model_name: pulumi.Input[str],
        model_version: pulumi.Input[str],
        endpoint_name: pulumi.Input[str],
        served_entity_name: pulumi.Input[str],
        experiment_id: pulumi.Input[str] | None = None,
        instructions: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "modelName": model_name,
            "modelVersion": model_version,
            "endpointName": endpoint_name,
            "servedEntityName": served_entity_name,
            "experimentId": experiment_id,
            "instructions": instructions,
        }
        super().__init__(resource_name, inputs, opts)
