"""A file in the workspace's tree, uploaded as a multipart form."""

from __future__ import annotations

import base64
import binascii
import hashlib
import posixpath
from pathlib import Path, PurePosixPath
from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, is_missing
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, Created, Failure, Found, UserError, Values
from agent_deploy.stand_in.refusals import conflicts, wrong
from agent_deploy.stand_in.vendor_resource import VendorResource, workspace_of

TREE = "/api/2.0/workspace"
SOURCES = ("contentBase64", "source")


class WorkspaceFile(VendorResource):
    """Id: the path. A changed local file shows as a changed ``md5``."""

    inputs = ("path", *SOURCES, "md5", "objectId", "providerConfig")
    outputs = ("objectId", "url", "workspacePath")
    required = frozenset({"path"})
    replaces = frozenset({"path", "providerConfig"})

    def check_inputs(self, context: Context, inputs: Values) -> list[Failure]:
        given = [name for name in SOURCES if name in inputs]
        failures = conflicts(context, given) + _check_path(context, inputs["path"])
        if failures or not given or inputs[given[0]] is UNKNOWN:
            return failures
        if "source" in inputs and not Path(inputs["source"]).expanduser().exists():
            return [wrong(context, "source", f"File {inputs['source']} does not exist")]
        try:
            content = _content(inputs)
        except (UserError, binascii.Error) as error:
            return [wrong(context, given[0], f"cannot be read ({error})")]
        if "source" in inputs:
            inputs["md5"] = _md5(content)
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
        return {**_properties(workspace, id, _status(workspace, id)), "md5": _md5(_content(inputs))}

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        workspace = workspace_of(context)
        status = _status(workspace, id)
        # What the file holds is not read again: its hash stays that of what was sent.
        sent = {name: old[name] for name in ("md5",) if name in old}
        return Found(id, {**sent, **_properties(workspace, id, status)}, {**old_inputs, "path": id})

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        _import(workspace_of(context), inputs)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).post(f"{TREE}/delete", {"path": id}, repeatable=True)


def _check_path(context: Context, path: Any) -> list[Failure]:
    if path is UNKNOWN:
        return []
    if not path:
        return [wrong(context, "path", "Path must not be empty")]
    if path != (clean := posixpath.normpath(path)):
        text = f"Clean path required. Replace value with {clean} to avoid resource replacement"
        return [wrong(context, "path", text)]
    return []


def _content(inputs: Values) -> bytes:
    """The bytes to send. With neither of the two, the vendor's plugin looks for a file without a name."""
    if inputs.get("contentBase64"):
        return base64.b64decode(inputs["contentBase64"], validate=True)
    if not (source := inputs.get("source")):
        raise UserError("open : no such file or directory")
    try:
        return Path(source).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"open {source}: {(error.strerror or str(error)).lower()}") from error


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


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
