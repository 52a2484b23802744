"""The registry and the Files API on the wire: shapes, privileges, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from tests.workspace.conftest import Caller

UC = "/api/2.0/mlflow/unity-catalog"
FILES, DIRECTORIES = "/api/2.0/fs/files", "/api/2.0/fs/directories"


@pytest.fixture
def model(admin: Caller, schema: str) -> Iterator[str]:
    """A model with version 1, pending."""
    name = f"{schema}.agent"
    assert admin.http.post(f"{UC}/registered-models/create", json={"name": name}).status_code == 200
    body = {"name": name, "source": "models:/m-1", "tags": [{"key": "a", "value": "b"}]}
    assert admin.http.post(f"{UC}/model-versions/create", json=body).status_code == 200
    yield name
    admin.http.request("DELETE", f"{UC}/registered-models/delete", json={"name": name})


def at(model: str, file: str = "", version: str = "1") -> str:
    return f"/Models/{model.replace('.', '/')}/{version}{f'/{file}' if file else ''}"


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error_code"]


def delete(caller: Caller, path: str, **body: Any) -> httpx.Response:
    return caller.http.request("DELETE", path, json=body)


def test_a_version_is_pending_until_it_is_finalized(admin: Caller, model: str) -> None:
    get = f"{UC}/model-versions/get?name={model}&version=1"
    assert admin.http.get(get).json()["model_version"]["status"] == "PENDING_REGISTRATION"
    finalize = {"name": model, "version": "1"}
    assert code(admin.http.post(f"{UC}/model-versions/finalize", json=finalize)) == (400, "INVALID_STATE")
    admin.http.put(FILES + at(model, "MLmodel"), content=b"flavors: {}")
    answer = admin.http.post(f"{UC}/model-versions/finalize", json=finalize).json()["model_version"]
    assert answer["status"] == "READY"


def test_the_shape_of_a_version(admin: Caller, model: str) -> None:
    admin.http.post(f"{UC}/registered-models/alias", json={"name": model, "alias": "c", "version": "1"})
    version = admin.http.get(f"{UC}/model-versions/get", params={"name": model, "version": "1"}).json()["model_version"]
    assert version["version"] == "1"
    assert version["aliases"] == [{"alias": "c", "version": "1"}]
    assert version["tags"] == [{"key": "a", "value": "b"}]
    assert "run_id" not in version
    assert isinstance(version["creation_timestamp"], int)
    [found] = admin.http.get(f"{UC}/model-versions/search", params={"filter": f"name='{model}'"}).json()[
        "model_versions"
    ]
    assert not {"aliases", "tags"} & found.keys()


def test_names_are_case_insensitive(admin: Caller, model: str) -> None:
    answer = admin.http.get(f"{UC}/registered-models/get", params={"name": model.upper()}).json()
    assert answer["registered_model"]["name"] == model


def test_a_taken_name_is_told(admin: Caller, model: str) -> None:
    assert code(admin.http.post(f"{UC}/registered-models/create", json={"name": model}))[1] == "RESOURCE_ALREADY_EXISTS"


def test_search_pages(admin: Caller, model: str) -> None:
    for _ in range(2):
        admin.http.post(f"{UC}/model-versions/create", json={"name": model})
    seen, token = [], ""
    while True:
        query = {"filter": f'name = "{model}"', "max_results": "2", "page_token": token}
        page = admin.http.get(f"{UC}/model-versions/search", params=query).json()
        seen += [version["version"] for version in page["model_versions"]]
        if not (token := page.get("next_page_token", "")):
            break
    assert seen == ["3", "2", "1"]


@pytest.mark.parametrize("filter_string", ["name LIKE 'x%'", "tags.a = 'b'", "name='x' OR name='y'", "nonsense"])
def test_a_filter_that_the_registry_does_not_have_is_refused(admin: Caller, filter_string: str) -> None:
    answer = admin.http.get(f"{UC}/model-versions/search", params={"filter": filter_string})
    assert code(answer) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("alias", ["v1", "latest", "a b", "", "a/b"])
def test_an_alias_that_reads_as_a_version_is_refused(admin: Caller, model: str, alias: str) -> None:
    body = {"name": model, "alias": alias, "version": "1"}
    assert code(admin.http.post(f"{UC}/registered-models/alias", json=body)) == (400, "INVALID_PARAMETER_VALUE")


def test_who_has_no_privilege_sees_and_changes_nothing(admin: Caller, stranger: Caller, model: str) -> None:
    name = {"name": model}
    version = {**name, "version": "1"}
    refused = [
        stranger.http.get(f"{UC}/registered-models/get", params=name),
        stranger.http.get(f"{UC}/model-versions/get", params=version),
        stranger.http.post(f"{UC}/model-versions/create", json=name),
        stranger.http.patch(f"{UC}/registered-models/update", json={**name, "description": "x"}),
        stranger.http.post(f"{UC}/registered-models/alias", json={**version, "alias": "a"}),
        stranger.http.get(FILES + at(model, "MLmodel")),
        stranger.http.put(FILES + at(model, "MLmodel"), content=b"x"),
        delete(stranger, f"{UC}/model-versions/delete", **version),
        delete(stranger, f"{UC}/registered-models/delete", **name),
    ]
    assert [code(answer) for answer in refused] == [(403, "PERMISSION_DENIED")] * len(refused)
    assert stranger.http.get(f"{UC}/registered-models/search").json()["registered_models"] == []
    assert stranger.http.get(f"{UC}/model-versions/search", params={"filter": f"name='{model}'"}).json() == {
        "model_versions": []
    }


def test_execute_reads_and_does_not_write(admin: Caller, stranger: Caller, model: str, schema: str) -> None:
    admin.http.put(FILES + at(model, "MLmodel"), content=b"x")
    for kind, full_name, privilege in (
        ("catalog", "main", "USE_CATALOG"),
        ("schema", schema, "USE_SCHEMA"),
        ("function", model, "EXECUTE"),
    ):
        changes = {"changes": [{"principal": stranger.name, "add": [privilege]}]}
        admin.http.patch(f"/api/2.1/unity-catalog/permissions/{kind}/{full_name}", json=changes).raise_for_status()
    assert stranger.http.get(FILES + at(model, "MLmodel")).content == b"x"
    assert stranger.http.put(FILES + at(model, "MLmodel"), content=b"y").status_code == 403


def test_the_files_of_a_ready_version_are_final(admin: Caller, model: str) -> None:
    admin.http.put(FILES + at(model, "MLmodel"), content=b"x")
    admin.http.post(f"{UC}/model-versions/finalize", json={"name": model, "version": "1"})
    assert code(admin.http.put(FILES + at(model, "MLmodel"), content=b"y")) == (403, "PERMISSION_DENIED")
    assert code(admin.http.delete(FILES + at(model, "MLmodel"))) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("escape", ["..", "%2e%2e", "..%2f..%2f..%2f..", "a/../../2", "..\\..", "%00"])
def test_no_path_leads_out_of_a_version(admin: Caller, model: str, escape: str) -> None:
    # Python's plain client: httpx would resolve ".." before sending.
    connection = HTTPConnection(admin.http.base_url.host, admin.http.base_url.port or 80, timeout=30)
    try:
        path = f"{FILES}{at(model)}/{escape}/workspace.db"
        connection.request("GET", path, headers={"Authorization": admin.http.headers["Authorization"]})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    finally:
        connection.close()


def test_a_directory_lists_its_files_and_a_file_is_no_directory(admin: Caller, model: str) -> None:
    admin.http.put(FILES + at(model, "MLmodel"), content=b"abc")
    admin.http.put(FILES + at(model, "code/a.py"), content=b"")
    listed = admin.http.get(DIRECTORIES + at(model)).json()["contents"]
    assert [(entry["name"], entry["is_directory"], entry.get("file_size")) for entry in listed] == [
        ("MLmodel", False, 3),
        ("code", True, None),
    ]
    assert listed[1]["path"] == at(model, "code")
    assert admin.http.head(DIRECTORIES + at(model)).status_code == 200
    assert admin.http.head(DIRECTORIES + at(model, "MLmodel")).status_code == 404
    assert admin.http.head(FILES + at(model, "MLmodel")).headers["content-length"] == "3"


def test_a_listing_pages(admin: Caller, model: str) -> None:
    for number in range(3):
        admin.http.put(FILES + at(model, f"f{number}"), content=b"")
    first = admin.http.get(DIRECTORIES + at(model), params={"page_size": 2}).json()
    rest = admin.http.get(DIRECTORIES + at(model), params={"page_token": first["next_page_token"]}).json()
    assert [entry["name"] for entry in first["contents"] + rest["contents"]] == ["f0", "f1", "f2"]
    assert "next_page_token" not in rest


def test_a_file_is_replaced_only_when_asked_to(admin: Caller, model: str) -> None:
    admin.http.put(FILES + at(model, "a"), content=b"1")
    refused = admin.http.put(FILES + at(model, "a"), params={"overwrite": "false"}, content=b"2")
    assert code(refused) == (409, "ALREADY_EXISTS")
    admin.http.put(FILES + at(model, "a"), params={"overwrite": "true"}, content=b"3")
    assert admin.http.get(FILES + at(model, "a")).content == b"3"


def test_a_part_of_a_file(admin: Caller, model: str) -> None:
    admin.http.put(FILES + at(model, "a"), content=b"0123456789")
    answer = admin.http.get(FILES + at(model, "a"), headers={"Range": "bytes=4-6"})
    assert (answer.status_code, answer.content) == (206, b"456")


def test_a_broken_upload_leaves_nothing(admin: Caller, model: str) -> None:
    def half() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise RuntimeError("the client's disk broke")

    with pytest.raises(RuntimeError):
        admin.http.put(FILES + at(model, "a"), content=half())
    assert code(admin.http.get(FILES + at(model, "a"))) == (404, "NOT_FOUND")
    assert admin.http.get(DIRECTORIES + at(model)).json()["contents"] == []


def test_a_signed_url_works_without_a_token_and_for_one_method(admin: Caller, model: str) -> None:
    admin.http.put(FILES + at(model, "a"), content=b"1")
    answer = admin.http.post("/api/2.0/fs/create-download-url", params={"path": at(model, "a")}).json()
    assert httpx.get(answer["url"]).content == b"1"
    assert httpx.put(answer["url"], content=b"2").status_code == 403
    assert httpx.get(answer["url"][:-2]).status_code == 403
    upload = admin.http.post("/api/2.0/fs/create-upload-url", json={"path": at(model, "b")}).json()
    assert httpx.put(upload["url"], content=b"2").status_code == 200
    assert admin.http.get(FILES + at(model, "b")).content == b"2"


def test_a_signed_url_expires(admin: Caller, model: str) -> None:
    admin.http.put(FILES + at(model, "a"), content=b"1")
    query = {"path": at(model, "a"), "expire_time": "2020-01-01T00:00:00Z"}
    url = admin.http.post("/api/2.0/fs/create-download-url", params=query).json()["url"]
    assert httpx.get(url).status_code == 403


def test_a_signed_url_is_not_given_to_who_may_not_read(stranger: Caller, model: str) -> None:
    answer = stranger.http.post("/api/2.0/fs/create-download-url", params={"path": at(model, "a")})
    assert code(answer) == (403, "PERMISSION_DENIED")


def test_paths_that_nobody_serves_are_refused(admin: Caller) -> None:
    assert code(admin.http.get(f"{FILES}/etc/passwd")) == (400, "INVALID_PARAMETER_VALUE")
    assert code(admin.http.get(f"{FILES}/Volumes/main/default/nowhere/a"))[0] == 404


def test_the_workspace_registry_is_refused_by_name(admin: Caller) -> None:
    answer = admin.http.get("/api/2.0/mlflow/registered-models/search")
    assert code(answer) == (501, "ENDPOINT_NOT_FOUND")
    assert "databricks-uc" in answer.json()["message"]


def test_two_versions_created_at_once_get_two_numbers(
    admin: Caller, model: str, newcomer: Callable[[], Caller]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def create(_: int) -> str:
        answer = admin.http.post(f"{UC}/model-versions/create", json={"name": model})
        return str(answer.json()["model_version"]["version"])

    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(create, range(16)))
    assert sorted(map(int, numbers)) == list(range(2, 18))
