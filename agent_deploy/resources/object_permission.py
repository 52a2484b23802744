"""What one principal may do with one workspace object, by our own provider: added to what others may."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output


class ObjectPermission(OwnResource):
    """One principal's level on a SQL warehouse, serving endpoint, Genie space, …; everybody else's entry stays.

    A level that the principal had before is never lowered, and comes back when this goes. Two ObjectPermissions for the
    same principal on the same object would take each other's level away on delete: declare one.
    """

    object_type: pulumi.Output[str] = output("objectType")
    """Path in the permissions API: ``sql/warehouses``, ``serving-endpoints``, ``genie``, …"""
    object_id: pulumi.Output[str | None] = output("objectId")
    """Empty where there turned out to be no object: nothing is given then."""
    object_name: pulumi.Output[str | None] = output("objectName")
    principal_kind: pulumi.Output[str] = output("principalKind")
    """``user``, ``group`` or ``service_principal``."""
    principal: pulumi.Output[str] = output("principal")
    level: pulumi.Output[str] = output("level")
    resolved_object_id: pulumi.Output[str] = output("resolvedObjectId")
    """Id by which the permissions API knows the object."""
    previous_level: pulumi.Output[str] = output("previousLevel")
    """What the principal had before, or the empty string."""

    def __init__(
        self,
        resource_name: str,
        *,
        object_type: pulumi.Input[str],
        object_id: pulumi.Input[str] | None = None,
        object_name: pulumi.Input[str] | None = None,
        principal_kind: pulumi.Input[str],
        principal: pulumi.Input[str],
        level: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "objectType": object_type,
            "objectId": object_id,
            "objectName": object_name,
            "principalKind": principal_kind,
            "principal": principal,
            "level": level,
        }
        super().__init__(resource_name, inputs, opts)
