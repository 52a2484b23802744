"""A change that the workspace refuses with 409, as another update keeps the endpoint busy, is tried again."""

from __future__ import annotations

from collections.abc import Callable

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.state import Remote
from agent_deploy.provider.endpoint.waiting import Polling, get
from agent_deploy.provider.plugin.resource import Context


def when_free(
    context: Context,
    workspace: Workspace,
    name: str,
    deadline: float,
    call: Callable[[], object],
    is_done: Callable[[Remote], bool] | None = None,
) -> None:
    """Calls; while another update keeps the endpoint busy (409), waits for its end and calls again.

    Unless what the call is for turns out to be done, or under way, already (``is_done``): a repeated request may have
    met its own first copy.
    """
    polling = Polling(context, deadline)
    while True:
        try:
            call()
            return
        except ApiError as error:
            if not error.is_conflict:
                raise
            if is_done is not None and is_done(get(workspace, name)):
                return
            context.status(f"{name} is being updated by another run; waiting for its end")
            if not polling.pause():
                raise
        while states.is_updating(get(workspace, name)) and polling.pause():
            pass
