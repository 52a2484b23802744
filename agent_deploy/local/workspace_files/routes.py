"""Routes of /api/2.0/workspace, and of /api/2.0/workspace-files."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from agent_deploy.local.core.body import body_of, json_body, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT
from agent_deploy.local.core.store import Document
from agent_deploy.local.workspace_files.tree import Tree, suffix

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]


def install(app: FastAPI, tree: Tree) -> None:
    """Add the routes."""
    router = APIRouter(prefix="/api/2.0/workspace")

    @router.post("/import")
    def import_object(principal: Caller, sent: Annotated[tuple[Document, bytes], Depends(_sent)]) -> Document:
        fields, content = sent
        path, file_format = str(required(fields, "path")), str(fields.get("format") or "SOURCE")
        overwrite = str(fields.get("overwrite") or "false").lower() == "true"
        document = tree.write(path, content, principal, file_format, fields.get("language"), overwrite)
        return {"object_id": document["object_id"]}

    @router.get("/get-status")
    def get_status(path: str, principal: Caller) -> Document:
        return tree.get(path, principal)

    @router.get("/list")
    def listing(path: str, principal: Caller) -> Document:
        return {"objects": tree.children(path, principal)}

    @router.post("/mkdirs")
    def mkdirs(body: Body, principal: Caller) -> Document:
        tree.make_directories(str(required(body, "path")), principal)
        return {}

    @router.post("/delete")
    def delete(body: Body, principal: Caller) -> Document:
        tree.delete(str(required(body, "path")), principal, bool(body.get("recursive")))
        return {}

    @router.get("/export", response_model=None)
    def export(path: str, request: Request, principal: Caller) -> Document | Response:
        content, document = tree.read(path, principal), tree.get(path, principal)
        if request.query_params.get("direct_download") == "true":
            return Response(content, media_type="application/octet-stream")
        return {"content": base64.b64encode(content).decode(), "file_type": suffix(document)}

    app.include_router(router)

    # What Databricks' CLI deploys bundles with: the content as it is, the path in the address.
    @app.post("/api/2.0/workspace-files/import-file/{path:path}")
    async def import_file(path: str, request: Request, principal: Caller, overwrite: bool = False) -> Document:
        content, path = await request.body(), f"/{path.lstrip('/')}"
        try:
            document = await to_thread.run_sync(tree.import_file, path, content, principal, overwrite)
        except ApiError as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # 400 elsewhere; by 409 the CLI knows that somebody else holds a deployment's lock.
            raise ApiError(409, error.error_code, error.message) from error
        return {"object_id": document["object_id"]}


async def _sent(request: Request) -> tuple[Document, bytes]:
    """Fields and content, of JSON with base64 (notebooks) or of a multipart form (files)."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        body = await body_of({"content": TEXT, "language": TEXT})(request)
        try:
            return body, base64.b64decode(body.get("content") or "", validate=True)
        except ValueError as error:
            raise invalid("content: expected base64.") from error
    async with request.form(max_part_size=500 * 1024 * 1024) as form:
        content = form.get("content")
        data = await content.read() if isinstance(content, UploadFile) else str(content or "").encode()
        return {name: value for name, value in form.items() if isinstance(value, str)}, data
