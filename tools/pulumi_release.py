"""Fetches Pulumi's own release archive, of one version, checked against the checksums that the release publishes.

Standard library only. The URL that AGENT_DEPLOY_PULUMI_RELEASES names, such as a mirror's, stands in for GitHub's;
``off`` fetches nothing. Sources: Pulumi's install script (names of archives); its releases (`pulumi-*-checksums.txt`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

RELEASES_VARIABLE = "AGENT_DEPLOY_PULUMI_RELEASES"
RELEASES = "https://github.com/pulumi/pulumi/releases/download"
# Whoever cannot reach the release is to know it soon: until the checksums are there, which are a few kB.
ANSWER_SECONDS = 5.0
# Of silence, while the archive comes.
STALL_SECONDS = 30.0
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "arm64": "arm64", "aarch64": "arm64"}
_CHUNK = 1 << 20


class NotFetched(Exception):
    """Why there is no archive, in words for the user."""


def fetch(version: str, folder: Path, wanted: tuple[str, ...], tell: Callable[[str], None]) -> None:
    """Lays the ``wanted`` programs of a version (``3.256.0``) into the folder; raises NotFetched and leaves nothing."""
    base = os.environ.get(RELEASES_VARIABLE) or RELEASES
    if base == "off":
        raise NotFetched(f"{RELEASES_VARIABLE} is off")
    archive = _archive_name(version)
    release = f"{base}/v{version}"
    started = time.monotonic()
    expected = _checksum(_answered(f"{release}/pulumi-{version}-checksums.txt"), archive)
    tell(f"pulumi v{version}: fetching {archive}")
    packed = folder / archive
    try:
        with urllib.request.urlopen(f"{release}/{archive}", timeout=STALL_SECONDS) as answer, packed.open("wb") as file:
            digest = _copied(answer, file)
        if digest != expected:
            raise NotFetched(f"{release}/{archive} has the SHA-256 {digest}, and the release says {expected}")
        _unpack(packed, folder, wanted)
    except (OSError, tarfile.TarError, EOFError) as error:
        for name in wanted:
            (folder / name).unlink(missing_ok=True)
        raise NotFetched(f"{release}/{archive}: {error}") from error
    finally:
        packed.unlink(missing_ok=True)
    tell(f"pulumi v{version}: the official release, its checksum verified, in {time.monotonic() - started:.0f} s")


def _archive_name(version: str) -> str:
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        raise NotFetched(f"Pulumi has no release for {platform.system()} on {platform.machine()}")
    return f"pulumi-v{version}-{system}-{machine}.tar.gz"


def _answered(url: str) -> str:
    """A small document. In a thread, since no time limit of Python's bounds the look-up of a host's name."""
    found: list[str | Exception] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                found.append(answer.read(_CHUNK).decode())
        except (OSError, ValueError) as error:
            found.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if not found:
        raise NotFetched(f"{url} did not answer within {ANSWER_SECONDS:g} s")
    if isinstance(found[0], Exception):
        raise NotFetched(f"{url}: {found[0]}")
    return found[0]


def _checksum(listed: str, archive: str) -> str:
    """The archive's, out of lines of a checksum and a name."""
    for line in listed.splitlines():
        digest, _, name = line.strip().partition(" ")
        if name.strip().lstrip("*") == archive:
            return digest.lower()
    raise NotFetched(f"the release's checksums do not name {archive}")


def _copied(source: BinaryIO, target: BinaryIO) -> str:
    """SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _unpack(packed: Path, folder: Path, wanted: tuple[str, ...]) -> None:
    """By name and content alone: no path and no mode of the archive's is followed."""
    with tarfile.open(packed) as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        if missing := [name for name in wanted if name not in members]:
            raise NotFetched(f"the archive has no {', '.join(missing)}")
        for name in wanted:
            source = archive.extractfile(members[name])
            assert source is not None, "a regular file has content"
            with source, (folder / name).open("wb") as file:
                shutil.copyfileobj(source, file)
            (folder / name).chmod(0o755)


if __name__ == "__main__":
    sys.exit("used by tools/toolchain.py")
