"""WorkspaceFile against a workspace of dictionaries: where it lies, what of it is compared, who else may write it."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from agent_deploy.provider.plugin.resource import UNKNOWN, Context, Kind, UserError, Values
from agent_deploy.provider.tables.workspace_file import WorkspaceFile
from tests.provider.permission_double import ANN, Double

TREE = "/api/2.0/workspace"
HOME = f"/Users/{ANN}"
PATH = f"{HOME}/agent-deploy/logs/derivation.py"
WANTED = {"folder": f"{HOME}/agent-deploy", "name": "logs/derivation.py", "content": "print(1)\n"}


class Files(Double):
    """With a tree of files: path → what it holds; None for a folder. ``refused`` is what nobody may write."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, str | None] = {"/": None, "/Users": None, "/Shared": None, HOME: None}
        self.refused: set[str] = set()
        self.told: list[tuple[str, str]] = []
        self.answers |= {
            f"{TREE}/get-status": self._status,
            f"{TREE}/export": self._export,
            f"{TREE}/mkdirs": self._mkdirs,
            f"{TREE}/import": self._import,
            f"{TREE}/delete": self._delete,
        }
        for path in ("/", "/Users", HOME):
            self.let_write(path, ("user", ANN, "CAN_MANAGE"))

    @property
    def context(self) -> Context:
        found = super().context
        found.log = lambda severity, text, _: self.told.append((severity, text))
        return found

    def let_write(self, path: str, *entries: Any) -> None:
        """The access list of what lies at the path, as folders above it give it, too."""
        kind = "files" if self.files.get(path) is not None else "directories"
        self.acl(f"{kind}/{path}", ("group", "admins", "CAN_MANAGE", True), *entries)

    def _status(self, request: httpx.Request) -> Any:
        path = request.url.params["path"]
        kind = "DIRECTORY" if self.files.get(path) is None else "FILE"
        return {"object_id": path, "object_type": kind, "path": path} if path in self.files else 404

    def _export(self, request: httpx.Request) -> Any:
        path = request.url.params["path"]
        if path in self.refused:
            return 403
        return httpx.Response(200, text=str(self.files[path])) if path in self.files else 404

    def _mkdirs(self, request: httpx.Request) -> Any:
        parts = json.loads(request.content)["path"].split("/")
        self.files |= {"/".join(parts[:end]): None for end in range(2, len(parts) + 1)}
        return {}

    def _import(self, request: httpx.Request) -> Any:
        sent = [
            part.partition(b"\r\n\r\n")[2].split(b"\r\n--")[0].decode() for part in request.content.split(b" name=")
        ]
        path, content = sent[1], sent[2]
        if path in self.refused:
            return 403
        self.files[path] = content
        return {}

    def _delete(self, request: httpx.Request) -> Any:
        path = json.loads(request.content)["path"]
        if path not in self.files:
            return 404
        if any(other.startswith(f"{path}/") for other in self.files):
            return httpx.Response(400, json={"error_code": "DIRECTORY_NOT_EMPTY", "message": f"{path} is not empty"})
        del self.files[path]
        return {}


@pytest.fixture
def files() -> Files:
    return Files()


def made(files: Files, inputs: Values | None = None) -> Values:
    """The properties of a file that was written."""
    return WorkspaceFile().create(files.context, inputs or WANTED).properties


def test_the_folder_is_in_the_home_of_who_deploys_first_and_stays_there(files: Files) -> None:
    wanted = {"name": "logs/derivation.py", "content": "x"}
    first, failures = WorkspaceFile().check(files.context, {}, wanted)
    assert (first["folder"], failures) == (f"{HOME}/agent-deploy", [])
    of_bob = {**first, "folder": "/Users/bob@example.com/agent-deploy"}
    later, _ = WorkspaceFile().check(files.context, of_bob, wanted)
    assert later["folder"] == "/Users/bob@example.com/agent-deploy"
    moved, _ = WorkspaceFile().check(files.context, of_bob, {**wanted, "folder": f"/Workspace{HOME}/logs/"})
    assert moved["folder"] == f"{HOME}/logs"
    [changed] = WorkspaceFile().diff(files.context, "id", of_bob, {}, moved).changes.items()
    assert (changed[0], changed[1].replaces) == (("folder",), True)


