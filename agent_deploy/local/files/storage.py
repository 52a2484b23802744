"""Paths of the Files API, the folders behind them, and URLs that carry their own permission."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from anyio import to_thread
from cryptography.fernet import InvalidToken

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden, invalid
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.principals import Principal

# Given (caller, the segments below the mount's name, whether to write), the path on disk; refuses with ApiError.
Mount = Callable[[Principal, tuple[str, ...], bool], Path]

SIGNED = "/_signed/"  # public: the URL itself is the credential, as a cloud store's presigned URL is
SIGNED_SECONDS = 900.0  # as long as one lives at most
# What no file system takes, and lone surrogates, which are no characters.
_NO_SEGMENT = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]")
_SEGMENT_BYTES, _PATH_BYTES = 255, 2048
_WRITE_BYTES = 1 << 20  # written to disk in one go, off the event loop


class Files:
    """The first segment of a path names the mount; the API that owns it decides who may read and write there."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._mounts: dict[str, Mount] = {}
        self._staging = workspace.folder / "files" / ".staging"
        shutil.rmtree(self._staging, ignore_errors=True)  # uploads that a killed process left half done

    def mount(self, name: str, resolve: Mount) -> None:
        """Serve ``/<name>/…`` from where ``resolve`` says."""
        self._mounts[name] = resolve

    def locate(self, principal: Principal, path: str, *, write: bool) -> Path:
        """Where ``path`` lies on disk (it need not exist); raises for a path outside, unknown or not permitted."""
        segments = tuple(segment for segment in path.split("/") if segment)
        if any(segment in (".", "..") or _NO_SEGMENT.search(segment) for segment in segments):
            raise invalid(f"Path {path!r}: '.', '..', '\\' and control characters are not accepted.")
        if any(len(segment.encode()) > _SEGMENT_BYTES for segment in segments) or len(path.encode()) > _PATH_BYTES:
            expected = f"at most {_SEGMENT_BYTES} bytes between two slashes, and {_PATH_BYTES} in all"
            raise invalid(f"A path of {len(path)} characters: expected {expected}.")
        if not segments or segments[0] not in self._mounts:
            known = ", ".join(f"/{name}" for name in sorted(self._mounts))
            raise invalid(f"Path {path!r} is not served by the Files API. Paths begin with one of: {known}.")
        return self._mounts[segments[0]](principal, segments[1:], write)

    async def receive(self, body: AsyncIterator[bytes], target: Path, *, overwrite: bool = True) -> None:
        """Write a streamed body to ``target``: whole, or not at all."""
        part = await to_thread.run_sync(self._begin, target, overwrite)
        try:
            with part.open("wb", buffering=_WRITE_BYTES) as file:
                pending = bytearray()
                async for chunk in body:
                    pending += chunk
                    if len(pending) >= _WRITE_BYTES:
                        await to_thread.run_sync(file.write, bytes(pending))
                        pending.clear()
                file.write(pending)
            await to_thread.run_sync(os.replace, part, target)
        finally:
            part.unlink(missing_ok=True)

    def _begin(self, target: Path, overwrite: bool) -> Path:
        if target.is_dir():
            raise invalid(f"{target.name!r} is a directory.")
        if target.exists() and not overwrite:
            raise ApiError(409, "ALREADY_EXISTS", "The file already exists. Send overwrite=true to replace it.")
        make_folder(target.parent)
        make(self._staging)
        return self._staging / uuid.uuid4().hex

    def sign(self, principal: Principal, path: str, method: str, seconds: float = SIGNED_SECONDS) -> str:
        """A URL that lets its bearer ``method`` (GET or PUT) this one path, as ``principal``, for some minutes at most.

        Clients ask for hours, and use it at once.
        """
        self.locate(principal, path, write=method == "PUT")
        claim = {"p": principal.id, "path": path, "method": method, "until": time.time() + min(seconds, SIGNED_SECONDS)}
        return f"{self._workspace.host}{SIGNED}{self._workspace.vault.encrypt(json.dumps(claim))}"

    def open_signed(self, token: str, method: str) -> Path:
        """Where a signed URL's path lies; raises 403 when the URL is forged, expired or for another method."""
        try:
            claim = json.loads(self._workspace.vault.decrypt(token))
        except (InvalidToken, ValueError) as error:
            raise forbidden("The signature of the URL is not valid.") from error
        if claim["until"] < time.time() or claim["method"] != ("GET" if method == "HEAD" else method):
            raise forbidden("The signed URL has expired, or was signed for another method.")
        principal = self._workspace.principals.principal(claim["p"])
        return self.locate(principal, claim["path"], write=method == "PUT")


def make_folder(folder: Path) -> None:
    """The folder and those above it; raises 400 where one of them is a file."""
    try:
        make(folder)
    except (FileExistsError, NotADirectoryError) as error:
        raise invalid(f"{folder.name!r}, or a directory above it, is a file.") from error
