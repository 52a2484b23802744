"""The server as a process: what it refuses, what survives, what never lies on the disk in plain text."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.running import status, stop
from agent_deploy.local.workspace import WorkspaceError
from tests.workspace.conftest import Caller, http_client, sdk_client


class TestAnswers:
    def test_no_or_a_wrong_token_is_401(self, admin: Caller) -> None:
        url = f"{admin.http.base_url}/api/2.0/preview/scim/v2/Me"
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic !"}, {"Authorization": "x"}):
            answer = httpx.get(url, headers=headers)
            assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")

    def test_basic_with_the_user_token_is_what_curl_sends(self, local_workspace: LocalWorkspace) -> None:
        url = f"{local_workspace.host}/api/2.0/preview/scim/v2/Me"
        assert httpx.get(url, auth=("token", local_workspace.token)).status_code == 200
        assert httpx.get(url, auth=("someone", local_workspace.token)).status_code == 401

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "/api/2.0/clusters/list"), ("DELETE", "/api/2.0/secrets/put")]
    )
    def test_an_unknown_route_is_501_and_named(self, admin: Caller, method: str, path: str) -> None:
        answer = admin.http.request(method, path)
        assert answer.status_code == 501
        assert f"{method} {path}" in answer.json()["message"]

    def test_a_body_that_is_not_json_is_400(self, admin: Caller) -> None:
        for content in (b"{", b"[]"):
            answer = admin.http.post("/api/2.0/secrets/put", content=content)
            assert (answer.status_code, answer.json()["error_code"]) == (400, "MALFORMED_REQUEST")

    def test_every_answer_names_the_workspace_and_its_request(self, admin: Caller) -> None:
        metadata = admin.http.get("/.well-known/databricks-config")
        expected = metadata.json()["workspace_id"]
        answers = [metadata, admin.http.get("/nowhere"), httpx.get(f"{admin.http.base_url}/api/2.0/token/list")]
        assert [answer.headers["x-databricks-org-id"] for answer in answers] == [expected] * 3
        answers += [admin.http.get(f"/api/2.0/{each}") for each in ("serving-endpoints", "token/list")]
        assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
        assert admin.sdk.get_workspace_id() == int(expected)

    def test_it_listens_on_the_loopback_address_alone(self, local_workspace: LocalWorkspace) -> None:
        address = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}"
        port = f"{int(local_workspace.host.rpartition(':')[2]):04X}"
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line]
        assert [entry for entry in listening if entry.endswith(f":{port}")] == [f"{address}:{port}"]


class TestSurvival:
    @pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
    def test_state_survives(self, tmp_path: Path, kill: bool) -> None:
        with LocalWorkspace(tmp_path) as workspace:
            before = _make_state(workspace)
            workspace.kill() if kill else workspace.stop()
            workspace.start()
            assert _read_state(workspace) == before

    def test_a_folder_keeps_its_port_token_and_ids(self, tmp_path: Path) -> None:
        seen = []
        for _ in range(2):
            with LocalWorkspace(tmp_path) as workspace:
                metadata = httpx.get(f"{workspace.host}/.well-known/databricks-config").json()
                seen.append((workspace.host, workspace.token, metadata["workspace_id"], metadata["account_id"]))
        assert seen[0] == seen[1]

    def test_a_folder_has_one_server(self, tmp_path: Path) -> None:
        with LocalWorkspace(tmp_path), pytest.raises(WorkspaceError, match="Another local workspace"):
            LocalWorkspace(tmp_path).start()

    @pytest.mark.parametrize("sign", ["[", "]", "^", "|", "\\", "\t", "%41"])
    def test_a_folder_that_no_table_can_be_in_is_told_before_it_is_made(self, tmp_path: Path, sign: str) -> None:
        folder = tmp_path / f"a{sign}b"
        with pytest.raises(WorkspaceError, match="No Delta table can be kept below"):
            LocalWorkspace(folder).start()
        assert not folder.exists()
        # The rule is delta-rs's, which the next version may change.
        with pytest.raises(BaseException, match=r"object store|not found|parsing Path"):
            _written_twice(folder / "table")

    def test_a_port_that_is_taken_is_told(self, tmp_path: Path, local_workspace: LocalWorkspace) -> None:
        port = int(local_workspace.host.rpartition(":")[2])
        with pytest.raises(WorkspaceError, match=f"Port {port}"):
            LocalWorkspace(tmp_path, port=port).start()

    def test_a_start_that_fails_is_told_with_its_reason(self, tmp_path: Path) -> None:
        (tmp_path / "workspace.db").write_text("not a database")
        with pytest.raises(WorkspaceError, match="not a database"):
            LocalWorkspace(tmp_path).start()

    def test_a_temporary_folder_is_removed(self) -> None:
        with LocalWorkspace() as workspace:
            folder = workspace.folder
            assert (folder / "workspace.db").exists()
        assert not folder.exists()

    def test_it_ends_with_its_parent(self, tmp_path: Path, until: Callable[[Callable[[], bool]], None]) -> None:
        program = (
            "import sys, os; from agent_deploy.local import LocalWorkspace;"
            "w = LocalWorkspace(sys.argv[1]).start(); print(w.pid, flush=True); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, check=False)
        until(lambda: status(tmp_path) is None)

    def test_a_status_file_left_by_a_killed_server_does_not_count(self, tmp_path: Path) -> None:
        with LocalWorkspace(tmp_path) as workspace:
            assert status(tmp_path) is not None
            workspace.kill()
            assert (tmp_path / "server.json").exists()
            assert status(tmp_path) is None
            assert stop(tmp_path, 1) is False


def test_no_secret_lies_on_the_disk_in_plain_text(tmp_path: Path) -> None:
    with LocalWorkspace(tmp_path) as workspace:
        sdk = sdk_client(workspace.host, workspace.token)
        sdk.secrets.create_scope("scope")
        sdk.secrets.put_secret("scope", "key", string_value="plain-secret-value")
        principal = sdk.service_principals.create(display_name="p")
        client_secret = str(sdk.service_principal_secrets_proxy.create(str(principal.id)).secret)
        token = str(sdk.tokens.create().token_value)
        form = {"grant_type": "client_credentials"}
        auth = (str(principal.application_id), client_secret)
        access = httpx.post(f"{workspace.host}/oidc/v1/token", data=form, auth=auth).json()["access_token"]
        # A fault of ours in the middle of handling a secret must not bring it into the log.
        httpx.post(f"{workspace.host}/api/2.0/secrets/put", json={"string_value": "plain-secret-value"})
        workspace.stop()
        found = {
            (str(path.relative_to(tmp_path)), value)
            for path in tmp_path.rglob("*")
            if path.is_file()
            for value in ("plain-secret-value", client_secret, token, access, workspace.token)
            if value.encode() in path.read_bytes()
        }
        assert found == {("admin.token", workspace.token)}
        for private in ("admin.token", "workspace.key"):
            assert os.stat(tmp_path / private).st_mode & 0o077 == 0
        assert os.stat(tmp_path).st_mode & 0o022 == 0
        assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_the_environment_is_what_clients_read(local_workspace: LocalWorkspace) -> None:
    environment = local_workspace.env()
    assert environment == {
        "DATABRICKS_HOST": local_workspace.host,
        "DATABRICKS_TOKEN": local_workspace.token,
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc",
    }
    program = "from databricks.sdk import WorkspaceClient; print(WorkspaceClient().current_user.me().user_name)"
    output = subprocess.check_output([sys.executable, "-c", program], env={**os.environ, **environment}, text=True)
    assert output.strip() == "admin@local"


def test_the_fixtures_come_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import sys\n"
        "heavy = {'mlflow', 'fastapi', 'uvicorn', 'sqlalchemy', 'databricks', 'pulumi'} & set(sys.modules)\n"
        "def test_one(local_workspace, local_workspace_factory, tmp_path):\n"
        "    assert not heavy\n"
        "    other = local_workspace_factory(folder=tmp_path)\n"
        "    assert local_workspace.host != other.host\n"
        "def test_two(local_workspace):\n"
        "    import urllib.request\n"
        "    assert urllib.request.urlopen(local_workspace.host + '/_local/health').status == 200\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert "2 passed" in result.stdout, result.stdout + result.stderr


def _make_state(workspace: LocalWorkspace) -> str:
    sdk = sdk_client(workspace.host, workspace.token)
    sdk.catalogs.create(name="acme")
    sdk.registered_models.create(catalog_name="acme", schema_name="default", name="qa")
    sdk.secrets.create_scope("scope")
    sdk.secrets.put_secret("scope", "key", string_value="v")
    principal = sdk.service_principals.create(display_name="p")
    change = {"changes": [{"principal": principal.application_id, "add": ["USE_CATALOG"]}]}
    with http_client(workspace.host, workspace.token) as http:
        http.patch("/api/2.1/unity-catalog/permissions/catalog/acme", json=change).raise_for_status()
        http.post("/_local/faults", json={"path": "/never", "status": 503}).raise_for_status()
    return _read_state(workspace)


def _read_state(workspace: LocalWorkspace) -> str:
    paths = (
        "/api/2.0/preview/scim/v2/Me",
        "/api/2.0/preview/scim/v2/ServicePrincipals",
        "/api/2.1/unity-catalog/models/acme.default.qa",
        "/api/2.1/unity-catalog/permissions/catalog/acme",
        "/api/2.0/secrets/get?scope=scope&key=key",
        "/api/2.0/secrets/acls/list?scope=scope",
        "/_local/faults",
    )
    with http_client(workspace.host, workspace.token) as http:
        answers = [http.get(path).raise_for_status().json() for path in paths]
    return json.dumps(answers, sort_keys=True)


def _written_twice(table: Path) -> int:
    rows = pa.table({"a": [1]})
    for _ in range(2):
        write_deltalake(table, rows, mode="append")
    return DeltaTable(table).count()
