"""A name is never a way to somebody else's data: some 200 forms of names at each place where a name becomes a path."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import deltalake
import httpx
import pyarrow as pa
import pytest

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.files.storage import Files
from agent_deploy.local.moved_folders import move_folders
from agent_deploy.local.registry.models import Registry
from agent_deploy.local.services import Services
from agent_deploy.local.statements.delta import DeltaTables
from agent_deploy.local.statements.errors import SqlError
from agent_deploy.tables.folders import folder_name
from agent_deploy.tables.refresh import Target
from tests.workspace.conftest import Caller, http_client

UC, STATEMENTS = "/api/2.1/unity-catalog", "/api/2.0/sql/statements"
_UP = ("%2e%2e", "%2E%2E", "%252e%252e", "..", "．．", "%c0%ae%c0%ae", "%u002e%u002e")
_DOWN = ("\\", "%2f", "%5c", "%252f", "/", "\u2215", ":", "%00")
_AROUND = ("{up}{down}hr{down}salaries", "x{down}{up}{down}{up}{down}hr{down}salaries", "{down}{up}{down}hr", "{up}")
_WORDS = (
    *(
        "~",
        "$HOME",
        "${HOME}",
        "file:x",
        "s3:x",
        "?x",
        "#x",
        "*",
        "[t]",
        "{t}",
        "'t'",
        '"t"',
        "t;x",
        "t`x",
        "t|x",
        "-rf",
    ),
    *(
        "ü",
        "u\u0308",
        "ı",
        "ſ",
        "\u200bsalaries",
        "salaries\u200b",
        "salaries%20",
        "t%20x",
        "100%",
        "%",
        "%%",
        "=",
        "a=b",
    ),
    *(
        "_delta_log",
        "con",
        "nul",
        "x" * 255,
        "é" * 255,
        "sha256-" + "0" * 64,
        folder_name("ü"),
        "+",
        "&",
        "@",
        "\ufeff",
    ),
)
FORMS = sorted(
    {form.format(up=up, down=down) for form, up, down in itertools.product(_AROUND, _UP, _DOWN)} | set(_WORDS)
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A workspace's state without its server, with `main.hr.salaries` in it."""
    workspace = Workspace.open(tmp_path_factory.mktemp("state"))
    workspace.principals.bootstrap()
    services = Services.of(workspace)
    metastore = services.metastore
    for schema in ("hr", "play"):
        metastore.create("schema", ("main", schema), "admins", {})
    _write(metastore, metastore.create("table", ("main", "hr", "salaries"), "boss", _COLUMNS), "secret")
    yield services
    workspace.store.close()


_COLUMNS = {"columns": [{"name": "a", "type_text": "string", "type_name": "STRING", "position": 0}]}


def _write(metastore: Metastore, document: dict[str, Any], value: str) -> None:
    DeltaTables(metastore).append(document, pa.table({"a": [value]}))


def _rows(metastore: Metastore, document: dict[str, Any]) -> list[str]:
    found: list[str] = DeltaTables(metastore).relation(document).to_table().column("a").to_pylist()
    return found


def _unless_refused(call: Callable[..., Any], *given: Any) -> Any:
    """What the call returns; None when it is refused as the caller's mistake."""
    try:
        return call(*given)
    except ApiError as error:
        if error.status != 400:
            raise
        return None


def _inside(folder: Path, root: Path, levels: int) -> bool:
    return folder.parents[levels - 1] == root and folder.resolve() == folder


def test_there_are_some_200_forms() -> None:
    assert 200 <= len(FORMS) <= 300


def test_each_table_holds_its_own_rows_alone(state: Services) -> None:
    metastore = state.metastore
    made = {}
    for form in FORMS:
        if document := _unless_refused(metastore.create, "table", ("main", "play", form), "bob", _COLUMNS):
            made[form] = document
            _write(metastore, document, form)
    assert len(made) > 100
    assert {form: _rows(metastore, document) for form, document in made.items()} == {form: [form] for form in made}
    assert _rows(metastore, metastore.get("table", "main.hr.salaries")) == ["secret"]
    root = state.workspace.folder / "tables" / "main" / "play"
    assert all(_inside(metastore.table_folder(document["full_name"]), root, 1) for document in made.values())
    assert {path.name for path in root.iterdir()} == {folder_name(form.lower()) for form in made}


