"""Runs the real Pulumi engine on a program of a test: a folder, a state file and a key of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_deploy.stand_in.selection import select_plugin
from tests.engine import pip_list, vault
from tests.engine import warm as interpreters

ROOT = Path(__file__).resolve().parents[2]
TOOLCHAIN_VARIABLE = "AGENT_DEPLOY_TOOLCHAIN"
# Generous: two cores may be shared by several engines.
RUN_SECONDS = 300.0
BIN = Path(sys.executable).parent


def clean_environment() -> dict[str, str]:
    """This process's environment without what names a workspace or a stack, or what MLflow notes of other tests."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("DATABRICKS_", "PULUMI_", "MLFLOW_"))}


def toolchain() -> Path | None:
    """The folder that holds `pulumi`: of PATH, of the variable, or the cache that `make` builds; None without one."""
    cache = Path(os.environ.get(TOOLCHAIN_VARIABLE) or ROOT / ".cache" / "toolchain")
    on_path = shutil.which("pulumi")
    candidates = [Path(on_path).parent] if on_path else []
    candidates += [cache, cache / "bin", *sorted(cache.glob("*/bin"))]
    return next((folder for folder in candidates if (folder / "pulumi").exists()), None)


@dataclass
class Result:
    """What one command of the engine did."""

    code: int
    output: str
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def operations(self) -> dict[str, str]:
        """Resource's name → operation, without what stays as it is, looked at by a refresh or not."""
        return {name: op for name, op in self._steps() if op not in ("same", "read", "refresh")}

    @property
    def changed_paths(self) -> dict[str, dict[str, str]]:
        """Resource's name → path → kind of its detailed diff."""
        return {
            _name(metadata): {path: diff["diffKind"] for path, diff in (metadata.get("detailedDiff") or {}).items()}
            for metadata in self._metadata()
            if metadata.get("detailedDiff")
        }

    @property
    def messages(self) -> str:
        """All that was said about resources, progress included."""
        told = [event["diagnosticEvent"]["message"] for event in self.events if "diagnosticEvent" in event]
        return "".join(told)

    @property
    def progress(self) -> list[str]:
        """The texts that stood beside resources for a while."""
        told = [event["diagnosticEvent"] for event in self.events if "diagnosticEvent" in event]
        return [event["message"] for event in told if event.get("ephemeral")]

    def _steps(self) -> Iterator[tuple[str, str]]:
        for metadata in self._metadata():
            yield _name(metadata), metadata["op"]

    def _metadata(self) -> Iterator[dict[str, Any]]:
        for event in self.events:
            for kind in ("resourcePreEvent", "resOutputsEvent"):
                if kind in event and not _is_the_engines(event[kind]["metadata"]):
                    yield event[kind]["metadata"]


