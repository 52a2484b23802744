"""The Python environments of models that ask for other packages than the workspace's: built by uv, kept by digest."""

from __future__ import annotations

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
from agent_deploy.local.serving.requirements import Asked, asked

Write = Callable[[str], None]
_MADE = ".made"  # in a whole one
_POLL_SECONDS = 0.2
# uv's own words for what pip is told by its configuration and variables.
_OF_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def cache() -> Path:
    """Where they lie, for all workspaces of a user; each folder may be deleted while no workspace runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "agent-deploy" / "environments"


async def environment_of(model: Path, write: Write) -> Path | None:
    """The environment of a version's folder, built where it is not there yet; None where the workspace's own will do.

    ``write`` is told what happens, for the build log. Raises BuildFailed with what uv says.
    """
    wanted = await asyncio.to_thread(asked, model)
    if not wanted.unmet:
        return None
    folder = cache() / wanted.digest
    async with _alone(folder.with_suffix(".lock"), write):
        if not (folder / _MADE).exists():
            write("The model gets an environment of its own, as the workspace's has not all that it asks for:\n")
            write("".join(f"  {each}\n" for each in wanted.unmet))
            try:
                await _build(folder, wanted, model, write)
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                raise
            (folder / _MADE).touch()
    write(f"Environment: {folder.name}\n")
    return folder


async def _build(folder: Path, wanted: Asked, model: Path, write: Write) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    await _uv(write, model, "venv", "--quiet", "--no-config", "--python", await _python(wanted, write), str(folder))
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{line}\n" for line in wanted.lines), "utf-8")
    # From wheels alone: a source distribution's own code would run outside of the model's isolation.
    install = ("pip", "install", "--no-build", "--python", str(folder), "--requirement", str(requirements))
    await _uv(write, model, *install)


async def _python(wanted: Asked, write: Write) -> str:
    """The Python in which the model was logged, where this machine has it; else the workspace's."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted.python in ("", own):
        return sys.executable
    process = await asyncio.create_subprocess_exec(
        _program(), "python", "find", "--no-python-downloads", wanted.python,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    found, _ = await process.communicate()
    if process.returncode == 0:
        return found.decode().strip()
    write(f"Logged with Python {wanted.python}, which this machine does not have: served with {own}.\n")
    return sys.executable


async def _uv(write: Write, model: Path, *arguments: str) -> None:
    """Runs in the model's folder, where its requirements' paths begin; raises BuildFailed with uv's last words."""
    process = await asyncio.create_subprocess_exec(
        _program(), "--no-python-downloads", *arguments, cwd=model, env={**os.environ, **await _index_settings()},
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


async def _index_settings() -> Mapping[str, str]:
    """Where packages come from, as pip's configuration says, for what uv's own variables do not say."""
    if find_spec("pip") is None:
        return {}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pip", "config", "list",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    told, _ = await process.communicate()
    found = {}
    for line in told.decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        variable = _OF_PIP.get(name.rpartition(".")[2])
        if variable and variable not in os.environ:
            found[variable] = value.strip().strip("'\"")
    return found


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
