"""`agent-deploy ephemeral`: an agent of its own for each pull request, and its end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.showing import output, show_table

if TYPE_CHECKING:
    from agent_deploy.ephemeral.records import Record
    from agent_deploy.ephemeral.stacks import Living, Stacks
    from agent_deploy.pull_requests.forge import Forge

app = typer.Typer(help="A stack for each pull request: up, down, list, sweep.", no_args_is_help=True)

Base = Annotated[str, typer.Option(help="The stack whose configuration it begins with, such as staging.")]
PullRequest = Annotated[int | None, typer.Option(help="Its number; default: the one the job is for.")]
Suffix = Annotated[str, typer.Option(help="Of the stack's and all other names; default: pr-NUMBER.")]
_DAY = 86_400.0


@app.command()
def up(
    base: Base,
    pull_request: PullRequest = None,
    suffix: Suffix = "",
    reviewers: Annotated[list[str] | None, typer.Option(help="A group that may ask; once for each.")] = None,
    feedback: Annotated[
        bool, typer.Option(help="Serve the feedback model as well, so that answers are rated.")
    ] = False,
    at_most: Annotated[int, typer.Option(min=1, help="So many at once: the one idle for longest goes.")] = 5,
    commit: Annotated[str, typer.Option(help="The commit that is deployed; default: the job's own.")] = "",
) -> None:
    """Deploy the program as it stands, in a stack of its own: asleep when nobody asks, open to the reviewers alone."""
    from agent_deploy.ephemeral.comments import is_up
    from agent_deploy.ephemeral.stacks import ELSEWHERE

    with _told():
        stacks, wanted = _stacks_and_wanted(base, pull_request, suffix, commit)
        outputs = stacks.up(wanted, reviewers or [], feedback)
        _post(wanted, is_up(wanted, outputs, reviewers or []))
        typer.echo(f"{wanted.stack} is up.")
        # Only now: what cannot be deployed takes nobody's place.
        others = [each for each in stacks.all() if each.record.name != wanted.name and each.state != ELSEWHERE]
        for living in others[: max(0, len(others) + 1 - at_most)]:
            _take_down(stacks, living.record, f"{at_most} may live at once, and it was idle for longest")


@app.command()
def down(base: Base, pull_request: PullRequest = None, suffix: Suffix = "") -> None:
    """Remove the stack and all of it, also when its state was lost. One that is gone already is no error."""
    with _told():
        stacks, wanted = _stacks_and_wanted(base, pull_request, suffix, "")
        if (known := stacks.known(wanted)) is None:
            typer.echo(f"There is no {wanted.stack}: nothing to do.")
        else:
            _take_down(stacks, known)


@app.command(name="list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False) -> None:
    """List those that live, the one that is idle for longest first."""
    with _told():
        found = _stacks().all()
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in found], indent=2))
    else:
        columns = ("stack", "pull request", "idle", "endpoints", "state")
        show_table(output(), columns, [_row(each) for each in found])


@app.command()
def sweep(
    idle_days: Annotated[float, typer.Option(min=0, help="Take down those without commit or request for longer.")] = 3,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be taken down, and do nothing.")] = False,
) -> None:
    """Take down what nobody needs: idle for too long, the pull request closed, the state lost.

    Looks at the workspace's records and marks as well as at the backend's stacks. Exit code 1 when one could not be
    taken down: the others were.
    """
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.engine.commands import EngineError

    failed = False
    with _told():
        stacks = _stacks()
        for living in stacks.all():
            why = _why_not(living, idle_days)
            if why and plan:
                typer.echo(f"{living.record.stack} would go: {why}")
            elif why:
                try:
                    _take_down(stacks, living.record, why)
                except (EngineError, WorkspaceError) as error:
                    typer.echo(f"{living.record.stack} is still there: {error}", err=True)
                    failed = True
    if failed:
        raise typer.Exit(1)


def _why_not(living: Living, idle_days: float) -> str:
    """Why it need not live; empty when it may."""
    from agent_deploy.ephemeral.stacks import LOST

    if living.state == LOST:
        return "its state was lost"
    if _is_closed(living.record):
        return f"{living.record.called} is closed"
    return f"idle for {_days(living)}" if living.idle_seconds > idle_days * _DAY else ""


def _is_closed(record: Record) -> bool:
    from agent_deploy.pull_requests.forge import ForgeError

    try:
        forge = _forge(record)
        return forge is not None and not forge.change().is_open
    except ForgeError as error:
        typer.echo(f"whether {record.called} is closed cannot be told: {error}", err=True)
        return False


def _take_down(stacks: Stacks, record: Record, why: str = "") -> None:
    """Tells it on the pull request where there is a reason for those who still look at that."""
    from agent_deploy.ephemeral.comments import is_gone

    typer.echo(f"{record.stack} goes{f': {why}' if why else ''}")
    for each in stacks.down(record):
        typer.echo(f"removed, found by its mark: {each}")
    if why:
        _post(record, is_gone(record, why))


def _stacks() -> Stacks:
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.engine.commands import Engine
    from agent_deploy.ephemeral.stacks import Stacks

    return Stacks(Engine(Path.cwd()), Workspace())


def _stacks_and_wanted(base: str, pull_request: int | None, suffix: str, commit: str) -> tuple[Stacks, Record]:
    """Wrong names are told before anything is asked."""
    from agent_deploy.ephemeral.records import Record
    from agent_deploy.pull_requests.surroundings import forge_of, of_job
    from agent_deploy.rules.ephemeral import stack_name
    from agent_deploy.rules.problems import InvalidInput, Problem

    forge = forge_of(os.environ)
    job = of_job(os.environ, forge)
    number = pull_request or job["number"] or 0
    if not (number or suffix):
        expected = "the number of a pull request, or a --suffix"
        raise InvalidInput([Problem("--pull-request", None, expected, "Run this for a pull request, or give it")])
    suffix = suffix or f"pr-{number}"
    stack = stack_name(base, suffix)
    stacks = _stacks()
    of_pull_request = {"repository": job["repository"], "pull_request": number, "forge": forge} if number else {}
    commit = commit or job["commit"]
    return stacks, Record(stacks.project, stack, base=base, suffix=suffix, commit=commit, **of_pull_request)


def _forge(record: Record) -> Forge | None:
    """Of the pull request that the stack is for; None without one, or without a token."""
    from agent_deploy.pull_requests.surroundings import surroundings

    if not (record.pull_request and record.repository):
        return None
    at = surroundings(os.environ, record.forge, record.repository, record.pull_request, record.commit or "HEAD")
    return None if at is None else at.connect()


def _post(record: Record, text: str) -> None:
    """What cannot be told is no failure of the stack: it is a warning."""
    from agent_deploy.pull_requests.forge import ForgeError
    from agent_deploy.pull_requests.marker import Marker
    from agent_deploy.pull_requests.posting import put

    try:
        if (forge := _forge(record)) is not None:
            typer.echo(f"told: {put(forge, Marker(record.project, record.name, record.commit), text).url}")
    except ForgeError as error:
        typer.echo(f"not told on {record.called}: {error}", err=True)


@contextmanager
def _told() -> Iterator[None]:
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.engine.commands import EngineError
    from agent_deploy.pull_requests.forge import ForgeError
    from agent_deploy.rules.problems import InvalidInput

    try:
        yield
    except (EngineError, InvalidInput, WorkspaceError, ForgeError) as error:
        raise CommandError(str(error)) from error


def _row(living: Living) -> list[str]:
    endpoints = ", ".join(each.name for each in living.endpoints)
    return [living.record.stack, living.record.called, _days(living), endpoints, living.state]


def _plain(living: Living) -> dict[str, object]:
    record = living.record
    return {
        "stack": record.stack,
        "base": record.base,
        "pull_request": record.called,
        "commit": record.commit,
        "idle_seconds": round(living.idle_seconds),
        "endpoints": [each.name for each in living.endpoints],
        "state": living.state,
    }


def _days(living: Living) -> str:
    hours = living.idle_seconds / 3600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.1f} hours"
