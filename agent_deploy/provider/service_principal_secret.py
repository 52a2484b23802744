"""The resource ServicePrincipalSecret: an OAuth secret of a service principal, whose successor exists before it goes.

The vendor's resource of this name lets the secret into the engine's debug lines, which `--json` and event logs show.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.client.masking import hide
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.resource import (
    UNKNOWN,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    Resource,
    UserError,
    Values,
)
from agent_deploy.rules.credentials import MAX_SECRETS, too_many_secrets
from agent_deploy.rules.problems import Problem

_LIFETIME = re.compile(r"[1-9]\d*s")
# Output → the API's name.
_TOLD = {"createTime": "create_time", "expireTime": "expire_time"}


class ServicePrincipalSecret(Resource):
    """Id: the secret's. Its value is told once, at creation, and lives in the state alone, as a secret."""

    inputs: ClassVar[tuple[str, ...]] = ("servicePrincipalId", "lifetime", "timeRotating", "exclusive")
    outputs: ClassVar[tuple[str, ...]] = ("secret", *_TOLD)
    secrets: ClassVar[frozenset[str]] = frozenset({"secret"})
    replaces: ClassVar[frozenset[str]] = frozenset({"servicePrincipalId", "lifetime", "timeRotating"})

    def __init__(self) -> None:
        # URN → id of the secret in the state, "" when it was not told: a creation does not hear what it replaces.
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Only the form."""
        if old_inputs:
            with self._lock:
                self._kept.setdefault(context.urn, "")
        problems = []
        principal, lifetime = inputs.get("servicePrincipalId"), inputs.get("lifetime")
        if principal is not UNKNOWN and not (isinstance(principal, str) and principal):
            problems.append(Problem("servicePrincipalId", principal, "the id of a service principal, a number"))
        if lifetime not in (None, UNKNOWN) and not _LIFETIME.fullmatch(str(lifetime)):
            problems.append(Problem("lifetime", lifetime, "seconds, such as 3600s"))
        return inputs, [Failure("", str(problem)) for problem in problems]

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """Of what makes another secret; the rest, and what the vendor's resource has besides, is no change."""
        with self._lock:
            self._kept[context.urn] = id
        before, after = ({name: given.get(name) for name in self.replaces} for given in (old_inputs, inputs))
        return super().diff(context, id, before, old, after)

    def create(self, context: Context, inputs: Values) -> Created:
        """Makes one, after it has removed what runs that were cut short have left, where that can be told."""
        with self._lock:
            kept = self._kept.pop(context.urn, None)
        workspace, principal = _workspace(context), str(inputs["servicePrincipalId"])
        if inputs.get("exclusive"):
            for left in _left_over(list(secrets_of(workspace, principal)), kept):
                workspace.remove(f"{_path(principal)}/{segment(left)}")
                context.info(f"Removed OAuth secret {left}: an earlier run made it and was cut short.")
        body = {"lifetime": inputs["lifetime"]} if inputs.get("lifetime") else {}
        try:
            made = workspace.post(_path(principal), body)
        except ApiError as error:
            count = sum(1 for _ in secrets_of(workspace, principal)) if error.status in (400, 409, 429) else 0
            raise UserError(too_many_secrets(principal, count)) if count >= MAX_SECRETS else error from error
        hide(str(made["secret"]))
        return Created(str(made["id"]), {**inputs, "secret": made["secret"], **_told(made)})

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """Whether it is there and has not expired; its value cannot be read."""
        if not old_inputs:
            raise UserError(
                f"The OAuth secret {id} cannot be imported, as its value is told only when it is made: declare it anew."
            )
        try:
            held = list(secrets_of(_workspace(context), str(old_inputs["servicePrincipalId"])))
        except ApiError as error:
            if error.is_missing:
                return None  # gone with its principal
            raise
        there = next((secret for secret in held if secret["id"] == id), None)
        if there is None or _is_expired(there):
            return None
        return Found(id, {**old, **_told(there)}, old_inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """What is left of the inputs says only what a creation does."""
        return {**old, **inputs}

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes it, if it and its principal are still there."""
        principal = str((old_inputs or old)["servicePrincipalId"])
        _workspace(context).remove(f"{_path(principal)}/{segment(id)}")


def secrets_of(workspace: Workspace, principal: str) -> Iterator[dict[str, Any]]:
    """What the workspace tells of a principal's OAuth secrets, which is all but their values."""
    page: dict[str, str] = {}
    while True:
        answer = workspace.get(_path(principal), page)
        yield from answer.get("secrets") or []
        if not (token := answer.get("next_page_token")):
            return
        page = {"page_token": str(token)}


def _path(principal: str) -> str:
    return f"/api/2.0/accounts/servicePrincipals/{segment(principal)}/credentials/secrets"


def _left_over(held: list[dict[str, Any]], kept: str | None) -> list[str]:
    """Ids of secrets that no state knows: all where none was known, else those that are newer than the one it knows.

    An older one may still be in use: by an endpoint that has not moved on from a secret which a later run removes.
    """
    if kept is None:
        return [str(secret["id"]) for secret in held]
    since = next((_time(secret.get("create_time")) for secret in held if secret["id"] == kept), None)
    if since is None:
        return []
    return [str(secret["id"]) for secret in held if (made := _time(secret.get("create_time"))) and made > since]


def _told(secret: dict[str, Any]) -> Values:
    return {name: secret[wire] for name, wire in _TOLD.items() if secret.get(wire) is not None}


def _is_expired(secret: dict[str, Any]) -> bool:
    expires = _time(secret.get("expire_time"))
    return expires is not None and expires < datetime.now(timezone.utc)


def _time(text: object) -> datetime | None:
    # Python 3.10 reads neither "Z" nor fractions of any length.
    if not text:
        return None
    whole, _, rest = str(text).partition(".")
    micros = re.match(r"\d{0,6}", rest)
    stamp = datetime.fromisoformat(re.sub(r"Z$", "+00:00", whole if rest == "" else f"{whole}+00:00"))
    return stamp.replace(microsecond=int((micros[0] if micros else "").ljust(6, "0") or 0))


def _workspace(context: Context) -> Workspace:
    workspace: Workspace = context.configuration
    return workspace.during(context.cancelled, context.timeout or 300.0)
