"""Puts a Pulumi toolchain at hand: the one on PATH where it is new enough, else Pulumi's own release, else one that is
built from the Go modules here.

Standard library only, Python 3.10 or newer, Linux and macOS. Run it as a script: progress goes to stderr; with
``--print-path`` the folder to put first on PATH goes to stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_release import NotFetched, fetch

TOOLS = Path(__file__).resolve().parent
CACHE_VARIABLE = "AGENT_DEPLOY_TOOLCHAIN"
DEFAULT_CACHE = TOOLS.parent / ".cache" / "toolchain"

# Since Go 1.21, an older Go fetches by itself the newer one that a go.mod asks for.
SELF_UPDATING_GO = (1, 21)
PROGRESS_SECONDS = 10
ERROR_LINES = 30  # of the Go command's own output, shown when it fails

ENGINE_MODULE = "github.com/pulumi/pulumi/pkg/v3"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
YAML_MODULE = "github.com/pulumi/pulumi-yaml"
VERSION_VARIABLE = f"{SDK_MODULE}/go/common/version.Version"
LANGUAGE_HOST = "python/cmd/pulumi-language-python"
# What the engine runs to execute Python programs; plain files inside the engine's SDK module.
PYTHON_FILES = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")

Version = tuple[int, ...]


def _oldest_pulumi() -> Version:
    """The engine that goes with the oldest SDK which pyproject.toml allows."""
    found = re.search(r'"pulumi>=(\d+)\.(\d+),', (TOOLS.parent / "pyproject.toml").read_text("utf-8"))
    assert found is not None
    return int(found[1]), int(found[2]), 0


OLDEST_PULUMI = _oldest_pulumi()


class ToolchainError(Exception):
    """What is missing and what to do about it, in words for the user."""


@dataclass(frozen=True)
class Command:
    """One program that is built: its name, our Go module's folder, its package, the module that gives its version."""

    name: str
    folder: Path
    package: str
    module: str
    # The Go variable from which the program knows its version.
    variable: str = VERSION_VARIABLE

    @property
    def version(self) -> str:
        """The pinned version with its ``v``, as go.mod has it."""
        text = (self.folder / "go.mod").read_text()
        match = re.search(rf"{re.escape(self.module)} (v[\w.+-]+)", text)
        if match is None:
            raise ToolchainError(f"{self.folder / 'go.mod'} does not require {self.module}: restore it from git")
        return match[1]


COMMANDS = (
    Command("pulumi", TOOLS / "pulumi", f"{ENGINE_MODULE}/cmd/pulumi", ENGINE_MODULE),
    Command("pulumi-language-python", TOOLS / "language-python", f"{SDK_MODULE}/{LANGUAGE_HOST}", SDK_MODULE),
    Command(
        "pulumi-language-yaml",
        TOOLS / "pulumi",
        f"{YAML_MODULE}/cmd/pulumi-language-yaml",
        YAML_MODULE,
        f"{YAML_MODULE}/pkg/version.Version",
    ),
)
PROGRAMS = (*(command.name for command in COMMANDS), *(Path(file).name for file in PYTHON_FILES))


@dataclass
class GoRun:
    """A running Go command's output: how many lines of each kind, and the last ones for an error."""

    downloads: int = 0
    packages: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=ERROR_LINES))

    def take(self, lines: Iterable[str]) -> None:
        """Counts the lines of stderr, to its end."""
        for line in lines:
            if line.startswith("go: downloading "):
                self.downloads += 1
            else:
                # `go build -v` names each package that it compiles; anything else it says is an error's text.
                self.packages += 1
                self.tail.append(line.rstrip())


def tell(message: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"toolchain: {message}\n")
    sys.stderr.flush()


