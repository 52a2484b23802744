"""Privileges of a principal that others own, too, by our own provider: added, and only what was added is taken back."""

from collections.abc import Sequence

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output


class SecurableGrant(OwnResource):
    """One principal's further privileges on one Unity Catalog securable; what it has anyhow stays, then and after."""

    privileges: pulumi.Output[list[str]] = output("privileges")
    added: pulumi.Output[list[str]] = output("added")
    """Those that the principal did not have before."""

    def __init__(
        self,
        resource_name: str,
        *,
        securable_type: pulumi.Input[str],
        full_name: pulumi.Input[str],
        principal: pulumi.Input[str],
        privileges: pulumi.Input[Sequence[pulumi.Input[str]]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "securableType": securable_type,
            "fullName": full_name,
            "principal": principal,
            "privileges": privileges,
        }
        super().__init__(resource_name, inputs, opts)
