"""`agent-deploy promote`: a model version from one environment's catalog into another's, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.showing import output

if TYPE_CHECKING:
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.rules.promotion import Promotion

_MISSING = 1  # exit code, as that of `check`


def promote(
    model: Annotated[str, typer.Argument(help="MODEL@ALIAS or MODEL/VERSION; MODEL alone is @champion.")],
    to: Annotated[str, typer.Option(help="Catalog, catalog.schema or catalog.schema.model that it goes to.")],
    from_: Annotated[str, typer.Option("--from", help="Catalog of MODEL, where that is schema.model.")] = "",
    alias: Annotated[str, typer.Option(help="Alias that points to the version afterwards.")] = "champion",
    previous: Annotated[str, typer.Option(help="Alias for the version that it pointed to before.")] = "previous",
    stack_file: Annotated[
        Path | None, typer.Option(help="Stack file whose agents name the version by its number: it is edited.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Copy a model version into another catalog and move its aliases there; `--plan` says what would be done.

    Within one catalog only aliases move: `promote prod.agents.docs@previous --to prod` undoes the last promotion. Exit
    code 1 when a privilege is missing: nothing was done then.
    """
    # Here, not at the top: no other command needs these.
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.promotion import carry_out, looked_up
    from agent_deploy.client.workspace import Workspace
    from agent_deploy.rules.problems import InvalidInput
    from agent_deploy.rules.promotion import CHAMPION, parse_source, target_of
    from agent_deploy.rules.stack_versions import with_version

    try:
        source, workspace = parse_source(model, from_), Workspace()
        wanted = looked_up(workspace, source, target_of(source.model, to), alias or CHAMPION, previous)
        text = _text(stack_file)
        label = f"--stack-file {stack_file}"
        _, agents = with_version(text, wanted.target, wanted.champion, wanted.number, label)
        failures = missing(workspace, wanted)
        steps = [*wanted.steps(), *([f"{stack_file}: {', '.join(agents)}"] if agents else [])]
        for line in steps or ["nothing to do: the alias points there already"]:
            output().print(f"  {line}" if plan else f"[dim]{line}[/]", markup=not plan)
        for failure in failures:
            typer.echo(f"missing: {failure}", err=True)
        if failures:
            raise typer.Exit(_MISSING)
        if plan:
            return
        number = carry_out(workspace, wanted)
        if stack_file and agents:
            stack_file.write_bytes(with_version(text, wanted.target, wanted.champion, number, label)[0].encode("utf-8"))
    except (InvalidInput, WorkspaceError) as error:
        raise CommandError(str(error)) from error


def missing(workspace: Workspace, wanted: Promotion) -> list[str]:
    """The privileges that the caller lacks, each with what mends it."""
    from agent_deploy.provider.plugin.resource import Context
    from agent_deploy.provider.workspace.permission_facts import facts_of
    from agent_deploy.rules.promotion import needs_of
    from agent_deploy.rules.verification import verdict

    facts = facts_of(Context(configuration=workspace))
    needs, principal = needs_of(wanted), facts.principal(None)
    return [str(each) for each in verdict(needs, facts.gather(needs, principal), principal).failures]


def _text(file: Path | None) -> str:
    """Of the stack file, line ends included; empty without one."""
    if file is None:
        return ""
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"--stack-file {file}: expected a file in UTF-8; byte {error.start} is none") from error
    except OSError as error:
        raise CommandError(f"--stack-file {file}: {error.strerror}") from error
