"""FeedbackModel: the model of a schema that takes feedback on its agents, to be served beside them."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import pulumi
from typing_extensions import TypedDict, Unpack

from agent_deploy.components.component import Component
from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.parsing import Resolved, parse, resolve, to_input
from agent_deploy.components.signature import takes_keywords
from agent_deploy.components.verification import Verified, log_unverified, verified
from agent_deploy.resources.failures import program_error
from agent_deploy.resources.feedback_model_version import FeedbackModelVersion
from agent_deploy.resources.properties import to_wire
from agent_deploy.rules import deployment as rules
from agent_deploy.rules import names
from agent_deploy.rules.feedback_model import full_name
from agent_deploy.rules.values import Unknown, holds_unknown
from agent_deploy.rules.verifiable import feedback_look_ups, made_fields


class FeedbackModelArgs(TypedDict):
    """Where the feedback model lies: beside the agents that it is for."""

    catalog: pulumi.Input[str]
    """Catalog in Unity Catalog."""
    schema: pulumi.Input[str]
    """Schema in the catalog; the model is `{catalog}.{schema}.feedback`."""


class FeedbackModel(Component):
    """The feedback model of a schema: the one that is there, else a new one that everybody in the account may use.

    One serves all agents of the schema. It goes with the last of them, unless it was there before.
    """

    kind = "FeedbackModel"

    model_name: pulumi.Output[str]
    """Full name of the registered model."""
    version: pulumi.Output[str]
    """Number of the version to serve, as entity `feedback` with 0 % of the traffic."""
    created: pulumi.Output[bool]
    """Whether it was made for these agents; one that was there before stays when they go."""

    @overload
    def __init__(self, name: str, args: FeedbackModelArgs, opts: pulumi.ResourceOptions | None = None) -> None: ...
    @overload
    def __init__(
        self, name: str, *, opts: pulumi.ResourceOptions | None = None, **args: Unpack[FeedbackModelArgs]
    ) -> None: ...
    @takes_keywords
    def __init__(self, name: str, args: FeedbackModelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts, args)
        parsed = parse("FeedbackModel", FeedbackModelArgs, args)
        if problems := [*parsed.problems, *parsed.missing()]:
            raise DeploymentError.of("FeedbackModel", name, problems)
        model = FeedbackModelVersion(
            name,
            model_name=resolve(parsed).apply(lambda resolved: self._model_name(name, resolved)),
            owner_mark=f"{pulumi.get_project()}/{pulumi.get_stack()}/{name}",
            opts=self.for_child("model"),
        )
        self.hand_out(model_name=model.model_name, version=model.version, created=model.created)

    async def _model_name(self, name: str, resolved: Resolved) -> Any:
        if problems := resolved.exposed_secrets or [*resolved.parsed.problems, *resolved.last_problems()]:
            raise program_error(DeploymentError.of("FeedbackModel", name, problems))
        catalog, schema = resolved.tree["catalog"], resolved.tree["schema"]
        if holds_unknown([catalog, schema]):
            return to_input(Unknown())
        await self._verify(name, catalog, schema, made_fields(resolved.made))
        return full_name(catalog, schema)

    async def _verify(self, name: str, catalog: str, schema: str, made: Sequence[str]) -> None:
        opts = pulumi.InvokeOptions(parent=self)
        if made:
            log_unverified(made, opts)
        else:
            await verified("FeedbackModel", name, feedback_look_ups(catalog, schema), opts)


class VerifiedFeedbackModel(FeedbackModel):
    """The same for an AgentDeployment, which has verified all of it."""

    async def _verify(self, name: str, catalog: str, schema: str, made: Sequence[str]) -> None:
        pass


@dataclass(frozen=True)
class ServedFeedback:
    """The feedback model in an agent's endpoint; empty where none is served."""

    entities: Mapping[str, Any] = field(default_factory=dict)
    components: list[FeedbackModel] = field(default_factory=list)


def served_feedback(name: str, parent: Component, of: Verified) -> ServedFeedback:
    """Declares the feedback model of a deployment and what of it is served, in ServingEndpoint's words on the wire."""
    deployment = of.deployment
    if not deployment.feedback_model:
        return ServedFeedback()
    catalog, schema = (of.to_input(deployment.part_of_model(level)) for level in (0, 1))
    model = VerifiedFeedbackModel(f"{name}-feedback", {"catalog": catalog, "schema": schema}, parent.for_child())
    entity = to_input(rules.feedback_entity(deployment, model.version))
    return ServedFeedback({names.FEEDBACK_ENTITY: to_wire(entity)}, [model])
