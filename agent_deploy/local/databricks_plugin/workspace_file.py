"""A file in the workspace's tree, uploaded as a multipart form."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, is_missing
from agent_deploy.local.databricks_plugin.vendor_resource import VendorResource, workspace_of
from agent_deploy.provider.resource import UNKNOWN, Context, Created, Failure, Found, Values

TREE = "/api/2.0/workspace"
SOURCES = ("contentBase64", "source")


class WorkspaceFile(VendorResource):
    """Id: the path. A changed local file shows as a changed ``md5``."""

    inputs = ("path", *SOURCES, "md5", "objectId", "providerConfig")
    outputs = ("objectId", "url", "workspacePath")
    required = frozenset({"path"})
    replaces = frozenset({"path", "providerConfig"})

    def check_inputs(self, inputs: Values) -> list[Failure]:
        if len([name for name in SOURCES if name in inputs]) != 1:
            return [Failure("content", f"expected exactly one of {', '.join(SOURCES)}")]
        path = inputs["path"]
        if path is not UNKNOWN and not path.startswith("/"):
            return [Failure(("path",), "expected an absolute path, such as /Shared/agents/file.py")]
        if any(inputs.get(name) is UNKNOWN for name in SOURCES):
            return []
        try:
            content = _content(inputs)
        except (OSError, binascii.Error) as error:
            name = next(name for name in SOURCES if name in inputs)
            return [Failure((name,), f"cannot be read ({error})")]
        if "source" in inputs:
            inputs["md5"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return []

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        try:
            _import(workspace, inputs)
        except ApiError:
            if _parent_exists(workspace, inputs["path"]):
                raise
            workspace.post(f"{TREE}/mkdirs", {"path": _parent(inputs["path"])}, repeatable=True)
            _import(workspace, inputs)
        return Created(inputs["path"], {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        workspace = workspace_of(context)
        return _properties(workspace, id, _status(workspace, id))

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        workspace = workspace_of(context)
        status = _status(workspace, id)
        return Found(id, _properties(workspace, id, status), {**old_inputs, "path": id})

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        _import(workspace_of(context), inputs)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).post(f"{TREE}/delete", {"path": id}, repeatable=True)


def _content(inputs: Values) -> bytes:
    if "contentBase64" in inputs:
        return base64.b64decode(inputs["contentBase64"], validate=True)
    return Path(inputs["source"]).expanduser().read_bytes()


def _import(workspace: Workspace, inputs: Values) -> None:
    form = {
        "path": (None, inputs["path"]),
        "content": (PurePosixPath(inputs["path"]).name, _content(inputs)),
        "format": (None, "RAW"),
        "overwrite": (None, "true"),
    }
    workspace.request("POST", f"{TREE}/import", form=form, repeatable=True)


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _parent_exists(workspace: Workspace, path: str) -> bool:
    try:
        _status(workspace, _parent(path))
    except ApiError as error:
        if is_missing(error):
            return False
        raise
    return True


def _status(workspace: Workspace, path: str) -> dict[str, Any]:
    return workspace.get(f"{TREE}/get-status", {"path": path})


def _properties(workspace: Workspace, path: str, status: dict[str, Any]) -> Values:
    return {
        "objectId": status["object_id"],
        "url": f"{workspace.host}/#workspace{path}",
        "workspacePath": f"/Workspace{path}",
    }
