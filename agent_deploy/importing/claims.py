"""The tag by which an endpoint is known as a stack's own: set as the last look allows it, and taken away again."""

from __future__ import annotations

import shlex

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.serving import PATH, tags_of
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.importing.stack import Stack
from agent_deploy.importing.take_over import TakeOver
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.problems import InvalidInput, Problem


def claim(workspace: Workspace, found: TakeOver) -> None:
    """Marks the endpoint as the stack's own, so that its program is let have it and no other stack takes it.

    Raises InvalidInput where another stack has marked it since it was looked at.
    """
    owner = _owner(workspace, found.found.name)
    if owner == found.mark:
        return  # by an earlier run
    if owner not in ("", found.found.owner):
        expected = f"one that no other stack owns, and {owner} has marked it in the meantime"
        raise InvalidInput([Problem("ENDPOINT", found.found.name, expected, "Look again")])
    tag = {"key": OWNER_TAG, "value": found.mark}
    workspace.patch(f"{PATH}/{segment(found.found.name)}/tags", {"add_tags": [tag]})


def unclaim(workspace: Workspace, endpoint: str, stack: Stack) -> str:
    """Takes the stack's mark away from an endpoint that its state does not have; returns the mark.

    Raises InvalidInput for any other endpoint.
    """
    owner, whose = _owner(workspace, endpoint), f"{stack.project}/{stack.name}"
    problem, remedy = "", ""
    if not stack.owns(owner):
        problem = f"one that {whose} has marked, and {owner or 'nobody'} has"
    elif endpoint in stack.deployed:
        problem = f"one that the state of {whose} does not have, and it has it: {stack.deployed[endpoint]}"
        remedy = (
            "To let it go and leave it running: take its entry out of the program, then `pulumi state delete --stack "
            f"{shlex.quote(stack.name)} --target-dependents {shlex.quote(_component(stack.deployed[endpoint]))}`, then "
            "this again. With `pulumi up` instead of that, the endpoint is deleted"
        )
    if problem:
        raise InvalidInput([Problem("--undo", endpoint, problem, remedy)])
    workspace.patch(f"{PATH}/{segment(endpoint)}/tags", {"delete_tags": [OWNER_TAG]})
    return owner


def _component(urn: str) -> str:
    """Of an endpoint's URN, its deployment's, which has the same name."""
    start, types, name = urn.rsplit("::", 2)
    return f"{start}::{types.rpartition('$')[0] or types}::{name}"


def _owner(workspace: Workspace, endpoint: str) -> str:
    remote = workspace.find(f"{PATH}/{segment(endpoint)}")
    if remote is None:
        raise WorkspaceError(f"there is no serving endpoint {endpoint!r} in {workspace.host}, or you may not see it")
    return tags_of(remote).get(OWNER_TAG, "")
