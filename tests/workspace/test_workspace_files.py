"""Notebooks, files and directories, by the unmodified SDK and as the databricks provider sends them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import pytest
from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied
from databricks.sdk.service.workspace import ImportFormat, Language, ObjectType

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.workspace_files.tree import normal
from tests.workspace.conftest import Caller


@pytest.fixture
def folder(admin: Caller, name: str) -> str:
    admin.sdk.workspace.mkdirs(f"/Users/admin@local/{name}/inner")
    return f"/Users/admin@local/{name}"


def test_a_file_goes_up_and_comes_down(admin: Caller, folder: str) -> None:
    admin.sdk.workspace.upload(f"{folder}/a.bin", io.BytesIO(b"\x00bytes"), format=ImportFormat.RAW)
    status = admin.sdk.workspace.get_status(f"{folder}/a.bin")
    assert (status.object_type, status.size) == (ObjectType.FILE, 6)
    assert admin.sdk.workspace.download(f"{folder}/a.bin").read() == b"\x00bytes"


def test_a_file_is_imported_as_the_databricks_provider_does_it(admin: Caller, folder: str) -> None:
    form = {"path": f"{folder}/x.txt", "format": "RAW", "overwrite": "true"}
    for content in (b"one", b"two"):
        answer = admin.http.post("/api/2.0/workspace/import", data=form, files={"content": content})
        assert answer.status_code == 200
    assert admin.sdk.workspace.download(f"{folder}/x.txt").read() == b"two"


def test_a_file_is_imported_as_databricks_cli_does_it_for_a_bundle(admin: Caller, folder: str) -> None:
    route = f"/api/2.0/workspace-files/import-file{folder}"
    assert admin.http.post(f"{route}/a%20b.json", content=b"{}").status_code == 200
    again = admin.http.post(f"{route}/a%20b.json", content=b"[]")
    assert (again.status_code, again.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")
    assert admin.http.post(f"{route}/a%20b.json?overwrite=true", content=b"[]").status_code == 200
    assert admin.sdk.workspace.download(f"{folder}/a b.json").read() == b"[]"
    assert admin.http.post(f"{route}/none/x.json", content=b"").status_code == 404
    answer = admin.http.post(f"{route}/nb.py", content=b"# Databricks notebook source\nprint(1)")
    assert answer.status_code == 200, answer.text
    status = admin.sdk.workspace.get_status(f"{folder}/nb")
    assert (status.object_type, status.language) == (ObjectType.NOTEBOOK, Language.PYTHON)


def test_a_notebook_keeps_its_language(admin: Caller, folder: str) -> None:
    source = base64.b64encode(b"print(1)").decode()
    admin.sdk.workspace.import_(f"{folder}/nb", content=source, format=ImportFormat.SOURCE, language=Language.PYTHON)
    status = admin.sdk.workspace.get_status(f"/Workspace{folder}/nb")
    assert (status.object_type, status.language) == (ObjectType.NOTEBOOK, Language.PYTHON)
    exported = admin.sdk.workspace.export(f"{folder}/nb")
    assert base64.b64decode(str(exported.content)) == b"print(1)"
    with pytest.raises(DatabricksError, match="language"):
        admin.sdk.workspace.import_(f"{folder}/nb2", content=source, format=ImportFormat.SOURCE)


def test_directories_are_listed_and_deleted(admin: Caller, folder: str) -> None:
    assert [found.path for found in admin.sdk.workspace.list(folder)] == [f"{folder}/inner"]
    with pytest.raises(DatabricksError, match="not empty"):
        admin.sdk.workspace.delete(folder)
    admin.sdk.workspace.delete(folder, recursive=True)
    with pytest.raises(NotFound):
        admin.sdk.workspace.get_status(f"{folder}/inner")


def test_mistakes_are_told(admin: Caller, folder: str) -> None:
    upload = admin.sdk.workspace.upload
    with pytest.raises(NotFound, match="parent folder"):
        upload(f"{folder}/none/a", io.BytesIO(b""), format=ImportFormat.RAW)
    upload(f"{folder}/a", io.BytesIO(b""), format=ImportFormat.RAW)
    with pytest.raises(DatabricksError, match="already exists"):
        upload(f"{folder}/a", io.BytesIO(b""), format=ImportFormat.RAW)
    with pytest.raises(DatabricksError, match="absolute path"):
        admin.sdk.workspace.mkdirs("relative")


def test_home_is_ones_own_and_shared_is_everybodys(
    admin: Caller, stranger: Caller, newcomer: Callable[[], Caller], name: str
) -> None:
    stranger.sdk.workspace.upload(f"/Users/{stranger.name}/a", io.BytesIO(b"a"), format=ImportFormat.RAW)
    with pytest.raises(PermissionDenied):
        newcomer().sdk.workspace.get_status(f"/Users/{stranger.name}/a")
    status = stranger.sdk.workspace.get_status(f"/Users/{stranger.name}/a")
    grant = {"service_principal_name": newcomer().name, "permission_level": "CAN_READ"}
    path = f"/api/2.0/permissions/files/{status.object_id}"
    assert stranger.http.patch(path, json={"access_control_list": [grant]}).status_code == 200
    stranger.sdk.workspace.mkdirs(f"/Shared/{name}")
    newcomer().sdk.workspace.upload(f"/Shared/{name}/b", io.BytesIO(b"b"), format=ImportFormat.RAW)
    admin.sdk.workspace.delete(f"/Shared/{name}", recursive=True)


def test_what_a_pipeline_runs_is_its_owners_alone(admin: Caller, stranger: Caller, name: str) -> None:
    """The attack: code that runs as the deployer is overwritten by who may do nothing there."""
    folder = f"/Users/admin@local/agent-deploy/{name}"
    path = f"{folder}/derivation.py"
    admin.sdk.workspace.mkdirs(folder)
    admin.sdk.workspace.upload(path, io.BytesIO(b"print(1)"), format=ImportFormat.RAW)
    ids = {
        kind: admin.sdk.workspace.get_status(at).object_id for kind, at in (("files", path), ("directories", folder))
    }
    content = base64.b64encode(b"import os").decode()
    entry = {"service_principal_name": stranger.name, "permission_level": "CAN_MANAGE"}
    written = {"format": "AUTO", "overwrite": True, "content": content}
    attacks = [
        ("POST", "/api/2.0/workspace/import", {"path": path, **written}),
        ("POST", "/api/2.0/workspace/import", {"path": f"/Workspace{path}", **written}),
        ("POST", "/api/2.0/workspace/import", {"path": f"{folder}/other.py", **written}),
        ("POST", "/api/2.0/workspace/mkdirs", {"path": f"{folder}/inner"}),
        ("POST", "/api/2.0/workspace/mkdirs", {"path": "/Users/nobody@local"}),
        ("POST", "/api/2.0/workspace/delete", {"path": path}),
        ("POST", "/api/2.0/workspace/delete", {"path": "/Users/admin@local", "recursive": True}),
        *(
            (method, f"/api/2.0/permissions/{kind}/{id}", {"access_control_list": [entry]})
            for kind, id in ids.items()
            for method in ("PUT", "PATCH")
        ),
    ]
    for method, url, body in attacks:
        answer = stranger.http.request(method, url, json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED"), (url, body)
    for url in (f"/api/2.0/workspace/export?path={path}", f"/api/2.0/permissions/files/{ids['files']}"):
        assert stranger.http.get(url).status_code == 403
    assert admin.sdk.workspace.download(path).read() == b"print(1)"


def test_what_folders_give_is_shown_as_theirs(admin: Caller, stranger: Caller, folder: str) -> None:
    admin.sdk.workspace.upload(f"{folder}/inner/a", io.BytesIO(b"a"), format=ImportFormat.RAW)
    above, file = (admin.sdk.workspace.get_status(path).object_id for path in (folder, f"{folder}/inner/a"))
    entry = {"service_principal_name": stranger.name, "permission_level": "CAN_EDIT"}
    admin.http.patch(f"/api/2.0/permissions/directories/{above}", json={"access_control_list": [entry]})
    shown = stranger.http.get(f"/api/2.0/permissions/files/{file}").json()["access_control_list"]
    permissions = next(e["all_permissions"] for e in shown if e.get("service_principal_name") == stranger.name)
    given = {"permission_level": "CAN_EDIT", "inherited": True, "inherited_from_object": [f"/directories/{above}"]}
    assert permissions == [given]
    administrator = next(e["all_permissions"] for e in shown if e.get("user_name") == admin.name)
    assert [each["inherited"] for each in administrator] == [False, *[True] * (len(administrator) - 1)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/Workspace/Users/x/", "/Users/x"),
        ("/Workspace", "/"),
        ("/WorkspaceUsers/x", "/WorkspaceUsers/x"),
        ("/Workspaces", "/Workspaces"),
    ],
)
def test_only_a_whole_first_level_is_the_workspaces_prefix(given: str, expected: str) -> None:
    assert normal(given) == expected


@pytest.mark.parametrize("given", ["/Users/me/.", "/./Users", "/Users/../Shared", "/..", "Users/me", ""])
def test_a_path_has_one_form(given: str) -> None:
    with pytest.raises(ApiError, match="expected an absolute path"):
        normal(given)
