"""`agent-deploy import`: an endpoint that others have made becomes an agent of a stack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.showing import output

if TYPE_CHECKING:
    from agent_deploy.importing.take_over import TakeOver

IMPORT_FILE = Path("import.json")


def import_(
    endpoint: Annotated[str, typer.Argument(help="Name of the serving endpoint.")],
    stack: Annotated[str, typer.Option(help="The stack that is to have it, such as dev.")],
    name: Annotated[str, typer.Option(help="What the deployment is called; default: as its model.")] = "",
    file: Annotated[Path, typer.Option(help="Where to write what `pulumi import --file` reads.")] = IMPORT_FILE,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and write nothing.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Import and preview as well, with `pulumi`.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Take over an endpoint that deploy(), a bundle, Terraform or a hand made: the entry, and what differs.

    Writes the agent's entry into the stack's file and the file that `pulumi import` reads, and marks the endpoint as
    the stack's by a tag. Nothing else of the endpoint is touched. Run it where Pulumi.yaml lies.
    """
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.ephemeral.engine import Engine, EngineError
    from agent_deploy.importing.children import import_file
    from agent_deploy.importing.stack_file import configured, with_agent
    from agent_deploy.importing.take_over import Stack, claim, take_over
    from agent_deploy.provider.plugin.resource import Context, UserError
    from agent_deploy.rules.problems import InvalidInput

    try:
        engine, workspace = Engine(Path.cwd()), Workspace()
        stack_file = engine.file_of(stack)
        text = stack_file.read_text("utf-8") if stack_file.is_file() else ""
        project = engine.project
        of = Stack(project, stack.rpartition("/")[2], configured(text, f"{project}:defaults"))
        found = take_over(Context(configuration=workspace), endpoint, of, name)
        text = with_agent(text, f"{project}:agents", found.name, found.entry.args)
        if not plan:
            stack_file.write_text(text, "utf-8")
            file.write_text(json.dumps(import_file(found.children), indent=2) + "\n", "utf-8")
            claim(workspace, found)
        if as_json:
            typer.echo(json.dumps(_plain(found), indent=2, ensure_ascii=False))
        else:
            _show(found, stack_file, file, plan)
            _show_next(found, stack, file)
        if run and not plan:
            engine.take_over(stack, file.absolute())
            engine.preview(stack, expect_no_changes=not found.differences)
    except (EngineError, InvalidInput, WorkspaceError, UserError) as error:
        raise CommandError(str(error)) from error


def _show(found: TakeOver, stack_file: Path, file: Path, plan: bool) -> None:
    from rich.markup import escape

    console = output()
    verb = "would be written" if plan else "written"
    console.print(escape(f"{found.found.name} becomes {found.name}: {stack_file} and {file} {verb}"))
    for key, value in found.entry.args.items():
        console.print(f"  [green]taken over[/green] {escape(key)}: {escape(_text(value))}")
    for note in found.entry.notes:
        console.print(f"  [yellow]note[/yellow] {escape(str(note))}")
    for difference in found.differences:
        console.print(f"  [yellow]changes[/yellow] {escape(str(difference))}")
    for problem in found.problems:
        console.print(f"  [red]refused by the preview[/red] {escape(problem)}")
    if not found.differences and not found.problems:
        console.print("The next preview is empty.")


def _show_next(found: TakeOver, stack: str, file: Path) -> None:
    steps = [f"pulumi config set --stack {stack} --secret {key}" for key in found.entry.secrets.values()]
    steps.append(f"pulumi import --stack {stack} --file {file} --generate-code=false --protect=false")
    steps.append(f"pulumi preview --stack {stack}{'' if found.differences else ' --expect-no-changes'}")
    typer.echo("Next:")
    for step in steps:
        typer.echo(f"  {step}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(found: TakeOver) -> dict[str, Any]:
    from dataclasses import asdict

    listed: Sequence[Any] = found.differences
    return {
        "endpoint": found.found.name,
        "name": found.name,
        "entry": dict(found.entry.args),
        "notes": [asdict(each) for each in found.entry.notes],
        "differences": [asdict(each) for each in listed],
        "problems": list(found.problems),
        "secrets": dict(found.entry.secrets),
    }
