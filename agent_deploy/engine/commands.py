"""Pulumi's commands on a project's stacks. What they say goes to the terminal, but for what is read here."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent_deploy.engine.program import INSTALL, MISSING, pulumi
from agent_deploy.rules.ephemeral import FULL_KEY
from agent_deploy.rules.yaml_text import dumped

# How a stack's secrets are kept: as its state says it, as its file does.
_PROVIDERS = {"url": "secretsprovider", "encryptedkey": "encryptedkey", "salt": "encryptionsalt"}
_FILES = ("Pulumi.yaml", "Pulumi.yml")


class EngineError(Exception):
    """Pulumi is not there, or a command of it failed; the message is for the user."""


def short_name(stack: str) -> str:
    """Without the organization and the project that a stack may be named with."""
    return stack.rpartition("/")[2]


def is_among(stack: str, stacks: Iterable[str]) -> bool:
    """Whether it is one of these, however each is named."""
    return short_name(stack) in map(short_name, stacks)


class Engine:
    """One project: that of a folder or of one above it. ``environment`` replaces this process's own."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        program = pulumi()
        if program is None:
            raise EngineError(f"{MISSING}. Install it: {INSTALL}")
        self._program, self._file = program, _project_file(folder.absolute())
        self._environment = environment
        described = _yaml(self._file)
        self.project = str(described.get("name") or "")
        runtime = described.get("runtime")
        self.runtime = str((runtime.get("name") if isinstance(runtime, dict) else runtime) or "")

    @property
    def project_file(self) -> Path:
        """Pulumi.yaml."""
        return self._file

    def backend(self) -> str:
        """Where the states are: its address."""
        url = str(json.loads(self._answer("whoami", "--json")).get("url") or "")
        # A folder of this name is another one on each machine.
        return f"{url} of {socket.gethostname()}" if url.startswith("file:") else url

    def stacks(self) -> list[str]:
        """Of the project, as its commands take them."""
        return [str(each["name"]) for each in self._listed()]

    def _selected(self) -> str:
        """The stack that commands without `--stack` are about; empty where there is none."""
        return next((str(each["name"]) for each in self._listed() if each.get("current")), "")

    def _listed(self) -> list[dict[str, Any]]:
        return list(json.loads(self._answer("stack", "ls", "--json", "--project", self.project)))

    def state(self, stack: str) -> dict[str, Any]:
        """As `pulumi stack export` has it: secrets are encrypted."""
        return dict(json.loads(self._answer("stack", "export", "--stack", stack)))

    def init(self, stack: str) -> None:
        """A stack with nothing in it, which is not selected."""
        self._run("stack", "init", stack, "--no-select")

    def has_key(self, stack: str) -> bool:
        """Whether the stack's file names the key of its secrets."""
        return bool(self._settings(stack).keys() & set(_PROVIDERS.values()))

    def make(self, stack: str, base: str, state: Mapping[str, Any]) -> None:
        """A stack with nothing in it, whose secrets are kept as in its own lost ``state``, or else as in ``base``."""
        provider = _secrets_provider(state).get("secretsprovider") or self._settings(base).get("secretsprovider")
        self._run("stack", "init", stack, "--no-select", *(["--secrets-provider", provider] if provider else []))

    def configure(self, stack: str, base: str, ephemeral: Mapping[str, Any]) -> None:
        """Gives the stack the base's configuration, secrets encrypted for it, and makes it ephemeral."""
        # Nobody commits the file, and each job begins without one; what the base has dropped is dropped here.
        kept = {name: value for name, value in self._settings(stack).items() if name in _PROVIDERS.values()}
        self._write(stack, kept or _secrets_provider(self.state(stack)))
        self._run("config", "cp", "--stack", base, "--dest", stack)
        settings = self._settings(stack)
        settings.setdefault("config", {})[FULL_KEY] = dict(ephemeral)
        self._write(stack, settings)

    def adopt(self, stack: str, state: Mapping[str, Any]) -> None:
        """Gives a stack a state that was exported."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            self._run("stack", "import", "--stack", stack, "--file", file.name)

    def up(self, stack: str) -> None:
        """What the program declares; state says what is there, also when this fails, and repairs what others did."""
        self._run("up", "--stack", stack, "--yes", "--skip-preview", "--refresh")

    def set_secret(self, stack: str, key: str, value: str) -> None:
        """A secret of the stack's configuration; the value goes over standard input, where nobody else reads it."""
        self._run("config", "set", "--stack", stack, "--secret", key, stdin=value)

    def take_over(self, stack: str, file: Path) -> None:
        """Reads what an import file names into the state, and writes no program for it."""
        what = ("--generate-code=false", "--protect=false", "--yes", "--skip-preview")
        self._run("import", "--stack", stack, "--file", str(file), *what)

    def preview(self, stack: str, expect_no_changes: bool = False) -> None:
        """What `up` would do; with ``expect_no_changes`` anything at all is a failure."""
        self._run("preview", "--stack", stack, "--diff", *(["--expect-no-changes"] if expect_no_changes else []))

    def outputs(self, stack: str) -> dict[str, Any]:
        """Of the program; secret ones are not shown."""
        return dict(json.loads(self._answer("stack", "output", "--stack", stack, "--json")))

    def remove(self, stack: str) -> None:
        """Everything of the stack, the stack and its file."""
        selected = self._selected()
        self._run("destroy", "--stack", stack, "--yes", "--skip-preview")
        self._run("stack", "rm", stack, "--yes")  # leaves no stack selected
        if selected and selected != short_name(stack):
            self._run("stack", "select", selected)

    def _settings(self, stack: str) -> dict[str, Any]:
        """The stack's file; empty where there is none."""
        file = self.file_of(stack)
        return _yaml(file) if file.is_file() else {}

    def _write(self, stack: str, settings: Mapping[str, Any]) -> None:
        self.file_of(stack).write_text(dumped(settings), "utf-8")

    def file_of(self, stack: str) -> Path:
        """The file of a stack's configuration, whether it is there or not."""
        folder = self._file.parent / str(_yaml(self._file).get("stackConfigDir") or "")
        return folder / f"Pulumi.{short_name(stack)}.yaml"

    def _run(self, *arguments: str, stdin: str | None = None) -> None:
        done = subprocess.run(
            self._line(arguments),
            check=False,
            stdout=sys.stderr,
            cwd=self._file.parent,
            input=stdin,
            text=True,
            env=self._environment,
        )
        if done.returncode != 0:
            raise EngineError(f"`pulumi {_shown(arguments)}` failed; what it said stands above")

    def _answer(self, *arguments: str) -> str:
        done = subprocess.run(
            self._line(arguments),
            check=False,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._file.parent,
            env=self._environment,
        )
        if done.returncode != 0:
            raise EngineError(f"`pulumi {_shown(arguments)}` failed; what it said stands above")
        return done.stdout

    def _line(self, arguments: Sequence[str]) -> list[str]:
        return [self._program, *arguments, "--non-interactive"]


def _secrets_provider(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a stack's file says of how its secrets are kept, out of its state."""
    given = ((state.get("deployment") or {}).get("secrets_providers") or {}).get("state") or {}
    return {named: given[name] for name, named in _PROVIDERS.items() if given.get(name)}


def _shown(arguments: Sequence[str]) -> str:
    return " ".join(arguments[:2] if arguments[0] in ("stack", "config") else arguments[:1])


def _project_file(folder: Path) -> Path:
    for each in (folder, *folder.parents):
        for name in _FILES:
            if (each / name).is_file():
                return each / name
    raise EngineError(f"There is no Pulumi project in {folder}: run this where Pulumi.yaml lies, or below")


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    found = yaml.safe_load(file.read_text("utf-8"))
    return found if isinstance(found, dict) else {}
