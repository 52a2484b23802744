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
    from agent_deploy.ephemeral.engine import Engine
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
    from agent_deploy.cli.imported import plain, show, show_left, show_next
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.ephemeral.engine import Engine, EngineError
    from agent_deploy.importing.entry import plain_text
    from agent_deploy.importing.take_over import Stack, take_over
    from agent_deploy.provider.plugin.resource import Context, UserError
    from agent_deploy.rules.problems import InvalidInput

    _check(endpoint, every, bundle, target, name, program, run)
    try:
        engine = Engine(Path.cwd())
        context = Context(configuration=Workspace())
        stack_file = _StackFile(engine, stack)
        of = Stack(engine.project, stack.rpartition("/")[2], {} if program else stack_file.defaults)
        letting_go = _letting_go(engine, context, endpoint, from_stack)
        if run and letting_go and letting_go.steps:
            raise CommandError(f"--run: {from_stack} has to let go first:\n" + "\n".join(letting_go.steps))
        found: list[TakeOver] = []
        left: dict[str, str] = {}
        before = list(letting_go.steps) if letting_go else []
        if every:
            wanted = _all(context, of, stack_file.agents)
        elif bundle is not None:
            wanted = _of_bundle(context, of, bundle, target, endpoint, name)
        else:
            owner = letting_go.owner if letting_go else ""
            wanted = iter([(endpoint, take_over(context, endpoint, of, name, owner), "")])
        for label, each, step in wanted:
            if isinstance(each, str):
                left[label] = each
            else:
                found.append(each)
                before += [step] if step and each.is_there else []
        for each in () if program else found:
            stack_file.add(each)
        if not plan:
            _write(context, found, None if program else stack_file, file)
        if as_json:
            typer.echo(json.dumps(plain(found, left, before), indent=2, ensure_ascii=False))
            return
        for each in found:
            show(each)
            if program:
                _print_program(program, engine.project, each)
        show_left(left)
        for note in letting_go.notes if letting_go else ():
            typer.echo(f"note: {note}")
        if not plan and found:
            written = [] if program else [str(stack_file.path)]
            typer.echo(f"Written: {', '.join([*written, *([str(file)] if any(e.is_there for e in found) else [])])}")
        if found:
            show_next(before, found, stack, file)
        if run and not plan and found:
            for each in found:
                for key, value in plain_text(each.found, each.entry).items() if each.is_there else ():
                    engine.set_secret(stack, key, value)
            if any(each.is_there for each in found):
                engine.take_over(stack, file.absolute())
            engine.preview(stack, expect_no_changes=not any(each.differences or not each.is_there for each in found))
    except (EngineError, InvalidInput, WorkspaceError, UserError) as error:
        raise CommandError(str(error)) from error


class _StackFile:
    """The stack's file, with the agents that are added to it."""

    def __init__(self, engine: Engine, stack: str) -> None:
        from agent_deploy.importing.stack_file import configured

        self.path, self._project = engine.file_of(stack), engine.project
        self.text = self.path.read_text("utf-8") if self.path.is_file() else ""
        self.defaults = configured(self.text, f"{self._project}:defaults")
        self.agents = configured(self.text, f"{self._project}:agents")

    def add(self, found: TakeOver) -> None:
        """Its entry; raises InvalidInput where the name is taken."""
        from agent_deploy.importing.stack_file import with_agent

        self.text = with_agent(self.text, f"{self._project}:agents", found.name, found.entry.args)


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


def _letting_go(engine: Engine, context: Context, endpoint: str, given: str) -> LettingGo | None:
    from agent_deploy.importing.existing import existing
    from agent_deploy.importing.letting_go import letting_go

    if not given:
        return None
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


def _write(context: Context, found: Sequence[TakeOver], stack_file: _StackFile | None, file: Path) -> None:
    from agent_deploy.importing.children import PLACEHOLDER, filled, import_file
    from agent_deploy.importing.take_over import claim

    there = [each for each in found if each.is_there]
    if found and stack_file is not None:
        stack_file.path.write_text(stack_file.text, "utf-8")
    if there:
        children = [child for each in there for child in each.children]
        text = file.read_text("utf-8") if file.is_file() else ""
        document = filled(json.loads(text), children) if PLACEHOLDER in text else import_file(children)
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    for each in there:
        claim(context.configuration, each)


def _print_program(program: Program, project: str, found: TakeOver) -> None:
    from agent_deploy.importing.program import python_program, yaml_program

    args, secrets = found.entry.args, found.entry.secrets
    if program is Program.PYTHON:
        typer.echo(python_program(found.name, args, secrets))
    else:
        typer.echo(yaml_program(project, found.name, args, secrets))
