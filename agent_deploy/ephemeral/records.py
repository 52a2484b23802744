"""What the workspace remembers of each ephemeral stack, beside its state: enough to take it down when that was lost.

A file for each in the home folder of whoever deploys, which nobody else but administrators reads. The state in it is as
`pulumi stack export` writes it, secrets encrypted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.workspace.workspace_tree import TREE, file_text, remove_file, write_file
from agent_deploy.rules.workspace_files import home_folder

_FOLDER, _END = "ephemeral", ".json"


@dataclass(frozen=True)
class Record:
    """One stack. ``stack`` as Pulumi's commands take it; times are seconds since 1970.

    ``backend``: the address at which its state is; ``requests``: how many its endpoints had answered when that was last
    looked at; ``checkpoint``: its state.
    """

    project: str
    stack: str
    backend: str = ""
    base: str = ""
    suffix: str = ""
    repository: str = ""
    pull_request: int = 0
    forge: str = ""
    commit: str = ""
    active_at: float = 0.0
    requests: int = 0
    checkpoint: dict[str, Any] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """The pull request that it is for, as its users name it."""
        return f"{self.repository}#{self.pull_request}" if self.pull_request else ""

    @property
    def name(self) -> str:
        """The stack's name alone, without an organization and a project."""
        return self.stack.rpartition("/")[2]

    def asked(self, requests: int, now: float | None = None) -> Record:
        """As it is when so many requests were answered."""
        # A counter that starts anew, as after a restart, is lower: whoever asked since then did so as well.
        active = requests != self.requests and requests > 0
        at = (time.time() if now is None else now) if active else self.active_at
        return replace(self, requests=requests, active_at=at)


class Records:
    """Those of one project. Raises WorkspaceError."""

    def __init__(self, workspace: Workspace, project: str) -> None:
        self._workspace = workspace
        self._project, self._folder = project, f"{home_folder(workspace.user_name())}/{_FOLDER}/{project}"

    def all(self) -> Iterator[Record]:
        """Each stack's."""
        listed = self._workspace.find(f"{TREE}/list", {"path": self._folder}) or {}
        for each in listed.get("objects") or []:
            path = str(each["path"])
            if path.endswith(_END) and (text := file_text(self._workspace, path)):
                yield self._read(path.rpartition("/")[2].removesuffix(_END), text)

    def get(self, name: str) -> Record | None:
        """Of the stack with this name."""
        text = file_text(self._workspace, self._path(name))
        return self._read(name, text) if text else None

    def save(self, record: Record) -> None:
        """Over what was there."""
        write_file(self._workspace, self._path(record.name), json.dumps(asdict(record)))

    def remove(self, name: str) -> None:
        """One that is gone already is no error."""
        remove_file(self._workspace, self._path(name))

    def _read(self, name: str, text: str) -> Record:
        """Fields that a later version of this package writes are passed over; a broken record says but the name."""
        try:
            found = json.loads(text)
            return Record(**{each.name: found[each.name] for each in fields(Record) if each.name in found})
        except (ValueError, TypeError, KeyError):
            return Record(self._project, name, active_at=time.time())

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}{_END}"
