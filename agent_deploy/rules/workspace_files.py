"""Where files lie that a pipeline or a job runs, and who else may write there: whoever may has his code run by them."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from agent_deploy.rules.groups import ACCOUNT_USERS, ADMINS, USERS
from agent_deploy.rules.object_permissions import CAN_MANAGE
from agent_deploy.rules.problems import Problem

# The folder in the home of whoever deploys first; ours alone, so that it goes when nothing is in it any more.
OWN_FOLDER: Final = "agent-deploy"
HOMES: Final = "/Users"
WRITING: Final = frozenset({"CAN_EDIT", CAN_MANAGE})


@dataclass(frozen=True)
class Writer:
    """One principal that may write at a place, by its own entry or one of a folder above."""

    kind: str  # "user", "group" or "service_principal"
    name: str
    level: str

    @property
    def is_everybody(self) -> bool:
        """Whether all users of the workspace are meant, or of the account."""
        return self.kind == "group" and self.name in (USERS, ACCOUNT_USERS)

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.name} ({self.level})"


def home_folder(name: str) -> str:
    """Of a user, or of a service principal by its application id: only they and administrators write there."""
    return f"{HOMES}/{name}/{OWN_FOLDER}"


def normal_folder(folder: str) -> str:
    """As the workspace's API shows it: ``/Workspace/Users/x/`` is ``/Users/x``."""
    return posixpath.normpath(folder).removeprefix("/Workspace") or "/"


def check_folder(field: str, folder: object) -> list[Problem]:
    """The form alone."""
    parts = folder.split("/") if isinstance(folder, str) else []
    if parts and parts[0] == "" and any(parts) and ".." not in parts and len(normal_folder(str(folder))) > 1:
        return []
    expected = "an absolute path in the workspace, such as /Users/ann@example.com/agents"
    return [Problem(field, folder, expected)]


def owner_of(path: str) -> str:
    """Whose home it lies in; empty outside of homes."""
    parts = path.split("/")
    return parts[2] if path.startswith(f"{HOMES}/") and len(parts) > 2 else ""


def others(writers: Iterable[Writer], path: str, deployer: str) -> Iterator[Writer]:
    """Those besides administrators, the owner of the home around it, and who deploys."""
    known = {owner_of(path).lower(), deployer.lower()}
    for writer in writers:
        is_admins = writer.kind == "group" and writer.name == ADMINS
        if not is_admins and not (writer.kind != "group" and writer.name.lower() in known):
            yield writer


def open_to(path: str, writers: Collection[Writer]) -> str:
    """What to tell of a place that others write, and what to do about it."""
    named = ", ".join(str(writer) for writer in writers)
    return (
        f"{path} holds what a pipeline or a job runs, and may be written by {named}: whoever writes there has his code "
        "run with the privileges of the pipeline. Take the permission away (on the folder that gives it), or say "
        "source_folder, a folder that only its owner writes"
    )


def unreadable(path: str, message: str) -> str:
    """What to tell where nobody tells who may write."""
    return (
        f"Who may write {path}, which a pipeline or a job runs, cannot be read ({message}): see to it that only its "
        "owner may."
    )
