"""Routes of the Files API: /api/2.0/fs/files, /api/2.0/fs/directories, signed URLs."""

from __future__ import annotations

import shutil
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import FileResponse, Response

from agent_deploy.local.core.body import json_body, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.core.shapes import TEXT, check
from agent_deploy.local.files.storage import SIGNED, SIGNED_SECONDS, Files, make_folder

Caller = Annotated[Principal, Depends(caller)]
_PAGE = 1000  # entries of a directory in one answer


def install(app: FastAPI, files: Files) -> None:
    """Add the routes."""
    app.include_router(_file_routes(files))
    app.include_router(_directory_routes(files))
    app.include_router(_signed_routes(files))


def _file_routes(files: Files) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/fs/files")

    @router.put("/{path:path}")
    async def upload(request: Request, path: str, principal: Caller, overwrite: bool = True) -> Response:
        target = await to_thread.run_sync(lambda: files.locate(principal, path, write=True))
        await files.receive(request.stream(), target, overwrite=overwrite)
        return Response(status_code=204)

    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    def download(path: str, principal: Caller) -> Response:
        return _content(files.locate(principal, path, write=False))

    @router.delete("/{path:path}")
    def delete(path: str, principal: Caller) -> Response:
        _file(files.locate(principal, path, write=True)).unlink()
        return Response(status_code=204)

    @router.post("/{path:path}")
    def initiate(path: str, principal: Caller, action: str = "") -> dict[str, object]:
        # The SDK starts large uploads in parts, is then refused the parts' URLs (501) and sends the file in one PUT.
        if action != "initiate-upload":
            raise ApiError(
                501, "ENDPOINT_NOT_FOUND", f"The local workspace takes files in one PUT; no action {action!r}."
            )
        files.locate(principal, path, write=True)
        return {"multipart_upload": {"session_token": uuid.uuid4().hex}}

    return router


def _directory_routes(files: Files) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/fs/directories")

    @router.put("/{path:path}")
    def create(path: str, principal: Caller) -> Response:
        target = files.locate(principal, path, write=True)
        if target.is_file():
            raise ApiError(409, "ALREADY_EXISTS", f"/{path.strip('/')} is a file.")
        make_folder(target)
        return Response(status_code=204)

    @router.head("/{path:path}")
    def exists(path: str, principal: Caller) -> Response:
        _directory(files.locate(principal, path, write=False))
        return Response(status_code=200)

    @router.get("/{path:path}")
    def contents(path: str, principal: Caller, page_size: int = _PAGE, page_token: str = "") -> dict[str, object]:
        folder = _directory(files.locate(principal, path, write=False))
        if page_token and not is_whole(page_token):
            raise invalid(f"page_token {page_token!r} is not one that this directory gave.")
        entries, first = sorted(folder.iterdir()), int(page_token or 0)
        last = first + max(1, min(page_size or _PAGE, _PAGE))
        page: dict[str, object] = {"contents": [_entry(f"/{path.strip('/')}", entry) for entry in entries[first:last]]}
        if last < len(entries):
            page["next_page_token"] = str(last)
        return page

    @router.delete("/{path:path}")
    def delete(path: str, principal: Caller) -> Response:
        folder = _directory(files.locate(principal, path, write=True))
        if any(folder.iterdir()):
            raise ApiError(400, "DIRECTORY_NOT_EMPTY", "The directory is not empty: delete its contents first.")
        shutil.rmtree(folder)
        return Response(status_code=204)

    return router


def _signed_routes(files: Files) -> APIRouter:
    router = APIRouter()

    @router.post("/api/2.0/fs/create-download-url")
    async def create_download_url(request: Request, principal: Caller) -> dict[str, object]:
        return await _sign(files, request, principal, "GET")

    @router.post("/api/2.0/fs/create-upload-url")
    async def create_upload_url(request: Request, principal: Caller) -> dict[str, object]:
        return await _sign(files, request, principal, "PUT")

    @router.api_route(SIGNED + "{token}", methods=["GET", "HEAD"])
    def signed_download(request: Request, token: str) -> Response:
        return _content(files.open_signed(token, request.method))

    @router.put(SIGNED + "{token}")
    async def signed_upload(request: Request, token: str) -> Response:
        target = await to_thread.run_sync(files.open_signed, token, "PUT")
        await files.receive(request.stream(), target)
        return Response(status_code=200)

    return router


async def _sign(files: Files, request: Request, principal: Principal, method: str) -> dict[str, object]:
    # The SDK sends path and expire_time in the query, MLflow the path in the body.
    sent = dict(request.query_params) or await json_body(request)
    check(sent, {"path": TEXT, "expire_time": TEXT})
    path = required(sent, "path")
    seconds = _seconds_until(sent["expire_time"]) if sent.get("expire_time") else SIGNED_SECONDS
    url = await to_thread.run_sync(lambda: files.sign(principal, path, method, seconds))
    return {"url": url, "headers": []}


def _seconds_until(expire_time: str) -> float:
    try:
        moment = datetime.fromisoformat(expire_time.replace("Z", "+00:00"))
    except ValueError as error:
        raise invalid(f"expire_time {expire_time!r} is not an RFC 3339 timestamp.") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - datetime.now(timezone.utc)).total_seconds()


def _content(path: Path) -> Response:
    return FileResponse(_file(path), media_type="application/octet-stream")


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ApiError(404, "NOT_FOUND", "The file being accessed is not found.")
    return path


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise ApiError(404, "NOT_FOUND", "The directory being accessed is not found.")
    return path


def _entry(parent: str, path: Path) -> dict[str, object]:
    status = path.stat()
    entry = {"path": f"{parent}/{path.name}", "name": path.name, "is_directory": path.is_dir()}
    if path.is_file():
        entry |= {"file_size": status.st_size, "last_modified": int(status.st_mtime * 1000)}
    return entry
