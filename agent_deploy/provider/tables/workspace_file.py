"""The resource WorkspaceFile: a text that a pipeline or a job runs, in a folder where only its owner writes.

The vendor's resource compares what it has sent and never what the file holds, so that what a stranger wrote there would
stay, and be run. This one looks at every preview and refresh.
"""

from __future__ import annotations

import posixpath
from functools import partial
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.provider.plugin.claims import Claims
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Change,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    Kind,
    Resource,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.provider.workspace.folder_writers import open_place
from agent_deploy.provider.workspace.look_ups import memory_of
from agent_deploy.provider.workspace.permission_facts import facts_of
from agent_deploy.provider.workspace.workspace_tree import (
    TREE,
    file_text,
    parent,
    remove_empty,
    remove_file,
    write_file,
)
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.workspace_files import check_folder, home_folder, normal_folder


class WorkspaceFile(Resource):
    """Id: the path. The folder is chosen once, by who deploys first, and kept from then on."""

    inputs: ClassVar[tuple[str, ...]] = ("folder", "name", "content")
    outputs: ClassVar[tuple[str, ...]] = ("path", "workspacePath", "objectId")
    replaces: ClassVar[frozenset[str]] = frozenset({"folder", "name"})

    def __init__(self) -> None:
        self._claims = Claims()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Settles the folder, and looks who else may write there: everybody is refused, others are told of."""
        given = inputs.get("folder")
        problems = [*_check_name(inputs.get("name"))]
        if given not in (None, UNKNOWN):
            problems += check_folder("folder", given)
        if problems:
            return inputs, [Failure("", str(problem)) for problem in problems]
        if given is None:
            given = old_inputs.get("folder") or home_folder(facts_of(context).principal(None).name)
        settled = {**inputs, "folder": given if given is UNKNOWN else normal_folder(given)}
        if given is UNKNOWN:
            return settled, []
        path = _path(settled)
        self._claims.claim(context, path)
        found = open_place(facts_of(context), settled["folder"] if path is UNKNOWN else path)
        for text, tell in ((found.warning, context.warn), (found.note, context.info)):
            if text:
                # Once for each object, whichever of the files in it is asked about first.
                memory_of(context).once(("told", text), partial(tell, text))
        return settled, [Failure("", found.error)] if found.error else []

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """What the file holds now counts, not what the state says; what the vendor's resource has besides does not."""
        before, after = ({name: given.get(name) for name in self.inputs} for given in (old_inputs, inputs))
        found = super().diff(context, id, before, old, after)
        if found.changes:
            return found
        try:
            held = file_text(workspace_of(context), id)
        except ApiError as error:
            if error.status != 403:
                raise
            context.info(f"Whether {id} still holds what this stack has written cannot be read ({error.message}).")
            return found
        if held != inputs["content"]:
            what = (
                "is gone" if held is None else "holds something else than this stack has written: somebody changed it"
            )
            context.warn(f"{id} {what}. `pulumi up` writes it anew.")
            found.changes["content",] = Change(Kind.UPDATE)
        return found

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """Where it lies follows from the inputs."""
        return {**super().preview(context, old, inputs), **_places(_path(inputs))}

    def create(self, context: Context, inputs: Values) -> Created:
        """Writes it, over what may lie there."""
        return Created(_path(inputs), self._written(context, inputs))

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """With what it holds now."""
        folder = old_inputs.get("folder") or parent(id)
        try:
            held = file_text(workspace_of(context), id)
            if held is None:
                return None
            status = workspace_of(context).get(f"{TREE}/get-status", {"path": id})
        except ApiError as error:
            if error.status != 403 or not old_inputs:
                raise
            context.warn(f"{id} cannot be read ({error.message}), and is taken for what this stack has written.")
            return Found(id, old, old_inputs)
        inputs = {"folder": folder, "name": id.removeprefix(folder).lstrip("/"), "content": held}
        return Found(id, {**inputs, **_places(id), "objectId": str(status["object_id"])}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Writes it anew."""
        return self._written(context, inputs)

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """The file, and its folders as far as they are empty then."""
        if self._claims.is_anothers(context, id):
            return
        workspace = workspace_of(context)
        remove_file(workspace, id)
        remove_empty(context, workspace, parent(id), str(old_inputs.get("folder") or parent(id)))

    def _written(self, context: Context, inputs: Values) -> Values:
        path = _path(inputs)
        object_id = write_file(workspace_of(context), path, inputs["content"])
        return {**inputs, **_places(path), "objectId": object_id}


def _check_name(name: Any) -> list[Problem]:
    parts = name.split("/") if isinstance(name, str) else []
    if name is UNKNOWN or (parts and not {"", ".", ".."}.intersection(parts)):
        return []
    return [Problem("name", name, "a path below the folder, such as logs/derivation.py")]


def _path(inputs: Values) -> Any:
    folder, name = inputs["folder"], inputs["name"]
    return UNKNOWN if UNKNOWN in (folder, name) else posixpath.join(folder, name)


def _places(path: Any) -> Values:
    return {"path": path, "workspacePath": path if path is UNKNOWN else f"/Workspace{path}"}
