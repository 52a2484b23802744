"""The resource ServicePrincipalSecret: an OAuth secret of a service principal, whose successor exists before it goes.

The vendor's resource of this name lets the secret into the engine's debug lines, which `--json` and event logs show.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.client.masking import hide
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.plugin.resource import (
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
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.rules.credentials import MAX_LIFETIME_DAYS, MAX_SECRETS, too_many_secrets
from agent_deploy.rules.problems import Problem

_HOUR = 3600
_LIFETIME = re.compile(r"[1-9]\d*s")
# Output → the API's name.
_TOLD = {"createTime": "create_time", "expireTime": "expire_time"}


class ServicePrincipalSecret(Resource):
    """Id: the secret's. Its value is told once, at creation, and lives in the state alone, as a secret."""

    inputs: ClassVar[tuple[str, ...]] = ("servicePrincipalId", "lifetime", "timeRotating")
    outputs: ClassVar[tuple[str, ...]] = ("secret", *_TOLD)
    secrets: ClassVar[frozenset[str]] = frozenset({"secret"})
    replaces: ClassVar[frozenset[str]] = frozenset({"*"})

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
        """What the vendor's resource has besides in its state is no change."""
        with self._lock:
            self._kept[context.urn] = id
        before, after = ({name: given.get(name) for name in self.inputs} for given in (old_inputs, inputs))
        return super().diff(context, id, before, old, after)

    def create(self, context: Context, inputs: Values) -> Created:
        """Makes one, after it has removed those that earlier runs of this resource made and could not note."""
        with self._lock:
            kept = self._kept.pop(context.urn, None)
        workspace, principal = workspace_of(context), str(inputs["servicePrincipalId"])
        for left in _left_over(list(secrets_of(workspace, principal)), kept, _mark(context.urn)):
            workspace.remove(f"{_path(principal)}/{segment(left)}")
            context.info(f"Removed OAuth secret {left}: an earlier run made it and was cut short.")
        body = {"lifetime": _marked(inputs.get("lifetime"), _mark(context.urn))}
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
            held = list(secrets_of(workspace_of(context), str(old_inputs["servicePrincipalId"])))
        except ApiError as error:
            if error.is_missing:
                return None  # gone with its principal
            raise
        there = next((secret for secret in held if secret["id"] == id), None)
        if there is None or _is_expired(there):
            return None
        return Found(id, {**old, **_told(there)}, old_inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Every change is a replacement."""
        raise UserError("An OAuth secret is never changed in place.")

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes it, if it and its principal are still there."""
        principal = str((old_inputs or old)["servicePrincipalId"])
        workspace_of(context).remove(f"{_path(principal)}/{segment(id)}")


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


def _mark(urn: str) -> int:
    """Seconds by which the resource's secrets live shorter than a whole number of hours.

    A secret carries nothing else by which it could say which resource of which stack made it.
    """
    return 60 + int(hashlib.sha256(urn.encode()).hexdigest()[:12], 16) % (_HOUR - 120)


def _marked(lifetime: str | None, mark: int) -> str:
    seconds = int(lifetime[:-1]) if lifetime else MAX_LIFETIME_DAYS * 24 * _HOUR
    return f"{seconds - mark}s" if seconds % _HOUR == 0 and seconds > _HOUR else f"{seconds}s"


def _left_over(held: list[dict[str, Any]], kept: str | None, mark: int) -> list[str]:
    """Ids of the resource's own secrets that no state knows: newer than the one it knows, all where it knows none.

    An older one may still be in use: by an endpoint that has not moved on from a secret which a later run removes.
    """
    times = {str(each["id"]): (_time(each.get("create_time")), _time(each.get("expire_time"))) for each in held}
    since = times.get(kept, (None, None))[0] if kept is not None else datetime.min.replace(tzinfo=timezone.utc)
    if since is None:
        return []
    return [id for id, (made, end) in times.items() if made and end and made > since and _is_marked(end - made, mark)]


def _is_marked(life: timedelta, mark: int) -> bool:
    """Whether a secret that lives so long is the resource's; its times may be cut to seconds."""
    return abs(-life.total_seconds() % _HOUR - mark) <= 1


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
