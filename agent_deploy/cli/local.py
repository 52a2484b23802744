"""`agent-deploy local`: start, stop, status, env, sign-in, reset, plugin, faults."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_deploy.cli import faults, sign_in
from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.folder import DEFAULT_FOLDER, Folder, running_status

if TYPE_CHECKING:
    from agent_deploy.cli.local_stack import LocalStack

app = typer.Typer(help="A Databricks workspace on this machine, at 127.0.0.1.", no_args_is_help=True)
app.add_typer(faults.app, name="faults")
app.command(name="sign-in")(sign_in.sign_in)

_STOP_SECONDS = 60.0
Stack = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Stack of this folder's Pulumi project, kept with the workspace; made when it is missing.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def start(
    folder: Folder = DEFAULT_FOLDER,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: the last one, or any that is free.")] = 0,
    foreground: Annotated[bool, typer.Option(help="Stay until Ctrl-C.")] = False,
    isolation: Annotated[bool, typer.Option(help="Keep served models from this machine's files and processes.")] = True,
    build_seconds: Annotated[
        float | None, typer.Option(min=1, help="In which a served model must be loaded (default: 600).")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="What a SQL statement may take, such as sql_seconds=60; repeatable."),
    ] = None,
    foundation_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ANSWERS",
            help="What answers for an endpoint databricks-…: a serving endpoint here, or an OpenAI-compatible address "
            "on this machine, such as http://127.0.0.1:11434/v1#llama3.2; without, a stand-in. Repeatable.",
        ),
    ] = None,
    stack: Stack = "",
) -> None:
    """Start the local workspace and wait until it answers; with --stack, print what `local env --stack` prints."""
    workspace = _server_code()
    options: dict[str, Any] = {"serving_isolation": isolation, **_limits(limit or ())}
    if models := _foundation_models(foundation_model or ()):
        options["foundation_models"] = models
    if foreground and stack:
        raise CommandError(
            "--stack prints lines for a shell's `eval`, which --foreground keeps waiting: give one of them"
        )
    if build_seconds is not None:
        options["serving_build_seconds"] = build_seconds
    from agent_deploy.local import running

    local_stack = _local_stack(folder, stack)
    told = partial(typer.echo, err=bool(stack))  # standard output is the shell's then
    if (found := running.status(folder.absolute())) is not None:
        told(f"The local workspace runs already at {found['host']} (process {found['pid']}).")
    else:
        try:
            process, found = workspace.launch(
                folder.absolute(),
                port,
                options,
                workspace.START_SECONDS,
                lambda text: typer.echo(f"  {text}", err=True),
                stop_with_parent=foreground,
            )
        except workspace.WorkspaceError as error:
            raise CommandError(str(error)) from error
        told(f"The local workspace is ready at {found['host']}, its state in {folder}.")
        typer.echo(f"Isolation of served models: {found['isolation']}.", err=True)
        if foreground:
            _wait(process)
    if local_stack:
        _print_environment(folder, found, local_stack.lines(make=True))
    else:
        named = "" if folder == DEFAULT_FOLDER else f" --folder {shlex.quote(str(folder))}"
        typer.echo(f'Next: eval "$(agent-deploy local env{named})"', err=True)


def _foundation_models(given: Iterable[str]) -> dict[str, str]:
    from agent_deploy.local.serving.foundation import check_answers

    found = {}
    for each in given:
        name, _, by = each.partition("=")
        if not name or not by:
            raise CommandError(f"--foundation-model {each!r}: expected NAME=ANSWERS")
        found[name] = by
    try:
        check_answers(found)
    except ValueError as error:
        raise CommandError(f"--foundation-model {error}") from error
    return found


def _limits(given: Iterable[str]) -> dict[str, float]:
    from dataclasses import fields

    from agent_deploy.local.statements.limits import Limits

    names, found = [field.name for field in fields(Limits)], dict[str, float]()
    for each in given:
        name, _, number = each.partition("=")
        if name not in names:
            raise CommandError(f"--limit {each!r}: expected NAME=NUMBER, NAME one of {', '.join(names)}")
        try:
            found[name] = float(number)
        except ValueError:
            raise CommandError(f"--limit {each!r}: expected a number above 0, such as {name}=60") from None
    return found


@app.command()
def stop(folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop the local workspace in order; its state stays."""
    _require_state(folder)
    typer.echo("Stopped." if _stop(folder) else "No local workspace runs on this folder.")
    set_here = [name for name in ("DATABRICKS_HOST", "PULUMI_BACKEND_URL", "PULUMI_STACK") if name in os.environ]
    if set_here:
        typer.echo(f"This shell still has {', '.join(set_here)}: for another workspace, open a new one.", err=True)


