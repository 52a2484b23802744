"""Brings ephemeral stacks up and down, and finds those that nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import Workspace
from agent_deploy.engine.commands import Engine, EngineError, is_among
from agent_deploy.ephemeral import marks
from agent_deploy.ephemeral.marks import Marked
from agent_deploy.ephemeral.records import Record, Records
from agent_deploy.policies.endpoints import ENDPOINT
from agent_deploy.rules.ephemeral import EPHEMERAL_TAG
from agent_deploy.rules.problems import InvalidInput, Problem

THERE, LOST, ELSEWHERE = "there", "lost", "elsewhere"


@dataclass(frozen=True)
class Living:
    """One ephemeral stack: its record, the endpoints that bear its mark, and where its state is.

    ``state`` is LOST where the record names the backend that is asked and that has none; ELSEWHERE, where others may
    have it in a backend of theirs.
    """

    record: Record
    endpoints: tuple[Marked, ...] = ()
    state: str = THERE

    @property
    def idle_seconds(self) -> float:
        """Since somebody has pushed a commit or asked."""
        return max(0.0, time.time() - self.record.active_at)


class Stacks:
    """The ephemeral stacks of one project in one workspace. Raises EngineError and WorkspaceError."""

    def __init__(self, engine: Engine, workspace: Workspace) -> None:
        self._engine, self._workspace = engine, workspace
        self.project = engine.project
        self._records = Records(workspace, engine.project)

    def all(self) -> list[Living]:
        """By the workspace's records, its marks, and the backend's states; the one that is idle for longest first."""
        by_stack: dict[str, list[Marked]] = {}
        for each in marks.marked(self._workspace, self._engine.project):
            by_stack.setdefault(each.stack, []).append(each)
        of_backend = {name.rpartition("/")[2]: name for name in self._engine.stacks()}
        records = {each.name: each for each in self._records.all()}
        for name in {*by_stack, *of_backend} - set(records):
            endpoints = by_stack.get(name, [])
            if endpoints or self._is_ephemeral(of_backend[name]):
                changed = max((each.changed_at for each in endpoints), default=0.0)
                records[name] = Record(self.project, of_backend.get(name, name), active_at=changed)
        backend = self._engine.backend()
        found = []
        for name, record in records.items():
            state = THERE if name in of_backend else LOST if record.backend == backend else ELSEWHERE
            found.append(self._looked_at(Living(record, tuple(by_stack.get(name, ())), state)))
        return sorted(found, key=lambda living: living.record.active_at)

    def known(self, record: Record) -> Record | None:
        """The stack as it is recorded, or as it is given where the backend or an endpoint's mark alone tells of it.

        None where nothing does; raises InvalidInput where it must not be touched from here.
        """
        existing = self._engine.stacks()
        before = self._recorded(record, existing)
        is_there = before is not None or _has(existing, record) or bool(self._marked(record))
        return (before or record) if is_there else None

    def _recorded(self, record: Record, existing: Sequence[str]) -> Record | None:
        """Raises InvalidInput where it must not be touched from here."""
        before = self._records.get(record.name)
        if _has(existing, record):
            if before is None and not self._is_ephemeral(record.stack):
                expected = f"a suffix of its own: {record.stack} is a stack that is not ephemeral"
                raise InvalidInput([Problem("--suffix", record.suffix, expected)])
        elif before is not None and before.backend not in ("", self._engine.backend()):
            expected = f"the backend that has {record.stack}, {before.backend}"
            raise InvalidInput([Problem("pulumi login", self._engine.backend(), expected, "Sign in there")])
        return before

    def up(self, record: Record, reviewers: Sequence[str], feedback: bool) -> dict[str, Any]:
        """Makes the stack or updates it; returns the program's outputs. Recorded is what is there, also on failure."""
        existing = self._engine.stacks()
        if record.base not in existing and record.base.rpartition("/")[2] not in existing:
            known = ", ".join(existing) or "none"
            raise InvalidInput([Problem("--base", record.base, f"a stack of {record.project}: there are {known}")])
        before = self._recorded(record, existing)
        is_new = not _has(existing, record)
        settings: dict[str, Any] = {"suffix": record.suffix, "reviewers": [{"group_name": each} for each in reviewers]}
        if feedback:
            settings["feedback"] = True
        now = replace(record, backend=self._engine.backend(), active_at=time.time())
        if before is not None:
            now = replace(now, requests=before.requests, checkpoint=before.checkpoint)
        # First of all: from now on a sweep finds it.
        self._records.save(now)
        self._restore(now, existing)
        try:
            self._engine.configure(record.stack, record.base, settings)
            try:
                self._engine.up(record.stack)
            finally:
                now = replace(now, checkpoint=self._engine.state(record.stack))
                self._records.save(now)
        except EngineError:
            if is_new and not _has_resources(now.checkpoint):
                self.down(now)  # a stack with nothing in it
            raise
        return self._engine.outputs(record.stack)

    def down(self, record: Record) -> list[str]:
        """Removes all of it; returns what had to be removed without a state. Done again, it goes on."""
        existing = self._engine.stacks()
        if _has(existing, record) or record.checkpoint:
            self._restore(record, existing)
            self._engine.remove(record.stack)
        gone = [each for endpoint in self._marked(record) for each in marks.remove(self._workspace, endpoint)]
        self._records.remove(record.name)
        return gone

    def _marked(self, record: Record) -> list[Marked]:
        return [each for each in marks.marked(self._workspace, record.project) if each.stack == record.name]

    def _looked_at(self, living: Living) -> Living:
        """With the requests that its endpoints have answered by now, which is recorded."""
        try:
            requests = marks.answered(self._workspace, list(living.endpoints))
        except WorkspaceError:
            return living  # gone meanwhile, or not ours to see: nothing new is known
        seen = living.record.asked(requests)
        if seen != living.record:
            self._records.save(seen)
        return replace(living, record=seen)

    def _restore(self, record: Record, existing: Sequence[str]) -> None:
        """The stack is there, with the state that is recorded where it has none: it was lost, or is half restored."""
        if not _has(existing, record):
            self._engine.make(record.stack, record.base, record.checkpoint)
        if _has_resources(record.checkpoint) and not _has_resources(self._engine.state(record.stack)):
            self._engine.adopt(record.stack, record.checkpoint)

    def _is_ephemeral(self, stack: str) -> bool:
        return any(
            each.get("type") == ENDPOINT and EPHEMERAL_TAG in ((each.get("inputs") or {}).get("tags") or {})
            for each in _resources(self._engine.state(stack))
        )


def _has(existing: Sequence[str], record: Record) -> bool:
    return is_among(record.name, existing)


def _resources(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (state.get("deployment") or {}).get("resources") or []


def _has_resources(state: Mapping[str, Any]) -> bool:
    """Whether anything of it is outside of the state."""
    return any(each.get("custom") and not str(each.get("type")).startswith("pulumi:") for each in _resources(state))
