"""All endpoints of a workspace, taken over where that is possible."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agent_deploy.client.errors import ApiError
from agent_deploy.client.serving import PATH, tags_of
from agent_deploy.client.workspace import Workspace
from agent_deploy.importing.take_over import Stack, TakeOver, take_over
from agent_deploy.provider.plugin.resource import Context, UserError
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.problems import InvalidInput

_FORBIDDEN = 403


def everything(context: Context, stack: Stack, taken: Collection[str]) -> Iterator[tuple[str, TakeOver | str]]:
    """Each endpoint's name, and what it becomes or why it is left alone. ``taken`` are names of agents that the stack
    has: a second agent of one name is called as its endpoint is.
    """
    workspace: Workspace = context.configuration
    names = set(taken)
    for listed in sorted(workspace.get(PATH).get("endpoints") or [], key=lambda each: str(each["name"])):
        endpoint, owner = str(listed["name"]), tags_of(listed).get(OWNER_TAG, "")
        if owner:
            yield endpoint, f"{owner} owns it"
            continue
        try:
            found = take_over(context, endpoint, stack)
            if found.name in names:
                found = take_over(context, endpoint, stack, endpoint)
        except (InvalidInput, UserError) as error:
            yield endpoint, str(error)
            continue
        except ApiError as error:
            if not error.is_missing and error.status != _FORBIDDEN:
                raise
            yield endpoint, str(error)
            continue
        names.add(found.name)
        yield endpoint, found