class Stack:
    """One stack of one program. ``environment`` reaches program and plugins; ``config`` is set in plain text."""

    def __init__(
        self,
        folder: Path,
        program: str,
        environment: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        plugins: Mapping[str, Path] | None = None,
        name: str = "test",
        project: str = "project",
        passphrase: str = "",
        warm: bool = True,
    ) -> None:
        self.folder, self.name, self.project = folder, name, project
        self._backend = folder / "state"
        self._backend.mkdir(parents=True)
        self._environment = dict(environment or {})
        self.store = folder  # for tests that keep a workspace of their own
        self._key = {"PULUMI_CONFIG_PASSPHRASE": passphrase} if passphrase else vault.variables()
        self._started: list[subprocess.Popen[str]] = []
        providers = {"agent-deploy": BIN} if plugins is None else dict(plugins)
        self._python = [str(interpreters.python(folder / "warm"))] if warm else []
        if warm:
            for plugin, path in providers.items():
                providers[plugin] = interpreters.plugin(path / f"pulumi-resource-{plugin}", folder / "warm")
        lines = [f"name: {project}", "runtime: python", "plugins:", "  providers:"]
        lines += [f"    - {{name: {plugin}, path: {path}}}" for plugin, path in providers.items()]
        (folder / "Pulumi.yaml").write_text("\n".join(lines if providers else lines[:2]) + "\n")
        self.write(program)
        self.run("stack", "init", name, *([] if passphrase else ["--secrets-provider", vault.PROVIDER]))
        for key, value in (config or {}).items():
            self.run("config", "set", key, value)

    def write(self, program: str) -> None:
        """Replaces the program."""
        # Python knows a program by its size and the second in which it was written: two of one second may be alike.
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)
        (self.folder / "__main__.py").write_text(program)

    def set_secret(self, key: str, value: str) -> None:
        """Sets a secret value of the stack's configuration; it goes over standard input, not the command line."""
        self.run("config", "set", "--secret", key, stdin=value)

    def preview(self, *flags: str, check: bool = True) -> Result:
        """`pulumi preview`."""
        return self.operate("preview", *flags, check=check)

    def up(self, *flags: str, check: bool = True) -> Result:
        """`pulumi up`, without its own preview."""
        return self.operate("up", "--skip-preview", *flags, check=check)

    def refresh(self, *flags: str, check: bool = True) -> Result:
        """`pulumi refresh`."""
        return self.operate("refresh", "--skip-preview", *flags, check=check)

    def destroy(self, *flags: str, check: bool = True) -> Result:
        """`pulumi destroy`."""
        return self.operate("destroy", "--skip-preview", *flags, check=check)

    def operate(self, command: str, *flags: str, check: bool = True) -> Result:
        """One command with the engine's events."""
        log = self.folder / f"events-{time.monotonic_ns()}.json"
        yes = [] if command == "preview" else ["--yes"]
        arguments = (command, "--non-interactive", "--diff", "--event-log", str(log), *yes, *flags)
        result = self.run(*arguments, check=False)
        result.events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        assert not check or result.code == 0, result.output
        # A plugin or program that ends with one has a fault, whatever became of the run.
        assert result.code != 0 or "Traceback (most recent call last)" not in result.output + result.messages
        return result

    def run(self, *arguments: str, check: bool = True, stdin: str | None = None) -> Result:
        """Any command; with ``check`` it has to succeed."""
        done = subprocess.run(
            ["pulumi", *arguments], cwd=self.folder, env=self.environment(), input=stdin or "", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout
        return Result(done.returncode, done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that the test interrupts or kills; the leader of a session of its own. `close` ends it."""
        output = (self.folder / "started.txt").open("a")
        process = subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"], cwd=self.folder, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        output.close()
        self._started.append(process)
        return process

    def run_apart(self, *arguments: str) -> str:
        """A command that has to succeed and leaves processes running, which are ended; returns what it said.

        Pulumi leaves the language host of a plugin that it starts from a folder.
        """
        before = len(self.started_output)
        command = self.start(*arguments)
        code = command.wait(RUN_SECONDS)
        end_session(command)
        assert code == 0, self.started_output[before:]
        return self.started_output[before:]

    @property
    def started_output(self) -> str:
        """What the commands of `start` said."""
        path = self.folder / "started.txt"
        return path.read_text() if path.exists() else ""

    def set_environment(self, changes: Mapping[str, str]) -> None:
        """Other variables for the runs that follow."""
        self._environment.update(changes)

    def environment(self) -> dict[str, str]:
        """The environment of the engine, and so of program and plugins."""
        folder = toolchain()
        path = [*self._python, str(BIN), *([str(folder)] if folder else []), os.environ.get("PATH", "")]
        clean = clean_environment()
        return {
            **clean,
            "PATH": os.pathsep.join(path),
            "PULUMI_HOME": str(self.folder / "home"),
            # No file of attributes beside each file: Pulumi writes those in place, and a run that is killed there
            # leaves a state that no command reads ("failed to load checkpoint: EOF").
            "PULUMI_BACKEND_URL": f"{self._backend.as_uri()}?metadata=skip",
            **self._key,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
            "DATABRICKS_CONFIG_FILE": str(self.folder / "no-databrickscfg"),
            "PYTHONPATH": pip_list.answered(),
            **self._environment,
        }

    def export(self) -> dict[str, Any]:
        """The state, decrypted as the engine exports it (secrets stay encrypted)."""
        deployment: dict[str, Any] = json.loads(self.run("stack", "export").output)["deployment"]
        return deployment

    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources in the state by name, without stack and providers."""
        kept = self.export().get("resources") or []
        return {
            resource["urn"].rsplit("::", 1)[-1]: resource
            for resource in kept
            if not resource["type"].startswith("pulumi:")
        }

    def outputs(self, *options: str) -> dict[str, Any]:
        """What the program exports; ``--show-secrets`` shows secrets as well."""
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json", *options).output)
        return found

    def state_text(self) -> str:
        """Every byte that the engine keeps about this stack, history and backups included."""
        files = [path for path in self._backend.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def close(self) -> None:
        """Ends what `start` has started, children included."""
        for process in self._started:
            if process.poll() is None:
                end_session(process)


def end_session(process: subprocess.Popen[str]) -> None:
    """Kills a started command and all that it has started: the engine gives its plugins groups of their own.

    Call it at once when the command has ended by itself: later its id may be somebody else's.
    """
    listed = subprocess.run(["ps", "-A", "-o", "pid="], stdout=subprocess.PIPE, text=True, check=True)
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError, PermissionError):  # it ended in between; another user's
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    process.wait(timeout=60)


def eventually(question: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.05)
    return answer


def both_plugins(folder: Path) -> dict[str, Path]:
    """For `Stack`: our plugin and, where the vendor's cannot be had, the stand-in, which is laid into ``folder``."""
    stand_in = select_plugin(folder).folder
    return {"agent-deploy": BIN, **({"databricks": stand_in} if stand_in else {})}


@contextmanager
def stack(folder: Path, program: str, **options: Any) -> Iterator[Stack]:
    """A stack whose processes end with the block."""
    opened = Stack(folder, program, **options)
    try:
        yield opened
    finally:
        opened.close()


def _is_the_engines(metadata: Mapping[str, Any]) -> bool:
    """The stack itself and providers that no program declares."""
    provider = metadata["type"].startswith("pulumi:providers:")
    return metadata["type"] == "pulumi:pulumi:Stack" or (provider and _name(metadata).startswith("default"))


def _name(metadata: Mapping[str, Any]) -> str:
    return str(metadata["urn"]).rsplit("::", 1)[-1]
