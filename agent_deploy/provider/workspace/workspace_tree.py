"""Files and folders of the workspace's tree, as our resources write, read and remove them."""

from __future__ import annotations

from pathlib import PurePosixPath

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, UserError
from agent_deploy.rules.workspace_files import OWN_FOLDER

TREE = "/api/2.0/workspace"
_NOT_EMPTY = "DIRECTORY_NOT_EMPTY"


def write_file(workspace: Workspace, path: str, text: str) -> str:
    """Puts the text there, folders included, over whatever the file held; returns its object id."""
    try:
        # Folders that exist are no error; two files of one new folder may be written at once.
        workspace.post(f"{TREE}/mkdirs", {"path": parent(path)}, repeatable=True)
        form = {
            "path": (None, path),
            "content": (PurePosixPath(path).name, text.encode()),
            "format": (None, "RAW"),
            "overwrite": (None, "true"),
        }
        workspace.request("POST", f"{TREE}/import", form=form, repeatable=True)
        return str(workspace.get(f"{TREE}/get-status", {"path": path})["object_id"])
    except ApiError as error:
        raise _refusal(error, path, "written") from None


def file_text(workspace: Workspace, path: str) -> str | None:
    """What the file holds; None when it is not there. Raises ApiError."""
    params = {"path": path, "direct_download": "true"}
    try:
        return str(workspace.request("GET", f"{TREE}/export", params=params, as_text=True)["text"])
    except ApiError as error:
        if error.is_missing:
            return None
        raise


def remove_file(workspace: Workspace, path: str) -> None:
    """One that is gone already is no error."""
    try:
        workspace.post(f"{TREE}/delete", {"path": path}, repeatable=True)
    except ApiError as error:
        if not error.is_missing:
            raise _refusal(error, path, "removed") from None


def remove_empty(context: Context, workspace: Workspace, folder: str, top: str) -> None:
    """Removes the folder and those above it up to ``top``, as far as they are empty; ``top`` itself if it is ours."""
    while folder.startswith(f"{top}/") or (folder == top and PurePosixPath(top).name == OWN_FOLDER):
        try:
            # Refused by the workspace itself when something is in it.
            workspace.post(f"{TREE}/delete", {"path": folder}, repeatable=True)
        except ApiError as error:
            if error.error_code == _NOT_EMPTY:
                return
            if not error.is_missing:
                context.info(f"The folder {folder} stays: {error.message}")
                return
        folder = parent(folder)


def parent(path: str) -> str:
    """The folder that it lies in."""
    return str(PurePosixPath(path).parent)


def _refusal(error: ApiError, path: str, what: str) -> Exception:
    if error.status != 403:
        return error
    return UserError(
        f"{path} cannot be {what}: {error.message} Such files lie in the home of who deployed them first. Deploy "
        "as that one or as an administrator, or say source_folder: a folder that only those who deploy may write."
    )
