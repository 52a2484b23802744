"""`agent-deploy import`: endpoints that others have made become agents of a stack."""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from agent_deploy.cli.errors import CommandError

if TYPE_CHECKING:
    from agent_deploy.engine.commands import Engine
    from agent_deploy.importing.configured_agents import ConfiguredAgents
    from agent_deploy.importing.letting_go import LettingGo
    from agent_deploy.importing.take_over import Stack, TakeOver
    from agent_deploy.provider.plugin.resource import Context

IMPORT_FILE = Path("import.json")
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Take over an endpoint that deploy(), a bundle, Terraform or a hand made, without a change where that can be.

    Writes the agent's entry into the stack's file and the file that `pulumi import` reads, and marks the endpoint as
    the stack's by a tag; says what the next preview changes, field by field. Run it where Pulumi.yaml lies.
    """
    from agent_deploy.cli.imported import plain, tell, tell_next
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.engine.commands import Engine, EngineError
    from agent_deploy.importing.configured_agents import ConfiguredAgents
    from agent_deploy.importing.take_over import Stack, take_over
    from agent_deploy.provider.plugin.resource import Context, UserError
    from agent_deploy.rules.problems import InvalidInput

    _check(endpoint, every, bundle, target, name, program, run)
    try:
        engine, context = Engine(Path.cwd()), Context(configuration=Workspace())
        if program is None and engine.runtime != "python":
            # Only Python's program has `declared_agents`, which reads the stack's file.
            raise CommandError(
                f"this project's program is in {engine.runtime}, which reads no agents from the stack's file: give "
                "--program yaml, and put what it prints into the program"
            )
        stack_file = ConfiguredAgents(engine.file_of(stack), engine.project_file, engine.project)
        of = Stack(engine.project, stack.rpartition("/")[2], {} if program else stack_file.defaults)
        letting_go = _letting_go(engine, context, endpoint, from_stack)
        if run and letting_go.steps:
            raise CommandError(f"--run: {from_stack} has to let go first:\n" + "\n".join(letting_go.steps))
        if every:
            wanted = _all(context, of, stack_file.agents)
        elif bundle is not None:
            wanted = _of_bundle(context, of, bundle, target, endpoint, name)
        else:
            wanted = iter([(endpoint, take_over(context, endpoint, of, name, letting_go.owner), "")])
        listed = list(wanted)
        found = [each for _, each, _ in listed if not isinstance(each, str)]
        left = {label: each for label, each, _ in listed if isinstance(each, str)}
        before = [*letting_go.steps, *(step for _, each, step in listed if step and _is_there(each))]
        written = _write(context, found, None if program else stack_file, file, plan)
        if as_json:
            typer.echo(json.dumps(plain(found, left, before), indent=2, ensure_ascii=False))
        else:
            programs = [_program_of(program, engine.project, each) for each in found] if program else []
            tell(found, left, letting_go.notes, programs, written)
            tell_next(before, found, stack, file)
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
    return letting_go(state, endpoint, str(found.remote["id"]), "" if file.is_file() else given)


def _all(context: Context, stack: Stack, agents: Collection[str]) -> Wanted:
    from agent_deploy.importing.everything import everything

    for label, each in everything(context, stack, agents):
        yield label, each, ""


def _of_bundle(context: Context, stack: Stack, bundle: Path, target: str, endpoint: str, name: str) -> Wanted:
    from agent_deploy.importing.bundle import declared_endpoints
    from agent_deploy.importing.take_over import take_over

    declared = declared_endpoints(bundle, target)
    chosen = [each for each in declared if endpoint in ("", each.key, each.endpoint.name)]
    if not chosen:
        raise CommandError(f"ENDPOINT {endpoint!r}: expected one of {', '.join(each.key for each in declared)}")
    for each in chosen:
        of_target = f" --target {target}" if target else ""
        step = f"databricks bundle deployment unbind {each.key}{of_target}"
        yield each.endpoint.name, take_over(context, each.endpoint.name, stack, name, bundled=each), step


def _write(
    context: Context, found: Sequence[TakeOver], stack_file: ConfiguredAgents | None, file: Path, plan: bool
) -> list[str]:
    """Writes the entries, the import file and the marks, and returns the files; with ``plan`` only looks whether they
    can be written.
    """
    from agent_deploy.importing.children import PLACEHOLDER, filled, import_file
    from agent_deploy.importing.take_over import claim

    if stack_file:
        for each in found:
            stack_file.add(each.name, each.entry.args)
    if plan or not found:
        return []
    written = []
    if stack_file:
        stack_file.write()
        written.append(str(stack_file.path))
    there = [each for each in found if each.is_there]
    if there:
        children = [child for each in there for child in each.children]
        text = file.read_text("utf-8") if file.is_file() else ""
        document = filled(json.loads(text), children) if PLACEHOLDER in text else import_file(children)
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        written.append(str(file))
    for each in there:
        claim(context.configuration, each)
    return written


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