@pytest.mark.parametrize("path", ["file://{}", "{}", "../../hr/salaries/{.name}"])
def test_a_log_that_names_another_tables_files_is_not_followed(state: Services, path: str) -> None:
    metastore = state.metastore
    document = metastore.create("table", ("main", "play", f"forged{len(path)}"), "bob", _COLUMNS)
    _write(metastore, document, "own")
    log = metastore.table_folder(document["full_name"]) / "_delta_log" / "00000000000000000000.json"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    # What only Delta's own engine reads, which takes paths as they are.
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    for entry in entries:
        if "protocol" in entry:
            entry["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
    log.write_text("\n".join(map(json.dumps, entries)))
    assert _rows_read_by_delta(metastore, document) == ["own"]
    (secret,) = metastore.table_folder("main.hr.salaries").glob("*.parquet")
    for entry in entries:
        if "add" in entry:
            entry["add"]["path"] = path.format(secret)
    log.write_text("\n".join(map(json.dumps, entries)))
    with pytest.raises(SqlError, match="outside of its folder"):
        DeltaTables(metastore).relation(document)


def _rows_read_by_delta(metastore: Metastore, document: dict[str, Any]) -> list[str]:
    found: list[str] = DeltaTables(metastore).relation(document).column("a").to_pylist()
    return found


@pytest.mark.parametrize("kind", ["catalog", "schema"])
def test_a_catalog_or_schema_of_any_name_lies_beside_the_others(state: Services, kind: str) -> None:
    metastore = state.metastore
    for form in FORMS:
        levels = (form, "default", "t") if kind == "catalog" else ("main", form, "t")
        above = levels[:1] if kind == "catalog" else levels[:2]
        if _unless_refused(metastore.create, kind, above, "bob", {}) is None:
            continue
        document = metastore.create("table", levels, "bob", _COLUMNS)
        _write(metastore, document, form)
        assert _rows(metastore, document) == [form]
    assert _rows(metastore, metastore.get("table", "main.hr.salaries")) == ["secret"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_volumes_models_and_checkpoints_lie_where_they_belong(state: Services, position: int) -> None:
    metastore = state.metastore
    registry = state.registry
    found: dict[Path, str] = {}
    for form in FORMS:
        levels = ["main", "default", "x"]
        levels[position] = form
        full_name = ".".join(levels)
        if (version := _unless_refused(registry.version_folder, full_name, 1)) is None:
            continue  # no name of the catalog either
        folders = {"files/volumes": metastore.volume_folder(full_name), "models": version.parent}
        folders["pipelines"] = Target(state.workspace.folder, full_name).storage
        for root, folder in folders.items():
            assert _inside(folder, state.workspace.folder / root, 1 if root == "pipelines" else 3), (root, form)
            assert found.setdefault(folder, form.lower()) == form.lower()


def test_a_path_of_the_files_api_stays_below_its_mount(state: Services, tmp_path: Path) -> None:
    files = Files(state.workspace)
    files.mount("Mount", lambda _principal, segments, _write: tmp_path.joinpath(*segments))
    locate = partial(
        files.locate, state.workspace.principals.principal(state.workspace.principals.admin_id()), write=True
    )
    for index, form in enumerate(FORMS):
        path = f"/Mount/{index}/{form}"
        if (found := _unless_refused(locate, path)) is not None:
            found.parent.mkdir(parents=True, exist_ok=True)
            found.write_text(form)
            assert tmp_path / str(index) in found.resolve().parents


def test_who_may_make_tables_reads_no_others_by_a_name(
    admin: Caller, stranger: Caller, schema: str, name: str, local_workspace: LocalWorkspace
) -> None:
    """Over HTTP, as the attack was seen: statistics of another schema's files, by conditions on one's own table."""
    warehouse = admin.http.post("/api/2.0/sql/warehouses", json={"name": name}).json()["id"]
    users = {"access_control_list": [{"group_name": "users", "permission_level": "CAN_USE"}]}
    admin.http.patch(f"/api/2.0/permissions/sql/warehouses/{warehouse}", json=users).raise_for_status()
    for kind, full_name, privileges in (
        ("catalog", "main", ["USE_CATALOG"]),
        ("schema", schema, ["USE_SCHEMA", "CREATE_TABLE"]),
    ):
        changes = {"changes": [{"principal": stranger.name, "add": privileges}]}
        admin.http.patch(f"{UC}/permissions/{kind}/{full_name}", json=changes).raise_for_status()

    def run(http: httpx.Client, statement: str) -> Any:
        body = {"statement": statement, "warehouse_id": warehouse, "wait_timeout": "30s"}
        answer = http.post(STATEMENTS, json=body).json()
        assert answer["status"]["state"] == "SUCCEEDED", answer
        return (answer["result"] or {}).get("data_array")

    other = admin.http.post(f"{UC}/schemas", json={"name": f"{name}_hr", "catalog_name": "main"}).json()["full_name"]
    run(admin.http, f"CREATE TABLE {other}.salaries (id INT, salary INT)")
    run(admin.http, f"INSERT INTO {other}.salaries VALUES (1, 70000)")
    for up in (r"%2e%2e\%2e%2e", "%2e%2e%2f%2e%2e"):
        table = f"`main`.`{schema.partition('.')[2]}`.`x\\{up}\\{name}_hr\\salaries`"
        run(stranger.http, f"CREATE TABLE {table} (id INT, salary INT)")
        run(stranger.http, f"INSERT INTO {table} VALUES (0, 0)")
        for condition in ("salary > 5", "salary = -5"):
            assert run(stranger.http, f"SELECT id FROM {table} WHERE {condition}") == []
        assert run(stranger.http, f"SELECT id FROM {table}") == [["0"]]
    assert run(admin.http, f"SELECT salary FROM {other}.salaries") == [["70000"]]
    admin.http.delete(f"{UC}/schemas/{other}", params={"force": "true"}).raise_for_status()


class TestWorkspacesOfEarlierVersions:
    """Their folders were called after their objects, letter by letter."""

    def test_what_lies_there_is_found(self, tmp_path: Path) -> None:
        workspace = Workspace.open(tmp_path)
        metastore = Metastore(workspace, Registry(workspace), Registry(workspace, "prompt", "prompt_version"))
        metastore.bootstrap()
        old = {}
        for table in ("plain", "ü", "a:b", "x" * 255, "$x"):
            document = metastore.create("table", ("main", "default", table), "bob", _COLUMNS)
            folder = tmp_path / "tables" / "main" / "default" / table
            deltalake.write_deltalake(folder, pa.table({"a": [table]}))
            old[table] = {**document, "storage_location": folder.as_uri()}
            workspace.store.put("table", document["full_name"], old[table], parent="main.default")
        for path in (
            "files/volumes/main/default/ü",
            "models/main/default/é/1",
            "mlflow/artifacts/7/Traces/tr:1/artifacts",
        ):
            (tmp_path / path).mkdir(parents=True)
            (tmp_path / path / "kept").touch()
        (tmp_path / "pipelines" / "main.default.ü_payload").mkdir(parents=True)
        for _ in range(2):  # a second start changes nothing
            move_folders(workspace)
            workspace.store.delete("settings", "folders_moved")
        for table in old:
            document = metastore.get("table", f"main.default.{table}")
            assert _rows(metastore, document) == [table]
            assert document["storage_location"] == metastore.table_folder(document["full_name"]).as_uri()
        assert (metastore.volume_folder("main.default.ü") / "kept").exists()
        assert (Registry(workspace).version_folder("main.default.é", 1) / "kept").exists()
        assert (tmp_path / "mlflow/artifacts/7/Traces" / folder_name("tr:1") / "artifacts" / "kept").exists()
        assert Target(tmp_path, "main.default.ü_payload").storage.is_dir()
        workspace.store.close()

    def test_a_start_finds_them(self, tmp_path: Path) -> None:
        with LocalWorkspace(tmp_path) as workspace, http_client(workspace.host, workspace.token) as http:
            volume = {"catalog_name": "main", "schema_name": "default", "name": "grüße", "volume_type": "MANAGED"}
            http.post(f"{UC}/volumes", json=volume).raise_for_status()
            path = f"/api/2.0/fs/files/Volumes/main/default/{quote('grüße')}/kept"
            http.put(path, content=b"x").raise_for_status()
            workspace.stop()
            (tmp_path / "files/volumes/main/default" / folder_name("grüße")).rename(
                tmp_path / "files/volumes/main/default/grüße"
            )
            state = Workspace.open(tmp_path)
            state.store.delete("settings", "folders_moved")
            state.store.close()
            workspace.start()
            assert http.get(path).content == b"x"
