"""All endpoints of a workspace, taken over where that is possible."""

from __future__ import annotations

from collections.abc import Iterator

from agent_deploy.client.errors import ApiError
from agent_deploy.client.serving import PATH, is_platforms_own, tags_of
from agent_deploy.client.workspace import Workspace
from agent_deploy.importing.stack import Stack
from agent_deploy.importing.take_over import TakeOver, take_over
from agent_deploy.provider.plugin.resource import Context, UserError
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.problems import InvalidInput

_FORBIDDEN = 403


def everything(context: Context, stack: Stack) -> Iterator[tuple[str, TakeOver | str]]:
    """Each endpoint's name, and what it becomes or why it is left alone. An import that was begun goes on under its
    name; of two agents of one model, the second is called as its endpoint is.
    """
    workspace: Workspace = context.configuration
    listed = workspace.get(PATH).get("endpoints") or []
    owners = {str(each["name"]): tags_of(each).get(OWNER_TAG, "") for each in listed if not is_platforms_own(each)}
    begun = {endpoint: stack.begun(endpoint, owner) for endpoint, owner in owners.items()}
    names = {*stack.agents, *begun.values()}
    for endpoint, owner in sorted(owners.items()):
        if endpoint in stack.deployed or (owner and not stack.owns(owner)):
            yield endpoint, f"{owner or stack.deployed[endpoint]} owns it"
            continue
        try:
            found = take_over(context, endpoint, stack)
            if found.name in names and not begun[endpoint]:
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
