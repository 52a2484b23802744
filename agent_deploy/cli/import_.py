"""`agent-deploy import`: endpoints that others have made become agents of a stack."""

from __future__ import annotations

import enum
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from agent_deploy.cli.errors import CommandError

if TYPE_CHECKING:
    from agent_deploy.engine.commands import Engine
    from agent_deploy.importing.letting_go import LettingGo
    from agent_deploy.importing.stack import Stack
    from agent_deploy.importing.take_over import TakeOver
    from agent_deploy.provider.plugin.resource import Context

IMPORT_FILE = Path("import.json")
_NOT_WITH_UNDO = ("--from-stack", "--program", "--plan", "--run", "--json")
# Each endpoint, what it becomes or why it is left alone, and the step that has to come before.
Wanted: TypeAlias = "Iterator[tuple[str, TakeOver | str, str]]"


class Program(str, enum.Enum):
    """In which form a program of one's own is printed."""

    PYTHON = "python"
    YAML = "yaml"


def import_(
    stack: Annotated[str, typer.Option(help="The stack that is to have it, such as dev.")],
    endpoint: Annotated[str, typer.Argument(help="Name of the serving endpoint.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="All endpoints that no stack owns and that can be.")] = False,
    bundle: Annotated[Path | None, typer.Option(help="A bundle's databricks.yml: what its endpoints become.")] = None,
    target: Annotated[str, typer.Option(help="With --bundle: its target; default: the bundle's default.")] = "",
    from_stack: Annotated[
        str, typer.Option(help="Stack, or file with its state, that lets the endpoint go; Terraform's state as well.")
    ] = "",
    name: Annotated[str, typer.Option(help="What the deployment is called; default: as its model.")] = "",
    program: Annotated[
        Program | None, typer.Option(help="Print a program of your own, and leave the stack's file alone.")
    ] = None,
    file: Annotated[
        Path, typer.Option(help="What `pulumi import` reads; one that `preview` wrote is filled in.")
    ] = IMPORT_FILE,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and write nothing.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Import and preview as well, with `pulumi`.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the stack's mark off ENDPOINT, which its state does not have.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Take over an endpoint that deploy(), a bundle, Terraform or a hand made, without a change where that can be.

    Writes the agent's entry into the stack's file and the file that `pulumi import` reads, and marks the endpoint as
    the stack's by a tag; says what the next preview changes, field by field. Run it where Pulumi.yaml lies.
    """
    from agent_deploy.cli.import_writing import check_stack, write
    from agent_deploy.cli.imported import plain, tell, tell_next
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.engine.commands import Engine, EngineError, short_name
    from agent_deploy.importing.configured_agents import ConfiguredAgents
    from agent_deploy.importing.stack import Stack, deployed
    from agent_deploy.importing.take_over import take_over
    from agent_deploy.provider.plugin.resource import Context, UserError
    from agent_deploy.rules.problems import InvalidInput

    _check(endpoint, every, bundle, target, name, program, run)
    if undo and not endpoint:
        raise CommandError("--undo: expected ENDPOINT, whose mark is to go")
    given = zip(_NOT_WITH_UNDO, (from_stack, program, plan, run, as_json), strict=True)
    if undo and (beside := [name for name, value in given if value]):
        raise CommandError(f"--undo: expected without {', '.join(beside)}")
    try:
        engine, context = Engine(Path.cwd()), Context(configuration=Workspace())
        if undo:
            return _undo(engine, context, endpoint, stack)
        if program is None:
            _check_reads_the_file(engine)
        check_stack(engine, stack)
        stack_file = ConfiguredAgents(engine.file_of(stack), engine.project_file, engine.project)
        listed_there = ({}, {}) if program else (stack_file.defaults, stack_file.agents)
        of = Stack(engine.project, short_name(stack), *listed_there, deployed(engine.state(stack)))
        letting_go = _letting_go(engine, context, endpoint, from_stack)
        if run and letting_go.steps:
            raise CommandError(f"--run: {from_stack} has to let go first:\n" + "\n".join(letting_go.steps))
        if every:
            wanted = _all(context, of)
        elif bundle is not None:
            wanted = _of_bundle(context, of, bundle, target, endpoint, name)
        else:
            wanted = iter([(endpoint, take_over(context, endpoint, of, name, letting_go.owner), "")])
        listed = list(wanted)
        found, left, refused = _sorted(listed, every)
        before = [*letting_go.steps, *(step for _, each, step in listed if step and _is_there(each))]
        look_only = plan or bool(refused)
        written, left_alone = write(context, found, None if program else stack_file, file, look_only, every)
        left |= left_alone
        found = [each for each in found if each.found.name not in left_alone]
        if as_json:
            typer.echo(json.dumps(plain(found, left, letting_go.notes, before), indent=2, ensure_ascii=False))
        else:
            programs = [_program_of(program, engine.project, each) for each in found] if program else []
            tell(found, left, letting_go.notes, programs, written)
            tell_next(before, [] if refused else found, stack, file)
        if refused:
            raise CommandError("the next preview would refuse what is listed above, so that nothing was written")
        if run and found and not plan:
            _run(engine, found, stack, file)
    except (EngineError, InvalidInput, WorkspaceError, UserError) as error:
        raise CommandError(str(error)) from error


def _check(
    endpoint: str, every: bool, bundle: Path | None, target: str, name: str, program: Program | None, run: bool
) -> None:
    if every + bool(bundle) + (bool(endpoint) and bundle is None) != 1:
        raise CommandError("expected one of ENDPOINT, --all and --bundle FILE (with ENDPOINT for one of its endpoints)")
    if target and bundle is None:
        raise CommandError(f"--target {target!r}: expected --bundle, whose target it is")
    if name and not endpoint:
        raise CommandError(f"--name {name!r}: expected ENDPOINT, as one name is for one deployment")
    if program and run:
        raise CommandError("--run: put the printed program in place first, then run the commands that are shown")


def _check_reads_the_file(engine: Engine) -> None:
    """Only Python's program has `declared_agents`, which reads the stack's file."""
    if engine.runtime != "python":
        raise CommandError(
            f"this project's program is in {engine.runtime}, which reads no agents from the stack's file: give "
            "--program yaml, and put what it prints into the program"
        )


def _sorted(
    listed: Sequence[tuple[str, TakeOver | str, str]], every: bool
) -> tuple[list[TakeOver], dict[str, str], list[TakeOver]]:
    """What is taken over, what is left alone and why, and what of the first the next preview would refuse."""
    found = [each for _, each, _ in listed if not isinstance(each, str)]
    left = {label: each for label, each, _ in listed if isinstance(each, str)}
    refused = [each for each in found if each.refused]
    if not every:
        return found, left, refused
    # A stack with one of these could deploy nothing.
    left |= {each.found.name: "; ".join(each.refused) for each in refused}
    return [each for each in found if not each.refused], left, []


def _is_there(found: TakeOver | str) -> bool:
    return not isinstance(found, str) and found.is_there


def _letting_go(engine: Engine, context: Context, endpoint: str, given: str) -> LettingGo:
    from agent_deploy.importing.existing import existing
    from agent_deploy.importing.letting_go import LettingGo, letting_go

    if not given:
        return LettingGo(())
    if not endpoint:
        raise CommandError(f"--from-stack {given!r}: expected ENDPOINT, which that stack has")
    file = Path(given)
    try:
        state = json.loads(file.read_text("utf-8")) if file.is_file() else engine.state(given)
    except ValueError as error:
        raise CommandError(f"--from-stack {given!r}: expected a state in JSON ({error})") from error
    found = existing(context.configuration, endpoint)
    return letting_go(state, endpoint, str(found.remote.get("id") or ""), "" if file.is_file() else given)


def _all(context: Context, stack: Stack) -> Wanted:
    from agent_deploy.importing.everything import everything

    for label, each in everything(context, stack):
        yield label, each, ""


def _of_bundle(context: Context, stack: Stack, bundle: Path, target: str, endpoint: str, name: str) -> Wanted:
    from agent_deploy.importing.bundle import declared_endpoints
    from agent_deploy.importing.take_over import take_over

    declared = declared_endpoints(bundle, target)
    chosen = [each for each in declared if endpoint in ("", each.key, each.endpoint.name)]
    if not chosen:
        raise CommandError(f"ENDPOINT {endpoint!r}: expected one of {', '.join(each.key for each in declared)}")
    for each in chosen:
        of_target = f" --target {shlex.quote(target)}" if target else ""
        step = f"databricks bundle deployment unbind {shlex.quote(each.key)}{of_target}"
        yield each.endpoint.name, take_over(context, each.endpoint.name, stack, name, bundled=each), step


def _undo(engine: Engine, context: Context, endpoint: str, stack: str) -> None:
    from agent_deploy.engine.commands import is_among, short_name
    from agent_deploy.importing.claims import unclaim
    from agent_deploy.importing.stack import Stack, deployed

    # A stack that is not there has nothing.
    has = deployed(engine.state(stack)) if is_among(stack, engine.stacks()) else {}
    mark = unclaim(context.configuration, endpoint, Stack(engine.project, short_name(stack), {}, deployed=has))
    typer.echo(
        f"{endpoint} is no longer marked as {mark}. What an import has written stays: take the entry "
        f"{mark.split('/', 2)[2]} out of {engine.file_of(stack).name}, and delete {IMPORT_FILE}"
    )


def _run(engine: Engine, found: Sequence[TakeOver], stack: str, file: Path) -> None:
    from agent_deploy.importing.entry import plain_text

    there = [each for each in found if each.is_there]
    for each in there:
        for key, value in plain_text(each.found, each.entry).items():
            engine.set_secret(stack, key, value)
    if there:
        engine.take_over(stack, file.absolute())
    engine.preview(stack, expect_no_changes=all(each.is_there and not each.differences for each in found))


def _program_of(program: Program, project: str, found: TakeOver) -> str:
    from agent_deploy.importing.program import python_program, yaml_program

    args, secrets = found.entry.args, found.entry.secrets
    if program is Program.PYTHON:
        return python_program(found.name, args, secrets)
    return yaml_program(project, found.name, args, secrets)
