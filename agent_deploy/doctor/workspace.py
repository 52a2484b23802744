"""Of the sign-in and the workspace: which one, as whom, for how long, and what that may do."""

from __future__ import annotations

import base64
import email.utils
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agent_deploy.client.configuration import OAUTH_M2M, PAT, resolve
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import Workspace
from agent_deploy.doctor.line import ERROR, OK, WARNING, Line
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.workspace.permission_facts import facts_of
from agent_deploy.rules.requirements import Requirements, needs
from agent_deploy.rules.verification import verdict

_WAYS: Final = {PAT: "a personal access token", OAUTH_M2M: "a service principal's OAuth secret"}
_SOON: Final = 3600.0  # seconds
_SKEW: Final = 30.0  # seconds; OAuth tokens and certificates are refused beyond some minutes
_SIGN_IN, _WORKSPACE, _TOKEN, _CLOCK = "sign-in", "workspace", "token's life", "clock"


def lines(schema: str) -> Iterator[Line]:
    """What follows from nothing, as a workspace that does not answer, is left out."""
    try:
        settings = resolve({})
        workspace = Workspace(settings).during(None, patience=10.0, silence=10.0)
        host = workspace.host
    except WorkspaceError as error:
        yield Line(_SIGN_IN, ERROR, "no workspace, or no way to sign in", str(error))
        return
    yield Line(_SIGN_IN, OK, f"{_WAYS.get(settings.method, 'Databricks unified authentication')}, {settings.origin}")
    try:
        name = workspace.user_name()
    except WorkspaceError as error:
        yield Line(_WORKSPACE, ERROR, f"{host} does not let us in, or does not answer", str(error))
        return
    yield Line(_WORKSPACE, OK, f"{host} ({_kind(workspace)}), as {name}")
    yield _life(workspace, settings.method)
    yield _clock(workspace)
    yield from _privileges(workspace, schema)


def _kind(workspace: Workspace) -> str:
    """A local workspace has routes that no other one has."""
    try:
        workspace.get("/_local/health")
    except WorkspaceError:
        return "Databricks"
    return "a local workspace"


def _life(workspace: Workspace, method: str) -> Line:
    expires = _expires(workspace.signed().get("Authorization", ""))
    if expires is None:
        known = "until it is revoked, or expires: a personal access token does not say" if method == PAT else "not said"
        return Line(_TOKEN, OK, known)
    left = expires - time.time()
    if method == OAUTH_M2M:
        return Line(_TOKEN, OK, "fetched anew before it expires")
    if left < _SOON:
        remedy = "A deployment may take longer: sign in anew (databricks auth login)"
        return Line(_TOKEN, WARNING if left > 0 else ERROR, f"{left / 60:.0f} minutes left", remedy)
    return Line(_TOKEN, OK, f"{left / 3600:.0f} hours left")


def _expires(authorization: str) -> float | None:
    """When a bearer token that says it expires; seconds since 1970."""
    parts = authorization.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def _clock(workspace: Workspace) -> Line:
    told = workspace.date()
    if told is None:
        return Line(_CLOCK, WARNING, "the workspace does not say what time it is", "Compare it by hand")
    skew = time.time() - email.utils.parsedate_to_datetime(told).timestamp()
    if abs(skew) > _SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        found = f"{abs(skew):.0f} seconds {ahead} the workspace's"
        return Line(_CLOCK, ERROR, found, "Set this machine's clock: tokens are refused by the time")
    return Line(_CLOCK, OK, f"within {_SKEW:.0f} seconds of the workspace's")


def _privileges(workspace: Workspace, schema: str) -> Iterator[Line]:
    """What a first agent takes, before there is a model: to register one, to log what is asked."""
    about = f"privileges in {schema}"
    wanted = Requirements(inference_schema=schema, feedback_schema=schema)
    try:
        facts = facts_of(Context(configuration=workspace))
        principal = facts.principal(None)
        looked_at = needs((), wanted)
        found = verdict(looked_at, facts.gather(looked_at, principal), principal)
    except WorkspaceError as error:
        yield Line(about, ERROR, "cannot be looked at", str(error))
        return
    failures: Sequence[Any] = found.failures
    for each in failures:
        yield Line(about, ERROR, f"{each.object}: {each.reason}", each.remedy)
    for each in found.unverified:
        yield Line(about, WARNING, f"{each.object}: {each.reason}", each.remedy)
    if not failures:
        yield Line(about, OK, f"{len(found.checks)} checks, none failed")
