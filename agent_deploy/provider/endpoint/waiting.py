"""Waits for a serving endpoint and tells, meanwhile, how far it is; a failure names the entity and shows its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from agent_deploy.client.errors import ApiError, ConnectionLost, Unreachable, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.state import PATH, Remote
from agent_deploy.provider.plugin.resource import Context, UserError

# Seconds between two looks: quick at first, for local workspaces; the last is what a change may take longer than the
# workspace itself needs.
FIRST_POLL, LAST_POLL, POLL_GROWTH = 0.2, 1.5, 1.5
# How often the build log is asked for, for the line beside the resource.
LOG_EVERY = 5.0
LOG_TAIL_LINES = 25
# How often the line is told anew while only time passes.
TELL_EVERY = 10.0
# An entity that failed is told at once; its update is given this long to end, so that the next one is not refused.
SETTLE_SECONDS = 10.0
# A workspace that cannot be reached in the middle of a wait is given this long to come back.
OUTAGE_SECONDS = 60.0
# An update that the workspace accepted must show within this time, even if reads lag behind.
APPEAR_SECONDS = 20.0


class EndpointFailed(UserError):
    """The endpoint did not become what was asked; ``remote`` is what it is."""

    def __init__(self, reason: str, remote: Remote) -> None:
        super().__init__(reason)
        self.remote = remote


class Polling:
    """The pauses of one wait: growing, never past the deadline, ended by the user's interruption."""

    def __init__(self, context: Context, deadline: float) -> None:
        self._context, self._deadline, self._pause = context, deadline, FIRST_POLL

    def pause(self) -> bool:
        """Waits a little; False when the time is over. Raises Cancelled."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return False
        self._context.pause(min(self._pause, left))
        self._pause = min(self._pause * POLL_GROWTH, LAST_POLL)
        return True


def get(workspace: Workspace, name: str) -> dict[str, Any]:
    """The endpoint; raises ApiError."""
    return workspace.get(f"{PATH}/{segment(name)}")


def find(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """The endpoint, or None where there is none of that name."""
    return workspace.find(f"{PATH}/{segment(name)}")


def wait_until_ready(
    context: Context,
    workspace: Workspace,
    name: str,
    deadline: float,
    is_wanted: Callable[[Remote], bool],
    is_new: bool = False,
) -> dict[str, Any]:
    """The endpoint once its update is over and it answers; raises EndpointFailed, at the deadline too, or Cancelled.

    One that is new may not be visible yet.
    """
    polling, progress, looking = Polling(context, deadline), _Progress(context, workspace, name), _Looking(is_new)
    failed_since = stale_since = None
    while True:
        remote = looking.at(context, workspace, name)
        if states.config_update(remote) in states.UPDATE_ENDED_BADLY:
            raise EndpointFailed(failure_text(workspace, remote), remote)
        if _failed_entities(remote):
            failed_since = failed_since or time.monotonic()
            if not states.is_updating(remote) or time.monotonic() - failed_since > SETTLE_SECONDS:
                raise EndpointFailed(failure_text(workspace, remote), remote)
        elif states.is_healthy(remote):
            if is_wanted(remote):
                context.status("ready")
                return remote
            stale_since = stale_since or time.monotonic()
            if time.monotonic() - stale_since > APPEAR_SECONDS:
                reason = f"the workspace reports {name} as up to date, but with another config than the one it accepted"
                raise EndpointFailed(f"{reason}. Was it changed by somebody else at the same time?", remote)
        progress.tell(remote)
        if not polling.pause():
            raise EndpointFailed(_timeout_text(workspace, remote), remote)


def wait_until_gone(context: Context, workspace: Workspace, name: str, deadline: float) -> None:
    """Returns once the endpoint is no longer there; raises UserError at the deadline."""
    polling = Polling(context, deadline)
    while find(workspace, name) is not None:
        context.status(f"waiting for {name} to disappear")
        if not polling.pause():
            raise UserError(f"The workspace accepted the deletion of {name}, but the endpoint is still there.")


def failure_text(workspace: Workspace, remote: Remote) -> str:
    """What failed, why, the end of its log, and what serves nevertheless."""
    lines = []
    failed = _failed_entities(remote)
    states_by_entity = states.entity_states(remote)
    for name in failed:
        state = states_by_entity[name]
        lines.append(f"served entity {name} is {state['deployment']}: {state['message'] or 'no message'}")
        lines += _log_tail(workspace, str(remote["name"]), name)
    if not failed:
        lines.append(states.unhealthy_reason(remote))
    lines.append(_still_serving(remote))
    return "\n".join(lines)


def _failed_entities(remote: Remote) -> list[str]:
    # An aborted entity was stopped because another one failed: it is named only when no other is.
    by_state = states.entity_states(remote)
    for wanted in (states.ENTITY_FAILED, states.ENTITY_ABORTED):
        if names := [name for name, state in by_state.items() if state["deployment"] == wanted]:
            return names
    return []


def _still_serving(remote: Remote) -> str:
    # What failed to be rolled out stands in the pending config: its predecessor of the same name answers on.
    failed = _failed_entities({**remote, "pending_config": None})
    serving = [
        f"{name} ({share} %)"
        for name, share in states.routes_of(remote.get("config")).items()
        if states.ready(remote) == states.READY and name not in failed
    ]
    if serving:
        return f"Still serving: {', '.join(serving)}. The next `pulumi up` tries again, in place."
    return "Nothing serves. The next `pulumi up` tries again, in place."


def _log_tail(workspace: Workspace, endpoint: str, entity: str) -> list[str]:
    for kind, title in (("build-logs", "build log"), ("logs", "log")):
        try:
            text = _logs(workspace, endpoint, entity, kind)
        except WorkspaceError as error:
            return [f"(the {title} of {entity} is not to be had: {error})"]
        if tail := [line for line in text.splitlines() if line.strip()][-LOG_TAIL_LINES:]:
            return [f"end of the {title} of {entity}:", *(f"  | {line}" for line in tail)]
    return [f"(the logs of {entity} are empty)"]


def _logs(workspace: Workspace, endpoint: str, entity: str, kind: str) -> str:
    answer = workspace.get(f"{PATH}/{segment(endpoint)}/served-models/{segment(entity)}/{kind}")
    return str(answer.get("logs") or "")


def _timeout_text(workspace: Workspace, remote: Remote) -> str:
    what = states.unhealthy_reason(remote)
    lines = [
        f"not ready within the time allowed: {what}. The workspace goes on by itself, and the next `pulumi up` goes on "
        "waiting. To wait longer, set custom_timeouts (timeouts of an AgentDeployment)."
    ]
    # Slow or stuck: its log tells which.
    for name, state in states.entity_states(remote).items():
        if state["deployment"] != states.ENTITY_READY:
            lines += _log_tail(workspace, str(remote["name"]), name)
    return "\n".join(lines)


class _Looking:
    """Reads the endpoint over and over; a short outage of the workspace is waited for."""

    def __init__(self, is_new: bool) -> None:
        self._away_since: float | None = None
        self._visible_by = time.monotonic() + APPEAR_SECONDS if is_new else 0.0

    def at(self, context: Context, workspace: Workspace, name: str) -> dict[str, Any]:
        while True:
            try:
                remote = get(workspace, name)
            except (Unreachable, ConnectionLost) as error:
                self._away_since = self._away_since or time.monotonic()
                if time.monotonic() - self._away_since > OUTAGE_SECONDS:
                    raise
                context.status(f"the workspace cannot be reached, trying on: {error}")
                context.pause(LAST_POLL)
                continue
            except ApiError as error:
                if not error.is_missing or time.monotonic() > self._visible_by:
                    raise
                context.status("made, and not visible yet")
                context.pause(FIRST_POLL)
                continue
            self._away_since, self._visible_by = None, 0.0
            return remote


class _Progress:
    """The line beside the resource: entity, state, since when, newest line of its build log."""

    def __init__(self, context: Context, workspace: Workspace, name: str) -> None:
        self._context, self._workspace, self._name = context, workspace, name
        self._since: dict[tuple[str, str], float] = {}
        self._log_at = time.monotonic() - LOG_EVERY / 2
        self._log_line = ""
        self._told: tuple[object, float] = (None, 0.0)

    def tell(self, remote: Remote) -> None:
        """Says what is still on its way."""
        now = time.monotonic()
        by_entity = states.entity_states(remote)
        waiting = {name: s["deployment"] for name, s in by_entity.items() if s["deployment"] != states.ENTITY_READY}
        if waiting:
            self._read_log(next(iter(waiting)), now)
        news = (waiting, self._log_line, states.ready(remote), states.config_update(remote))
        # Where nobody watches, each text is a line of the log: without news, one in a while is enough.
        if news != self._told[0] or now - self._told[1] >= TELL_EVERY:
            self._told = (news, now)
            self._context.status(self._text(remote, waiting, now))

    def _text(self, remote: Remote, waiting: dict[str, str], now: float) -> str:
        if not waiting:
            return f"{states.ready(remote)}, config update {states.config_update(remote)}"
        parts = []
        for entity, deployment in waiting.items():
            since = self._since.setdefault((entity, deployment), now)
            word = deployment.removeprefix("DEPLOYMENT_").lower() or "waiting"
            parts.append(f"{entity} {word} for {_duration(now - since)}")
        return ", ".join(parts) + (f": {self._log_line}" if self._log_line else "")

    def _read_log(self, entity: str, now: float) -> None:
        if now - self._log_at < LOG_EVERY:
            return
        self._log_at = now
        try:
            lines = _logs(self._workspace, self._name, entity, "build-logs").splitlines()
        except WorkspaceError as error:
            self._log_line = f"(no build log: {error})"[:120]
            return
        self._log_line = next((line.strip()[:120] for line in reversed(lines) if line.strip()), "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