def parse_version(text: str) -> Version | None:
    """``v3.256.0`` or ``go1.26.8`` → numbers; None when there is no version in it."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups(default="0")) if match else None


def dotted(version: Version) -> str:
    """``(3, 237, 0)`` → ``3.237.0``."""
    return ".".join(str(part) for part in version)


def cache_folder() -> Path:
    """Where toolchains are kept."""
    return Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE).expanduser().absolute()


def pinned_key() -> str:
    """A name for exactly what the Go modules pin, so that changed pins never meet an older build."""
    digest = hashlib.sha256()
    for folder in sorted({command.folder for command in COMMANDS}):
        digest.update((folder / "go.mod").read_bytes())
        digest.update((folder / "go.sum").read_bytes())
    engine, host, *_ = (command.version.lstrip("v") for command in COMMANDS)
    return f"pulumi-{engine}-python-{host}-{digest.hexdigest()[:12]}"


def installed_on_path(cache: Path) -> Path | None:
    """The folder of the user's own Pulumi, when it can be used; says why when it can't."""
    found = shutil.which("pulumi")
    if found is None or Path(found).resolve().is_relative_to(cache.resolve()):
        return None
    try:
        answer = subprocess.run([found, "version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        tell(f"{found} does not run ({error}), so it is passed over")
        return None
    version = parse_version(answer.stdout)
    if version is None or version < OLDEST_PULUMI:
        oldest = dotted(OLDEST_PULUMI)
        tell(f"{found} is {answer.stdout.strip()}, older than {oldest}, the oldest supported, so it is passed over")
        return None
    beside = os.pathsep.join((str(Path(found).parent), os.environ.get("PATH", "")))
    if shutil.which("pulumi-language-python", path=beside) is None:
        tell(f"{found} has no pulumi-language-python beside it or on PATH, so it is passed over")
        return None
    tell(f"using pulumi {dotted(version)} from PATH ({found})")
    return Path(found).parent


def is_complete(folder: Path) -> bool:
    """Whether all programs lie in the folder."""
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Holds the cache for one builder at a time; the lock goes with the process, however that ends."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another run builds the toolchain; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def go_environment(cache: Path) -> dict[str, str]:
    """The environment for Go: checked for its version, with caches of our own where Go's can't be written."""
    required = max(_go_of(command) for command in COMMANDS)
    alternative = f"Or install Pulumi {dotted(OLDEST_PULUMI)} or newer and put it on PATH."
    go = shutil.which("go")
    if go is None:
        raise ToolchainError(
            f"pulumi is not on PATH, and building it needs Go {dotted(required)} or newer, which is not there either. "
            f"Install Go (https://go.dev/dl). {alternative}"
        )
    # Outside of the modules: there, an old Go would already fail on their go.mod.
    asked = subprocess.run([go, "env", "-json"], cwd=cache, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise ToolchainError(f"`go env` fails: {asked.stderr.strip()}. Mend the Go installation {go}. {alternative}")
    settings: dict[str, str] = json.loads(asked.stdout)
    have = parse_version(settings["GOVERSION"]) or (0,)
    if have < required:
        if have < SELF_UPDATING_GO or settings.get("GOTOOLCHAIN") == "local":
            raise ToolchainError(
                f"Go {dotted(have)} ({go}) is too old: building pulumi needs {dotted(required)} or newer. "
                f"Install a newer Go (https://go.dev/dl). {alternative}"
            )
        tell(f"Go {dotted(have)} is older than {dotted(required)}; it fetches the newer one by itself")
    return {**os.environ, "GOWORK": "off", **writable_caches(settings, cache)}


def _go_of(command: Command) -> Version:
    match = re.search(r"^go (\S+)$", (command.folder / "go.mod").read_text(), re.MULTILINE)
    return (parse_version(match[1]) if match else None) or (0,)


def writable_caches(settings: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Environment variables that move Go's caches under ours where they are read-only."""
    moved: dict[str, str] = {}
    modules = Path(settings["GOMODCACHE"])
    if not _is_writable(modules):
        moved["GOMODCACHE"] = str(cache / "go-modules")
        # What the read-only cache holds needs no download.
        moved["GOPROXY"] = f"file://{modules / 'cache' / 'download'},{settings['GOPROXY']}"
    if settings["GOCACHE"] == "off" or not _is_writable(Path(settings["GOCACHE"])):
        moved["GOCACHE"] = str(cache / "go-build")
    for name in moved.keys() & {"GOMODCACHE", "GOCACHE"}:
        tell(f"{name} {settings[name]} is not writable; using {moved[name]}")
    return moved


def _is_writable(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(existing, os.W_OK)


def run_go(arguments: list[str], command: Command, environment: Mapping[str, str], doing: str) -> str:
    """Runs Go in a module's folder, telling progress; returns its stdout, raises ToolchainError with its last words."""
    started = time.monotonic()
    seen = GoRun()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["go", *arguments], cwd=command.folder, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
        )
        reader = threading.Thread(target=seen.take, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PROGRESS_SECONDS)
                    break
                counts = [(seen.downloads, "modules downloaded"), (seen.packages, "packages compiled")]
                shown = ", ".join(f"{count} {what}" for count, what in counts if count)
                tell(f"  {doing}: {time.monotonic() - started:.0f} s{', ' if shown else ''}{shown}")
        finally:
            # Reached with the process alive only when this run is interrupted.
            if process.poll() is None:
                process.terminate()
                process.wait()
        reader.join()
        if process.returncode:
            raise ToolchainError(
                "\n".join((f"{doing} failed:", *(f"    {line}" for line in seen.tail)))
                + "\nIf modules could not be downloaded, set GOPROXY to a module proxy that this machine reaches."
            )
        output.seek(0)
        return output.read()