def test_what_the_file_holds_is_compared_in_every_preview(files: Files) -> None:
    state = made(files)
    assert (state["path"], state["workspacePath"]) == (PATH, f"/Workspace{PATH}")
    assert files.files[PATH] == WANTED["content"]
    assert WorkspaceFile().diff(files.context, PATH, WANTED, state, dict(WANTED)).changes == {}
    files.files[PATH] = "import os\n"
    changes = WorkspaceFile().diff(files.context, PATH, WANTED, state, dict(WANTED)).changes
    assert [(path, change.kind) for path, change in changes.items()] == [(("content",), Kind.UPDATE)]
    [(severity, text)] = files.told
    assert (severity, "holds something else than this stack has written" in text) == ("warning", True)
    found = WorkspaceFile().read(files.context, PATH, WANTED, state)
    assert found is not None
    assert found.inputs == {**WANTED, "content": "import os\n"}
    WorkspaceFile().update(files.context, PATH, WANTED, state, WANTED)
    assert files.files[PATH] == WANTED["content"]
    del files.files[PATH]
    assert ("content",) in WorkspaceFile().diff(files.context, PATH, WANTED, state, dict(WANTED)).changes
    assert WorkspaceFile().read(files.context, PATH, WANTED, state) is None


def test_what_may_not_be_read_is_said_and_changes_nothing(files: Files) -> None:
    state = made(files)
    files.refused.add(PATH)
    assert WorkspaceFile().diff(files.context, PATH, WANTED, state, dict(WANTED)).changes == {}
    found = WorkspaceFile().read(files.context, PATH, WANTED, state)
    assert found is not None
    assert found.inputs == WANTED
    assert [severity for severity, _ in files.told] == ["info", "warning"]
    with pytest.raises(UserError, match=r"cannot be written.*say source_folder"):
        WorkspaceFile().update(files.context, PATH, WANTED, state, WANTED)


def test_only_folders_of_our_own_go_and_only_when_they_are_empty(files: Files) -> None:
    resource, other = WorkspaceFile(), {**WANTED, "name": "logs/retention.sql"}
    first, second = (resource.create(files.context, inputs) for inputs in (WANTED, other))
    resource.delete(files.context, first.id, WANTED, first.properties)
    assert f"{HOME}/agent-deploy/logs" in files.files
    resource.delete(files.context, second.id, other, second.properties)
    assert set(files.files) == {"/", "/Users", "/Shared", HOME}
    theirs = {**WANTED, "folder": f"{HOME}/theirs"}
    kept = resource.create(files.context, theirs)
    resource.delete(files.context, kept.id, theirs, kept.properties)
    assert f"{HOME}/theirs" in files.files
    resource.delete(files.context, kept.id, theirs, kept.properties)  # gone already


def test_a_file_that_another_resource_of_the_program_wants_stays(files: Files) -> None:
    resource, renamed = WorkspaceFile(), files.context
    made = resource.create(files.context, WANTED)
    renamed.urn = "urn:new"
    resource.check(renamed, {}, WANTED)
    resource.delete(files.context, made.id, WANTED, made.properties)
    assert made.id in files.files


