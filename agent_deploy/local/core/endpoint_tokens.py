"""Tokens for route-optimised endpoints: OAuth tokens that name the endpoints they ask, and open nothing else."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Collection
from typing import Any

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import ENDPOINT_TOKEN, TOKEN_SECONDS, Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.vault import Vault

# Source: Databricks, "Query route-optimized serving endpoints".
_TYPE, _OBJECT_TYPE, _ACTION = "workspace_permission", "serving-endpoints", "query_inference_endpoint"
_OBJECT_PATH = re.compile(r"/serving-endpoints/([0-9a-f]{32})")


def details_for(endpoint_id: str) -> str:
    """The ``authorization_details`` with which a token for this endpoint is asked for."""
    path = f"/{_OBJECT_TYPE}/{endpoint_id}"
    return json.dumps(
        [{"type": _TYPE, "object_type": _OBJECT_TYPE, "object_path": path, "actions": [_ACTION]}], separators=(",", ":")
    )


def endpoints_in(details: str) -> list[str]:
    """Ids of the endpoints that ``authorization_details`` name; raises ValueError for anything else."""
    try:
        given = json.loads(details)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"authorization_details: expected a JSON list ({type(error).__name__})") from error
    if not isinstance(given, list) or not given:
        raise ValueError("authorization_details: expected a JSON list with at least one detail")
    return [_endpoint_of(detail) for detail in given]


def _endpoint_of(detail: Any) -> str:
    given = detail if isinstance(detail, dict) else {}
    path = _OBJECT_PATH.fullmatch(str(given.get("object_path")))
    actions = given.get("actions")
    is_complete = (given.get("type"), given.get("object_type")) == (_TYPE, _OBJECT_TYPE) and isinstance(actions, list)
    if path is None or not is_complete or _ACTION not in (actions or ()):
        raise ValueError(f"authorization_details: expected details like {details_for('<hex id>')}")
    return path[1]


def issue(workspace: Workspace, principal_id: str, endpoint_ids: Collection[str]) -> str:
    """A new token, kept as a digest only; those that have expired are forgotten."""
    now, token = time.time(), f"oauth{secrets.token_hex(24)}"
    for old in workspace.store.list(ENDPOINT_TOKEN, parent=principal_id):
        if old["expires"] < now:
            workspace.store.delete(ENDPOINT_TOKEN, old["key"])
    document: Document = {"key": Vault.digest(token), "principal_id": principal_id, "expires": now + TOKEN_SECONDS}
    workspace.store.put(
        ENDPOINT_TOKEN, document["key"], {**document, "endpoints": sorted(set(endpoint_ids))}, parent=principal_id
    )
    return token


def authenticate(workspace: Workspace, header: str, endpoint_id: str) -> Principal:
    """Who asks the endpoint at its own URL; raises 401, and 403 for a token that names other endpoints."""
    scheme, _, token = header.partition(" ")
    document = workspace.store.get(ENDPOINT_TOKEN, Vault.digest(token.strip())) if scheme.lower() == "bearer" else None
    if document is None or document["expires"] < time.time():
        message = (
            "A route-optimized endpoint takes only OAuth tokens that were asked for with authorization_details for it: "
            f"POST /oidc/v1/token with authorization_details={details_for(endpoint_id)}."
        )
        raise ApiError(401, "UNAUTHENTICATED", message)
    principal = workspace.principals.principal(document["principal_id"])
    if endpoint_id not in document["endpoints"]:
        message = f"The token's authorization_details do not name /{_OBJECT_TYPE}/{endpoint_id}."
        raise ApiError(403, "PERMISSION_DENIED", message)
    return principal
