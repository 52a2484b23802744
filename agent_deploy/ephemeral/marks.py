"""What an ephemeral stack leaves in a workspace, found by the workspace's own marks: without a state, without a record.

Each endpoint has the stack that declares it and the stack's suffix among its tags. What else the stack made for the
endpoint is named after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent_deploy.client.serving import tags_of
from agent_deploy.client.workspace import Workspace
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.ephemeral import EPHEMERAL_TAG
from agent_deploy.tables.reading import payload_table_of

_ENDPOINTS = "/api/2.0/serving-endpoints"
_SCOPES = "/api/2.0/secrets"
_REQUESTS = "request_count_total{"


@dataclass(frozen=True)
class Marked:
    """An endpoint of an ephemeral stack."""

    project: str
    stack: str
    name: str
    changed_at: float
    remote: dict[str, Any]


def marked(workspace: Workspace, project: str) -> Iterator[Marked]:
    """Those of a project that the caller may see. Raises WorkspaceError."""
    for each in workspace.get(_ENDPOINTS).get("endpoints") or []:
        tags = tags_of(each)
        of, _, rest = tags.get(OWNER_TAG, "").partition("/")
        if EPHEMERAL_TAG in tags and of == project and rest:
            changed = float(each.get("last_updated_timestamp") or 0) / 1000
            yield Marked(of, rest.partition("/")[0], str(each["name"]), changed, each)


def answered(workspace: Workspace, found: list[Marked]) -> int:
    """How many requests these endpoints have answered, as far as their metrics go back."""
    total = 0.0
    for each in found:
        lines = workspace.text(f"{_ENDPOINTS}/{each.name}/metrics").splitlines()
        total += sum(float(line.split()[-1]) for line in lines if line.startswith(_REQUESTS))
    return int(total)


def remove(workspace: Workspace, endpoint: Marked) -> list[str]:
    """Deletes the endpoint, and the scopes and the payload table that are its own; returns what went."""
    gone = [f"endpoint {endpoint.name}"]
    remote = workspace.get(f"{_ENDPOINTS}/{endpoint.name}")
    workspace.remove(f"{_ENDPOINTS}/{endpoint.name}")
    for scope in workspace.get(f"{_SCOPES}/scopes/list").get("scopes") or []:
        name = str(scope["name"])
        own, _, version = name.rpartition("_")
        if name == endpoint.name or (own == endpoint.name and version.isdecimal()):
            workspace.post(f"{_SCOPES}/scopes/delete", {"scope": name}, repeatable=True)
            gone.append(f"secret scope {name}")
    if table := payload_table_of(remote):
        workspace.remove(f"/api/2.1/unity-catalog/tables/{table}")
        gone.append(f"table {table}")
    return gone