@app.command()
def status(folder: Folder = DEFAULT_FOLDER, as_json: Json = False) -> None:
    """Whether it runs, and where; exit code 1 when it does not."""
    from agent_deploy.local import running

    found = running.status(folder.absolute())
    if as_json:
        typer.echo(json.dumps({"running": found is not None, "folder": str(folder.absolute()), **(found or {})}))
    elif found:
        typer.echo(f"running at {found['host']} (process {found['pid']}, workspace {found['workspace_id']})")
        typer.echo(f"isolation of served models: {found.get('isolation')}")
    else:
        typer.echo("not running")
    if found is None:
        raise typer.Exit(1)


@app.command()
def env(
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
    shell: Annotated[bool, typer.Option("--shell", help="Print lines for a shell's `eval` (the default).")] = True,
    stack: Stack = "",
) -> None:
    """Print the environment that clients need, the administrator's token included; with --stack, Pulumi's as well."""
    found = running_status(folder)
    if not as_json and shell:
        local_stack = _local_stack(folder, stack)
        _print_environment(folder, found, local_stack.lines(make=False) if local_stack else [])
        return
    if stack:
        raise CommandError("--stack prints lines for a shell's `eval`: leave out --json")
    typer.echo(json.dumps(_environment(folder, found), indent=2))


def _print_environment(folder: Path, found: Mapping[str, Any], more: Iterable[str]) -> None:
    for name, value in _environment(folder, found).items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    for line in more:
        typer.echo(line)


def _environment(folder: Path, found: Mapping[str, Any]) -> dict[str, str]:
    from agent_deploy.local import running
    from agent_deploy.local.workspace import environment

    return environment(found["host"], (folder / running.TOKEN_FILE).read_text().strip())


def _local_stack(folder: Path, stack: str) -> LocalStack | None:
    from agent_deploy.cli.local_stack import LocalStack

    return LocalStack(folder, stack) if stack else None


# In the same folder, but not the workspace's: shells have the plugin's folder on their PATH, stack files use the key.
_NOT_STATE = frozenset({"plugins", "demo", "pulumi.key"})


@app.command()
def reset(
    folder: Folder = DEFAULT_FOLDER,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the local workspace and delete its state: endpoints, models, tables, secrets."""
    _require_state(folder)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete the local workspace in {folder.absolute()}?")):
        raise CommandError(f"Nothing was deleted. Say --yes to delete the local workspace in {folder}.")
    _stop(folder)
    kept = [child for child in folder.iterdir() if child.name in _NOT_STATE]
    for child in folder.iterdir():
        if child not in kept:
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    if not kept:
        folder.rmdir()
    typer.echo(f"Deleted the workspace in {folder}.")


@app.command()
def plugin(folder: Folder = DEFAULT_FOLDER) -> None:
    """Print the line that puts the stand-in databricks plugin on the shell's PATH, where the vendor's cannot be had."""
    from agent_deploy.local.private import make_private, never_commit
    from agent_deploy.stand_in.launcher import plugin_folder

    try:
        make_private(folder)
    except PermissionError as error:
        raise CommandError(f"{folder} belongs to another user: name another --folder") from error
    never_commit(folder)
    typer.echo(f'export PATH={shlex.quote(str(plugin_folder(folder / "plugins")))}:"$PATH"')


def _server_code() -> Any:
    # Looked for and not imported, which the server's own process does.
    for module in ("fastapi", "uvicorn"):
        if not _is_installed(module):
            message = f"the local workspace needs the extra 'local' ({module} is missing)"
            raise CommandError(f"{message}: pip install 'agent-deploy[local]'")
    from agent_deploy.local import workspace

    return workspace


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of an import hook
        return False


def _require_state(folder: Path) -> None:
    from agent_deploy.local import running

    # Never delete, or call a workspace, what merely bears the name.
    if not (folder / running.STATE_FILE).exists() and not (folder / running.LOCK_FILE).exists():
        raise CommandError(f"there is no local workspace in {folder.absolute()}: give its --folder")


def _stop(folder: Path) -> bool:
    from agent_deploy.local import running

    try:
        return running.stop(folder.absolute(), _STOP_SECONDS)
    except TimeoutError as error:
        raise CommandError(f"{error}; its log is {folder / running.LOG_FILE}") from error


def _wait(process: Any) -> None:
    try:
        raise typer.Exit(process.wait())
    except KeyboardInterrupt:
        process.terminate()
        raise typer.Exit(process.wait()) from None