# Who may write the folder besides, by which entry; and how that is told.
OTHERS: list[tuple[tuple[str, str, str], str, str]] = [
    (("group", "users", "CAN_MANAGE"), "error", "group users (CAN_MANAGE)"),
    (("group", "account users", "CAN_EDIT"), "error", "group account users (CAN_EDIT)"),
    (("group", "users", "CAN_READ"), "", ""),
    (("user", ANN, "CAN_MANAGE"), "", ""),
    (("group", "team", "CAN_EDIT"), "warning", "group team (CAN_EDIT)"),
    (("user", "bob@example.com", "CAN_MANAGE"), "warning", "user bob@example.com (CAN_MANAGE)"),
    (("service_principal", "app-1", "CAN_EDIT"), "warning", "service principal app-1 (CAN_EDIT)"),
    (("user", "bob@example.com", "CAN_RUN"), "", ""),
]


@pytest.mark.parametrize(("entry", "how", "named"), OTHERS)
@pytest.mark.parametrize("place", [HOME, f"{HOME}/agent-deploy/logs", PATH])
def test_who_else_may_write_is_told_with_what_to_do(
    files: Files, place: str, entry: tuple[str, str, str], how: str, named: str
) -> None:
    if place == PATH:
        made(files)
    files.files.setdefault(place, None)
    files.let_write(place, entry)
    _, failures = WorkspaceFile().check(files.context, {}, WANTED)
    told = [("error", failure.reason) for failure in failures] + files.told
    assert [severity for severity, _ in told] == [how] * bool(how)
    for _, text in told:
        assert text.startswith(f"{place} holds what a pipeline or a job runs, and may be written by {named}:")
        assert "Take the permission away" in text


def test_shared_is_refused_and_what_cannot_be_read_is_noted_once(files: Files) -> None:
    files.let_write("/Shared", ("group", "users", "CAN_MANAGE"))
    _, failures = WorkspaceFile().check(files.context, {}, {**WANTED, "folder": "/Shared/logs"})
    assert ["/Shared holds what" in failure.reason for failure in failures] == [True]
    files.answers[f"/api/2.0/permissions/directories/{HOME}"] = 403
    resource, context = WorkspaceFile(), files.context
    for name in ("a.py", "b.sql"):
        assert resource.check(context, {}, {**WANTED, "name": name})[1] == []
    assert [(severity, text[:30]) for severity, text in files.told] == [("info", f"Who may write {HOME}"[:30])]


@pytest.mark.parametrize("inputs", [{"folder": UNKNOWN}, {"name": UNKNOWN}, {"content": UNKNOWN}])
def test_what_is_not_known_yet_is_no_mistake(files: Files, inputs: Values) -> None:
    given = {**WANTED, **inputs}
    settled, failures = WorkspaceFile().check(files.context, {}, given)
    assert (settled, failures) == (given, [])
    previewed = WorkspaceFile().preview(files.context, None, settled)
    assert (previewed["path"] is UNKNOWN) == ("content" not in inputs)
    assert previewed["objectId"] is UNKNOWN


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"folder": "logs"}, "folder 'logs': expected an absolute path"),
        ({"folder": "/"}, "folder '/': expected an absolute path"),
        ({"folder": "/Users/../Shared"}, "expected an absolute path"),
        ({"name": "../x.py"}, "name '../x.py': expected a path below the folder"),
        ({"name": ""}, "expected a path below the folder"),
    ],
)
def test_a_mistake_is_told(files: Files, inputs: Values, told: str) -> None:
    _, failures = WorkspaceFile().check(files.context, {}, {**WANTED, **inputs})
    assert [told in failure.reason for failure in failures] == [True]


def test_a_state_of_the_vendors_resource_is_moved(files: Files) -> None:
    """By a replacement: the old file goes when nothing runs it any more."""
    path = "/Shared/agent-deploy/logs/derivation.py"
    old = {"path": path, "contentBase64": base64.b64encode(b"print(1)\n").decode()}
    settled, _ = WorkspaceFile().check(files.context, old, {"name": "logs/derivation.py", "content": "print(1)\n"})
    assert settled["folder"] == f"{HOME}/agent-deploy"
    assert WorkspaceFile().diff(files.context, path, old, {**old, "md5": "x"}, settled).replaces
