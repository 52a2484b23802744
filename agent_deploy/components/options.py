"""Options that every child of a component gets."""

import pulumi


def child_options(parent: pulumi.Resource, **more: object) -> pulumi.ResourceOptions:
    """``parent`` set, so that providers, aliases and protection are inherited; ``more`` where it is not None."""
    given = {key: value for key, value in more.items() if value is not None}
    return pulumi.ResourceOptions(parent=parent, **given)  # type: ignore[arg-type]
