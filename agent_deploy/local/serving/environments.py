"""The Python environments of models that ask for other packages than the workspace's: built by uv, kept by digest."""

from __future__ import annotations

import ast
import asyncio
import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from agent_deploy.local.core.folders import make
from agent_deploy.local.serving.process import BuildFailed
from agent_deploy.local.serving.requirements import FILE, Asked, NotTaken, asked

Write = Callable[[str], None]
_MADE = ".made"  # in a whole one
_POLL_SECONDS = 0.2
# Without it nothing could load the model; its own requirements say which version.
_ALWAYS = "mlflow"
_OLDEST = (3, 10)  # in which this package runs
_OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
# uv's variable for what pip is told, what stands between several values, and the variable's older name.
_OF_PIP = {
    "index-url": ("UV_DEFAULT_INDEX", " ", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", " ", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS", ",", ""),
    "trusted-host": ("UV_INSECURE_HOST", " ", ""),
    "cert": ("SSL_CERT_FILE", " ", ""),
}
_SECTIONS = ("global", "install", ":env:")  # of pip's configuration, the strongest last


def cache() -> Path:
    """Where they lie, for all workspaces of a user; each folder may be deleted while no workspace runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "agent-deploy" / "environments"


async def environment_of(model: Path, write: Write) -> Path | None:
    """The environment of a version's folder, built where it is not there yet; None where the workspace's own will do.

    ``write`` is told what happens, for the build log. Raises BuildFailed with what uv says.
    """
    try:
        wanted = await asyncio.to_thread(asked, model)
    except NotTaken as error:
        raise BuildFailed(f"The model's environment could not be built: {error}") from error
    python = await _python(wanted, write)
    if not wanted.unmet and python == sys.executable:
        return None
    # Whether the machine has the model's Python may change.
    folder = cache() / (wanted.digest if python == sys.executable else f"{wanted.digest}-{wanted.python}")
    async with _alone(folder.with_name(f"{folder.name}.lock"), write):
        if not all((folder / each).exists() for each in (_MADE, "bin/python")):
            write("The model gets an environment of its own, as the workspace's has not all that it asks for:\n")
            write("".join(f"  {each}\n" for each in wanted.unmet or (f"Python {wanted.python}",)))
            try:
                await _build(folder, python, model, write)
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                raise
            (folder / _MADE).touch()
    write(f"Environment: {folder.name}\n")
    return folder


def interpreter(folder: Path) -> tuple[Path, Path]:
    """What of the Python below an environment must be read by whoever runs it: the program and its library."""
    python = (folder / "bin" / "python").resolve()
    return python, python.parent.parent / "lib"


async def _build(folder: Path, python: str, model: Path, write: Write) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    await _uv(write, model, "venv", "--quiet", "--no-config", "--python", python, str(folder))
    # From wheels alone: a source distribution's own code would run outside of the model's isolation.
    install = ("pip", "install", "--no-build", "--python", str(folder), _ALWAYS)
    await _uv(write, model, *install, *(("--requirement", FILE) if (model / FILE).exists() else ()))


async def _python(wanted: Asked, write: Write) -> str:
    """The Python in which the model was logged, where this machine has it; else the workspace's."""
    if wanted.python in ("", _OWN):
        return sys.executable
    if tuple(map(int, wanted.python.split("."))) < _OLDEST:
        why = "which is older than this package takes"
    else:
        process = await asyncio.create_subprocess_exec(
            _program(), "python", "find", "--no-config", "--no-python-downloads", wanted.python,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        found, _ = await process.communicate()
        if process.returncode == 0:
            return found.decode().strip()
        why = "which this machine does not have"
    write(f"Logged with Python {wanted.python}, {why}: served with {_OWN}.\n")
    return sys.executable


async def _uv(write: Write, model: Path, *arguments: str) -> None:
    """Runs in the model's folder, where its requirements' paths begin; raises BuildFailed with uv's last words.

    A uv.toml that lies there is not heeded: it could have packages written to anywhere.
    """
    process = await asyncio.create_subprocess_exec(
        _program(), "--no-python-downloads", "--project", str(cache()), *arguments,
        cwd=model, env={**os.environ, **await index_settings()},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said: list[str] = []
    try:
        async for line in process.stdout:
            said.append(line.decode(errors="replace"))
            write(said[-1])
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise BuildFailed("The model's environment could not be built: " + "".join(said[-20:]).strip())


async def index_settings() -> Mapping[str, str]:
    """Where packages come from, as pip is told, for what uv's own variables do not say."""
    told = await _told_pip()
    found = {}
    for option, (variable, between, older) in _OF_PIP.items():
        values = [told[at] for section in _SECTIONS if (at := f"{section}.{option}") in told]
        if values and not {variable, older} & os.environ.keys():
            found[variable] = between.join(values[-1].split())
    return found


async def _told_pip() -> Mapping[str, str]:
    """As `pip config list` tells it; where there is no pip, its variables."""
    if find_spec("pip") is None:
        names = {option: f"PIP_{option.upper().replace('-', '_')}" for option in _OF_PIP}
        return {f":env:.{option}": os.environ[name] for option, name in names.items() if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pip", "config", "list",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    told, _ = await process.communicate()
    pairs = (line.partition("=") for line in told.decode(errors="replace").splitlines())
    return {name: str(ast.literal_eval(value)) for name, _, value in pairs if value}


def _program() -> str:
    from uv import find_uv_bin

    return str(find_uv_bin())


@asynccontextmanager
async def _alone(lock: Path, write: Write) -> AsyncIterator[None]:
    """One builds; whoever wants the same waits, also in another workspace."""
    make(lock.parent, mode=0o700)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    told = False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    write("Waiting for another deployment that builds the same environment.\n")
                told = True
                await asyncio.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
