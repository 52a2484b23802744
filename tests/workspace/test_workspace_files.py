"""Notebooks, files and directories, by the unmodified SDK and as the databricks provider sends them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import pytest
from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied
from databricks.sdk.service.workspace import ImportFormat, Language, ObjectType

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
