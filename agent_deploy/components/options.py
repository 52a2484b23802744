"""Options that every child of a component gets, and by what its endpoint is known to be its own."""

from collections.abc import Iterator

import pulumi

# For children that the vendor's plugin deletes before it makes the new one, whenever the program names them: what a
# serving endpoint reads goes after it.
NEW_FIRST = pulumi.ResourceOptions(delete_before_replace=False)


def child_options(parent: pulumi.Resource, **more: object) -> pulumi.ResourceOptions:
    """``parent`` set, so that providers, aliases and protection are inherited; ``more`` where it is not None."""
    given = {key: value for key, value in more.items() if value is not None}
    return pulumi.ResourceOptions(parent=parent, **given)  # type: ignore[arg-type]


def owner_marks(name: str, opts: pulumi.ResourceOptions | None) -> list[str]:
    """project/stack/name of a component; then those that it had before, as far as its aliases tell."""
    project, stack = pulumi.get_project(), pulumi.get_stack()
    former = _former(name, project, stack, (opts.aliases if opts else None) or ())
    return list(dict.fromkeys([f"{project}/{stack}/{name}", *former]))


def _former(name: str, project: str, stack: str, aliases: object) -> Iterator[str]:
    for alias in aliases if isinstance(aliases, (list, tuple)) else ():
        if isinstance(alias, str) and alias.count("::") >= 3:
            # urn:pulumi:<stack>::<project>::<types>::<name>
            of_stack, of_project, _, of_name = alias.split("::", 3)
            yield f"{of_project}/{of_stack.rpartition(':')[2]}/{of_name}"
        elif isinstance(alias, pulumi.Alias):
            given = [
                now if told is ... or not isinstance(told, str) else told
                for told, now in ((alias.project, project), (alias.stack, stack), (alias.name, name))
            ]
            yield "/".join(given)
