"""FeedbackModel: the model of a schema that takes feedback on its agents, to be served beside them."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from typing_extensions import TypedDict

from agent_deploy.components.errors import DeploymentError, told
from agent_deploy.components.misplaced_secrets import misplaced_secrets
from agent_deploy.components.options import child_options
from agent_deploy.components.signature import check_names, takes_one_dict
from agent_deploy.components.verification import Verified
from agent_deploy.resources.feedback_model_version import FeedbackModelVersion
from agent_deploy.resources.properties import to_wire
from agent_deploy.resources.provider import in_workspace
from agent_deploy.rules import deployment as rules
from agent_deploy.rules import names
from agent_deploy.rules.feedback_model import full_name
from agent_deploy.rules.problems import Problem


class FeedbackModelArgs(TypedDict):
    """Where the feedback model lies: beside the agents that it is for."""

    catalog: pulumi.Input[str]
    """Catalog in Unity Catalog."""
    schema: pulumi.Input[str]
    """Schema in the catalog; the model is `{catalog}.{schema}.feedback`."""


class FeedbackModel(pulumi.ComponentResource):
    """The feedback model of a schema: the one that is there, else a new one that everybody in the account may use.

    One serves all agents of the schema. It goes with the last of them, unless it was there before.
    """

    model_name: pulumi.Output[str]
    """Full name of the registered model."""
    version: pulumi.Output[str]
    """Number of the version to serve, as entity `feedback` with 0 % of the traffic."""
    created: pulumi.Output[bool]
    """Whether it was made for these agents; one that was there before stays when they go."""

    @takes_one_dict
    def __init__(self, name: str, args: FeedbackModelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agent-deploy:index:FeedbackModel", name, {}, in_workspace(name, opts))
        if problems := list(check_names("FeedbackModel", FeedbackModelArgs, args)):
            raise DeploymentError.of("FeedbackModel", name, problems)
        place = pulumi.Output.all(args["catalog"], args["schema"])
        model = FeedbackModelVersion(
            name,
            model_name=place.apply(lambda p: _model_name(name, args, p)),
            owner_mark=f"{pulumi.get_project()}/{pulumi.get_stack()}/{name}",
            opts=child_options(self),
        )
        self.model_name = model.model_name
        self.version = model.version
        self.created = model.created
        self.register_outputs({"modelName": self.model_name, "version": self.version, "created": self.created})


async def _model_name(name: str, args: FeedbackModelArgs, place: Sequence[Any]) -> str:
    problems = await misplaced_secrets(args)
    if not problems:
        told_of = zip(("catalog", "schema"), place, strict=True)
        problems = [Problem(field, value, "a string") for field, value in told_of if not isinstance(value, str)]
    if problems:
        raise told(DeploymentError.of("FeedbackModel", name, problems))
    return full_name(*place)


@dataclass(frozen=True)
class ServedFeedback:
    """The feedback model in an agent's endpoint; empty where none is served."""

    entities: Mapping[str, Any] = field(default_factory=dict)
    components: list[FeedbackModel] = field(default_factory=list)


def served_feedback(name: str, parent: pulumi.Resource, verified: Verified) -> ServedFeedback:
    """Declares the feedback model of a deployment and what of it is served, in ServingEndpoint's words on the wire."""
    deployment = verified.deployment
    if not deployment.feedback_model:
        return ServedFeedback()
    catalog, schema, _ = names.split_model_name(deployment.feedback_model)
    model = FeedbackModel(f"{name}-feedback", {"catalog": catalog, "schema": schema}, child_options(parent))
    entity = rules.feedback_entity(deployment, model.version, bool(verified.args.get("scale_to_zero")))
    return ServedFeedback({names.FEEDBACK_ENTITY: to_wire(entity)}, [model])