def build(command: Command, folder: Path, environment: Mapping[str, str]) -> None:
    """Builds one program into the folder."""
    started = time.monotonic()
    tell(f"{command.name} {command.version}: fetching its modules")
    dependencies = ["list", "-mod=readonly", "-deps", command.package]
    count = len(run_go(dependencies, command, environment, f"modules of {command.name}").split())
    tell(f"{command.name} {command.version}: building, {count} packages less those that Go has cached")
    flags = f"-s -w -X {command.variable}={command.version}"
    output = ["-o", str(folder / command.name)]
    arguments = ["build", "-v", "-mod=readonly", "-trimpath", "-ldflags", flags, *output, command.package]
    run_go(arguments, command, environment, command.name)
    tell(f"{command.name} {command.version}: built in {time.monotonic() - started:.0f} s")


def place_python_files(folder: Path, environment: Mapping[str, str]) -> None:
    """Copies the files that the engine runs for Python programs out of the engine's SDK module."""
    engine = COMMANDS[0]
    arguments = ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK_MODULE]
    source = Path(run_go(arguments, engine, environment, SDK_MODULE).strip())
    for file in PYTHON_FILES:
        placed = folder / Path(file).name
        shutil.copyfile(source / file, placed)
        placed.chmod(0o755)


def check_version(folder: Path) -> None:
    """Raises ToolchainError unless the engine there runs and is the pinned one."""
    answer = subprocess.run([folder / "pulumi", "version"], capture_output=True, text=True, timeout=60, check=False)
    if answer.stdout.strip() != COMMANDS[0].version:
        said = (answer.stdout + answer.stderr).strip()
        raise ToolchainError(f"The pulumi in {folder} does not say {COMMANDS[0].version}, but: {said}")


def fetched_or_built(cache: Path) -> Path:
    """The folder of the pinned toolchain, fetched or built now unless it was before."""
    fetched, built = (
        cache / name / "bin" for name in (f"pulumi-{COMMANDS[0].version.lstrip('v')}-release", pinned_key())
    )
    if found := _finished(fetched, built):
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache):
        if found := _finished(fetched, built):
            return found
        for left_by_a_kill in cache.glob("building-*"):
            shutil.rmtree(left_by_a_kill)
        try:
            with _staged(cache, fetched) as folder:
                fetch(COMMANDS[0].version.lstrip("v"), folder, PROGRAMS, tell)
                check_version(folder)
            return fetched
        except NotFetched as error:
            tell(f"not Pulumi's own release ({error}), but one that is built from Go modules")
        environment = go_environment(cache)
        tell(f"building Pulumi once into {built}; cold: about 6 minutes on two cores and 3 GB in Go's caches")
        with _staged(cache, built) as folder:
            for command in COMMANDS:
                build(command, folder, environment)
            place_python_files(folder, environment)
            check_version(folder)
    tell(f"ready: {built}")
    return built


def _finished(*folders: Path) -> Path | None:
    return next((folder for folder in folders if is_complete(folder)), None)


@contextlib.contextmanager
def _staged(cache: Path, finished: Path) -> Iterator[Path]:
    """A folder that takes the place of ``finished`` when the block is through; of one that fails nothing is left."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache, ignore_cleanup_errors=True) as staging:
        folder = Path(staging) / "toolchain" / "bin"
        folder.mkdir(parents=True)
        yield folder
        # One rename makes all of it visible; what lies there was incomplete.
        shutil.rmtree(finished.parent, ignore_errors=True)
        folder.parent.rename(finished.parent)


def main() -> int:
    """The script; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print-path", action="store_true", help="print the folder to put first on PATH")
    arguments = parser.parse_args()
    # A terminated run must end its Go command and remove what it left half-built, as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        cache = cache_folder()
        folder = installed_on_path(cache) or fetched_or_built(cache)
    except (ToolchainError, OSError) as error:
        tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted; nothing is left half-built")
        return 130
    if arguments.print_path:
        sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
