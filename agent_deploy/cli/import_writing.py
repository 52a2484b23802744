"""What `agent-deploy import` writes: the marks, the entries, the import file; and how a mark is taken away again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent_deploy.cli.errors import CommandError

if TYPE_CHECKING:
    from agent_deploy.engine.commands import Engine
    from agent_deploy.importing.configured_agents import ConfiguredAgents
    from agent_deploy.importing.take_over import TakeOver
    from agent_deploy.provider.plugin.resource import Context

_FORBIDDEN = 403


def check_stack(engine: Engine, stack: str) -> None:
    """Raises CommandError where the project has no such stack."""
    import shlex

    from agent_deploy.engine.commands import is_among

    known = engine.stacks()
    if not is_among(stack, known):
        there = ", ".join(known) or "there is none yet"
        raise CommandError(
            f"--stack {stack!r}: expected a stack of the project {engine.project} ({there}). "
            f"`pulumi stack init {shlex.quote(stack)}` makes it"
        )


def write(
    context: Context,
    found: Sequence[TakeOver],
    stack_file: ConfiguredAgents | None,
    file: Path,
    plan: bool,
    every: bool,
) -> tuple[list[str], dict[str, str]]:
    """Marks the endpoints, then writes the entries and the import file; returns the files, and with ``every`` the
    endpoints that had to be left alone, with the reason. With ``plan`` it only looks whether all can be written.

    A mark comes first: what a run that fails has marked, the next one goes on with, under the same name.
    """
    from agent_deploy.client.errors import ApiError
    from agent_deploy.importing.claims import claim
    from agent_deploy.importing.import_file import completed, read
    from agent_deploy.rules.problems import InvalidInput

    document = read(file)
    _check_writable(stack_file)
    left: dict[str, str] = {}
    kept: list[TakeOver] = []
    for each in found:
        before = stack_file.text if stack_file else ""
        try:
            if stack_file:
                stack_file.add(each.name, each.entry.args)
            completed(document, each.children)
            if each.is_there and not plan:
                claim(context.configuration, each)
            kept.append(each)
        except (InvalidInput, ApiError) as error:
            if not every or (isinstance(error, ApiError) and error.status != _FORBIDDEN):
                raise
            left[each.found.name] = str(error)
            if stack_file:
                stack_file.text = before
    if plan or not kept:
        return [], left
    written = []
    if stack_file:
        stack_file.write()
        written.append(str(stack_file.path))
    there = [each for each in kept if each.is_there]
    if there:
        former = {each.found.owner.split("/", 2)[2] for each in there if each.is_begun_under_another_name}
        document = completed(document, [child for each in there for child in each.children], former)
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        written.append(str(file))
    return written, left


def _check_writable(stack_file: ConfiguredAgents | None) -> None:
    if stack_file is None:
        return
    path = stack_file.path
    try:
        if path.exists():
            path.open("a").close()
        elif not path.parent.is_dir():
            raise CommandError(f"{path}: expected a folder that is there")
    except OSError as error:
        raise CommandError(f"{path}: expected a file that can be written ({error})") from error
