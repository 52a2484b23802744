"""A stack whose resources are in a local workspace: its state and the key of its secrets lie in that one's folder."""

from __future__ import annotations

import os
import secrets
import shlex
from pathlib import Path

from agent_deploy.cli.errors import CommandError

STATE = "pulumi"
KEY = "pulumi.key"  # not the workspace's: values in the stack's file are encrypted with it, and stay over a reset


def prepare(folder: Path, stack: str) -> dict[str, str]:
    """Makes the stack of this folder's Pulumi project, where it is missing; the variables by which Pulumi finds it.

    Raises CommandError when there is no `pulumi`, no project, or it refuses the name.
    """
    # Here, not at the top: no other command needs these.
    from agent_deploy.ephemeral.engine import Engine, EngineError
    from agent_deploy.local.private import make_private, never_commit

    state, key = folder.absolute() / STATE, folder.absolute() / KEY
    variables = {
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(key),
        "PULUMI_STACK": stack,
    }
    try:
        engine = Engine(Path.cwd(), {**_without_own_key(), **variables})
        if engine.has_key(stack) and not key.exists():
            raise CommandError(
                f"--stack {stack}: the key of Pulumi.{stack}.yaml is not in {folder}. Delete that file, if the local "
                "workspace that it was for is gone, or name another stack"
            )
        make_private(folder)
        never_commit(folder)
        make_private(state)
        _keep_key(key)
        if stack not in engine.stacks():
            engine.init(stack)
    except PermissionError as error:
        raise CommandError(f"{folder} belongs to another user: name another --folder") from error
    except EngineError as error:
        raise CommandError(f"--stack {stack}: {error}") from error
    return variables


def lines(folder: Path, stack: str) -> list[str]:
    """What a shell evaluates, so that its `pulumi` is about the stack."""
    found = [f"export {name}={shlex.quote(value)}" for name, value in prepare(folder, stack).items()]
    if plugin := _plugin_folder(folder):
        found.append(f'export PATH={shlex.quote(plugin)}:"$PATH"')
    return ["unset PULUMI_CONFIG_PASSPHRASE", *found]  # it would go before the file


def _plugin_folder(folder: Path) -> str:
    """The folder of the stand-in databricks plugin; empty where the engine finds the vendor's."""
    from agent_deploy.rules.problems import InvalidInput
    from agent_deploy.stand_in.selection import select_plugin

    try:
        selection = select_plugin(folder / "plugins")
    except InvalidInput as error:
        raise CommandError(str(error)) from error
    return selection.environment({}).get("PATH", "")


def _without_own_key() -> dict[str, str]:
    # A passphrase of the user's own is for other stacks.
    return {name: value for name, value in os.environ.items() if name != "PULUMI_CONFIG_PASSPHRASE"}


def _keep_key(path: Path) -> None:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
