"""What clients send beside resources: telemetry is taken; what is not here says so in its own protocol."""

from __future__ import annotations

import subprocess

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller


def test_telemetry_is_taken_whole(local_workspace: LocalWorkspace, admin: Caller) -> None:
    del admin  # notes who was answered
    body = '{"uploadTime": 1, "items": [], "protoLogs": ["{}", "{}"]}'
    done = subprocess.run(
        ["curl", "-sf", "-u", f"token:{local_workspace.token}", "-d", body, f"{local_workspace.host}/telemetry-ext"],
        text=True, capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert '"numProtoSuccess":2' in done.stdout


def test_what_is_not_here_names_what_to_do_instead(admin: Caller) -> None:
    thrift = admin.http.post("/sql/1.0/warehouses/any", content=b"\x80\x01")
    assert thrift.status_code == 501
    assert "Statement Execution API" in thrift.headers["x-thriftserver-error-message"]
    mcp = admin.http.post("/api/2.0/mcp/functions/main/default", json={"id": 7, "method": "initialize"}).json()
    assert mcp["id"] == 7
    assert "Call a Unity Catalog function by SQL" in mcp["error"]["message"]
