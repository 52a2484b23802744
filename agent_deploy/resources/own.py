"""What the resources of our own provider have in common."""

from collections.abc import Mapping
from typing import Any

import pulumi

from agent_deploy.resources.judged import judged
from agent_deploy.resources.properties import handed_out
from agent_deploy.resources.provider import PACKAGE, for_resource


class OwnResource(pulumi.CustomResource):
    """A resource whose type is named as its class, by the provider of the program's workspace."""

    def __init__(self, resource_name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        kind = type(self)
        token = f"{PACKAGE}:index:{kind.__name__}"
        inputs = judged(token, resource_name, inputs, opts)
        super().__init__(token, resource_name, handed_out(kind, inputs), for_resource(resource_name, opts))
