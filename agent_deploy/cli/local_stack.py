"""A stack whose resources are in a local workspace: its state and the key of its secrets lie in that one's folder."""

from __future__ import annotations

import os
import secrets
import shlex
from pathlib import Path
from urllib.parse import quote

from agent_deploy.cli.errors import CommandError
from agent_deploy.engine.commands import Engine, EngineError, is_among

STATE = "pulumi"
KEY = "pulumi.key"  # not the workspace's: values in the stack's file are encrypted with it, and stay over a reset


class LocalStack:
    """A stack of the Pulumi project in the current folder; ``folder`` is the workspace's.

    Raises CommandError when there is no `pulumi`, no project, or the key of the stack's file is gone.
    """

    def __init__(self, folder: Path, stack: str) -> None:
        self._folder, self._stack = folder.absolute(), stack
        self._variables = {
            # Pulumi reads it as an address, in which # and ? mean something else.
            "PULUMI_BACKEND_URL": f"file://{quote(str(self._folder / STATE))}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self._folder / KEY),
            "PULUMI_STACK": stack,
        }
        # A passphrase of the user's own would go before the file.
        own = {name: value for name, value in os.environ.items() if name != "PULUMI_CONFIG_PASSPHRASE"}
        try:
            self._engine = Engine(Path.cwd(), {**own, **self._variables})
        except EngineError as error:
            raise CommandError(f"--stack {stack}: {error}") from error
        if self._engine.has_key(stack) and not (self._folder / KEY).exists():
            raise CommandError(
                f"--stack {stack}: the key of Pulumi.{stack}.yaml is not in {folder}. Delete that file, if the local "
                "workspace that it was for is gone, or name another stack"
            )

    def lines(self, make: bool) -> list[str]:
        """What a shell evaluates, so that its `pulumi` is about the stack, which is made if ``make`` says so."""
        self._look(make)
        found = [f"export {name}={shlex.quote(value)}" for name, value in self._variables.items()]
        if plugin := _plugin_folder(self._folder):
            found.append(f'export PATH={shlex.quote(plugin)}:"$PATH"')
        return ["unset PULUMI_CONFIG_PASSPHRASE", *found]

    def _look(self, make: bool) -> None:
        # Here, not at the top: the local workspace's code is loaded by its commands alone.
        from agent_deploy.local.private import make_private

        state = self._folder / STATE
        try:
            # A call of Pulumi's that takes a second, for what a new folder tells as well.
            known = self._engine.stacks() if state.exists() else []
            if is_among(self._stack, known):
                return
            if not make:
                there = ", ".join(known) or "none yet"
                raise CommandError(
                    f"--stack {self._stack}: there is no such stack (there: {there}). "
                    f"`agent-deploy local start --stack {self._stack}` makes it"
                )
            make_private(state)
            _keep_key(self._folder / KEY)
            self._engine.init(self._stack)
        except EngineError as error:
            raise CommandError(f"--stack {self._stack}: {error}") from error


def _plugin_folder(folder: Path) -> str:
    """The folder of the stand-in databricks plugin; empty where the engine finds the vendor's."""
    from agent_deploy.rules.problems import InvalidInput
    from agent_deploy.stand_in.selection import select_plugin

    try:
        return select_plugin(folder / "plugins").environment({}).get("PATH", "")
    except InvalidInput as error:
        raise CommandError(str(error)) from error


def _keep_key(path: Path) -> None:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
