"""Verification of 1, 10 and 100 resources: calls and seconds, against a script that asks by the SDK, one by one."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import httpx

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.local import LocalWorkspace
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.verify_deployment import verify
from agent_deploy.rules.credentials import MANUAL
from agent_deploy.rules.resource_kinds import Resource
from agent_deploy.rules.verifiable import WantedDeployment
from bench.report import Progress, Row

COUNTS = (1, 10, 100)
AGENTS = 10
ROUNDS = 3
UC, SCIM = "/api/2.1/unity-catalog", "/api/2.0/preview/scim/v2"


class _Counting(httpx.HTTPTransport):
    """Real HTTP that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Counts, and sends."""
        with self._lock:
            self.calls += 1
        return super().handle_request(request)


def run(progress: Progress) -> list[Row]:
    """Best of three. The script imports its SDK beforehand, and looks at each table and at its grants."""
    rows = []
    with LocalWorkspace() as workspace:
        progress("a schema with tables")
        schema, token = _prepared(workspace)
        for count in COUNTS:
            progress(f"{count} resources")
            names = [f"{schema}.t{number}" for number in range(count)]
            seconds, calls = min(_ours(workspace.host, token, names, agents=1) for _ in range(ROUNDS))
            sdk_seconds, sdk_calls = min(_by_sdk(workspace.host, token, names) for _ in range(ROUNDS))
            rows.append(Row(f"resources: {count}", "s", seconds, sdk_seconds))
            rows.append(Row(f"resources: {count}", "calls", calls, sdk_calls))
        progress(f"{AGENTS} agents that need the same")
        alone = rows[-1].ours
        seconds, calls = min(_ours(workspace.host, token, names, AGENTS) for _ in range(ROUNDS))
        what = f"resources: {COUNTS[-1]}, needed by {AGENTS} agents, against one agent"
        rows += [Row(what, "s", seconds, rows[-2].ours), Row(what, "calls", calls, alone, goal=1.0)]
    return rows


def _prepared(local: LocalWorkspace) -> tuple[str, str]:
    """A schema of tables, and the token of a service principal that may read them through its grants."""
    admin = Workspace(Settings(host=local.host, method=PAT, token=local.token))
    name = f"b{uuid.uuid4().hex[:8]}"
    admin.post(f"{UC}/schemas", {"catalog_name": "main", "name": name})
    for number in range(COUNTS[-1]):
        table = {"catalog_name": "main", "schema_name": name, "name": f"t{number}", "columns": []}
        admin.post(f"{UC}/tables", {**table, "table_type": "MANAGED", "data_source_format": "DELTA"})
    principal = admin.post(f"{SCIM}/ServicePrincipals", {"displayName": "deployer"})["applicationId"]
    for place, privileges in (("catalog/main", ["USE_CATALOG"]), (f"schema/main.{name}", ["USE_SCHEMA", "SELECT"])):
        admin.patch(f"{UC}/permissions/{place}", {"changes": [{"principal": principal, "add": privileges}]})
    made = admin.post("/api/2.0/token-management/on-behalf-of/tokens", {"application_id": principal})
    return f"main.{name}", str(made["token_value"])


def _ours(host: str, token: str, names: list[str], agents: int) -> tuple[float, int]:
    transport = _Counting()
    context = Context(configuration=Workspace(Settings(host=host, method=PAT, token=token), transport))
    wanted = WantedDeployment(auth=MANUAL, resources=tuple(Resource("table", name) for name in names))
    begin = time.perf_counter()
    for _ in range(agents):
        if problems := verify(context, wanted).problems:
            raise RuntimeError(f"the deployer should hold everything: {problems}")
    return time.perf_counter() - begin, transport.calls


def _by_sdk(host: str, token: str, names: list[str]) -> tuple[float, int]:
    """What a script does: the table, its grants, those of its schema and catalog; each in turn."""
    from databricks.sdk import WorkspaceClient

    sdk = WorkspaceClient(host=host, token=token, auth_type="pat")
    calls = 0

    def asked(_: Any) -> None:
        nonlocal calls
        calls += 1

    begin = time.perf_counter()
    asked(sdk.current_user.me())
    asked(sdk.grants.get_effective("catalog", "main"))
    asked(sdk.grants.get_effective("schema", names[0].rpartition(".")[0]))
    for name in names:
        asked(sdk.tables.get(name))
        asked(sdk.grants.get_effective("table", name))
    return time.perf_counter() - begin, calls
