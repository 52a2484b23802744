"""What all components have in common: their options, those of their children, and how their outputs are handed out."""

from __future__ import annotations

from typing import Any

import pulumi

from agent_deploy.components import ephemeral_stack
from agent_deploy.components.option_routes import routed
from agent_deploy.resources.judged import judge_all
from agent_deploy.resources.provider import in_workspace
from agent_deploy.rules.records import camel_case


class Component(pulumi.ComponentResource):
    """A component named ``kind``; resource options reach the child that they are about (option_routes.py)."""

    # Without an annotation, which Pulumi would take for an output.
    kind = ""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None, args: Any) -> None:
        self._ephemeral = ephemeral_stack.of_stack(self.kind, name)
        self._routed = routed(self.kind, name, ephemeral_stack.removable(opts, self._ephemeral), args)
        # The component that is the user's own; policies are told of that one.
        self.outermost = getattr(opts.parent if opts else None, "outermost", self)
        super().__init__(f"agent-deploy:index:{self.kind}", name, {}, in_workspace(name, self._routed.own))

    def for_child(self, role: str = "", **more: object) -> pulumi.ResourceOptions:
        """Options of a child that stays as long as the component: providers, aliases, protection are inherited.

        ``more`` where it is not None; where the user gave something for the ``role`` as well, both count.
        """
        given = {key: value for key, value in more.items() if value is not None}
        own = pulumi.ResourceOptions(parent=self, **given)  # type: ignore[arg-type]
        of_user = self._routed.of_children.get(role)
        return pulumi.ResourceOptions.merge(own, of_user) if of_user else own

    def for_housekeeping(self, role: str = "", **more: object) -> pulumi.ResourceOptions:
        """As `for_child`, for what comes and goes with versions and values: what keeps the agent does not keep it."""
        return self.for_child(role, **{"protect": False, "retain_on_delete": False, **more})

    def hand_out(self, **outputs: pulumi.Output[Any]) -> None:
        """Sets the component's outputs, those that the user calls secret as such."""
        for name in self._routed.secret_outputs:
            outputs[name] = pulumi.Output.secret(outputs[name])
        for name, value in outputs.items():
            setattr(self, name, value)
        if self.outermost is self:
            outputs = judge_all(self, outputs)
        self.register_outputs({camel_case(name): value for name, value in outputs.items()})
