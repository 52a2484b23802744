"""An endpoint as it stands, with what belongs to it elsewhere: its permissions, its versions in the register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.client import agents_service
from agent_deploy.client.agents_service import NoAgentsService
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.serving import PATH, entities_of, newest_config, tags_of
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.review import ENDPOINTS, PRINCIPAL_FIELDS


@dataclass(frozen=True)
class Existing:
    """One endpoint. ``access`` has its direct permissions, as arguments of an AgentDeployment name them, without the
    administrators' and the caller's own, which no program declares; ``registered`` the register's records of its
    versions, and ``instructions`` what their reviewers are told.
    """

    remote: Mapping[str, Any]
    access: Sequence[Mapping[str, str]] = ()
    registered: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    instructions: str = ""

    @property
    def name(self) -> str:
        """Of the endpoint."""
        return str(self.remote["name"])

    @property
    def owner(self) -> str:
        """project/stack/resource of the stack that has marked it; empty where none has."""
        return tags_of(self.remote).get(OWNER_TAG, "")

    @property
    def entities(self) -> list[Mapping[str, Any]]:
        """What it serves, or is about to."""
        return entities_of(self.remote.get("config") or newest_config(self.remote))


def existing(workspace: Workspace, name: str) -> Existing:
    """The endpoint; raises WorkspaceError where it is not there or may not be seen."""
    remote = workspace.find(f"{PATH}/{segment(name)}")
    if remote is None:
        raise WorkspaceError(f"there is no serving endpoint {name!r} in {workspace.host}, or you may not see it")
    models = dict.fromkeys(str(each["entity_name"]) for each in Existing(remote).entities if each.get("entity_version"))
    registered: dict[str, Mapping[str, Any]] = {}
    instructions = ""
    try:
        for model in models:
            records = agents_service.records(workspace, model)
            ours = {each["model_version"]: each for each in records if each["endpoint_name"] == name}
            if ours:
                registered |= ours
                instructions = agents_service.instructions(workspace, model)
    except NoAgentsService:
        pass  # nothing is registered where nobody keeps a register
    return Existing(remote, _access(workspace, str(remote["id"])), registered, instructions)


def _access(workspace: Workspace, id: str) -> list[dict[str, str]]:
    answer, me = workspace.get(f"/api/2.0/permissions/{ENDPOINTS}/{segment(id)}"), workspace.user_name()
    return [
        {principal: str(entry[principal]), "level": str(permission["permission_level"])}
        for entry in answer.get("access_control_list") or []
        for principal in PRINCIPAL_FIELDS
        if entry.get(principal) and str(entry[principal]).lower() not in (ADMINS, me.lower())
        for permission in entry.get("all_permissions") or []
        if not permission.get("inherited")
    ]
