"""An endpoint as it stands, with what belongs to it elsewhere: its permissions, its versions in the register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.client import agents_service
from agent_deploy.client.agents_service import NoAgentsService
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.serving import PATH, entities_of, is_platforms_own, newest_config, tags_of
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.review import ENDPOINTS, PRINCIPAL_FIELDS


@dataclass(frozen=True)
class Existing:
    """One endpoint. ``access`` has its direct permissions, as arguments of an AgentDeployment name them, without the
    administrators' and the caller's own (``own_level``), which no program declares; ``registered`` the register's
    records of its versions, ``elsewhere`` the endpoint for which it has another of its versions, and ``instructions``
    what their reviewers are told.
    """

    remote: Mapping[str, Any]
    access: Sequence[Mapping[str, str]] = ()
    registered: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    instructions: str = ""
    own_level: str = ""
    elsewhere: Mapping[str, str] = field(default_factory=dict)

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
    if is_platforms_own(remote):
        return Existing(remote)  # its permissions are nobody's to read
    models = dict.fromkeys(str(each["entity_name"]) for each in Existing(remote).entities if each.get("entity_version"))
    registered: dict[str, Mapping[str, Any]] = {}
    elsewhere: dict[str, str] = {}
    served = {(str(each.get("entity_name")), str(each.get("entity_version"))) for each in Existing(remote).entities}
    instructions = ""
    try:
        for model in models:
            records = agents_service.records(workspace, model)
            ours = {each["model_version"]: each for each in records if each["endpoint_name"] == name}
            others = {each["model_version"]: str(each["endpoint_name"]) for each in records}
            elsewhere |= {
                number: of
                for number, of in others.items()
                if (model, number) in served and number not in ours and workspace.find(f"{PATH}/{segment(of)}")
            }
            if ours:
                registered |= ours
                instructions = agents_service.instructions(workspace, model)
    except NoAgentsService:
        pass  # nothing is registered where nobody keeps a register
    direct, me = _direct(workspace, str(remote["id"])), workspace.user_name().lower()
    access = [
        {field: principal, "level": level}
        for field, principal, level in direct
        if principal.lower() not in (ADMINS, me)
    ]
    own_level = next((level for _, principal, level in direct if principal.lower() == me), "")
    return Existing(remote, access, registered, instructions, own_level, elsewhere)


def _direct(workspace: Workspace, id: str) -> list[tuple[str, str, str]]:
    """Field of the principal, principal and level of each permission that is given to the endpoint itself."""
    answer = workspace.get(f"/api/2.0/permissions/{ENDPOINTS}/{segment(id)}")
    return [
        (principal, str(entry[principal]), str(permission["permission_level"]))
        for entry in answer.get("access_control_list") or []
        for principal in PRINCIPAL_FIELDS
        if entry.get(principal)
        for permission in entry.get("all_permissions") or []
        if not permission.get("inherited")
    ]
