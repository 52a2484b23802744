"""An endpoint of the local workspace that serves the benchmarks' model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from agent_deploy.local import LocalWorkspace
from bench import models

MODEL, ENDPOINT = "main.default.echo", "echo"
TABLE = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "echo"}
PAYLOAD = "main.default.echo_payload"


def served(workspace: LocalWorkspace, folder: Path, scale_to_zero: bool = False) -> str:
    """Registers and serves it, with inference tables on; returns the invocations URL once it is ready."""
    version = models.register(MODEL, folder, workspace.env())
    entity = {
        "name": "echo",
        "entity_name": MODEL,
        "entity_version": version,
        "workload_size": "Small",
        "scale_to_zero_enabled": scale_to_zero,
        "environment_vars": {"ENABLE_MLFLOW_TRACING": "true", "RETURN_REQUEST_ID_IN_RESPONSE": "true"},
    }
    body = {"name": ENDPOINT, "config": {"served_entities": [entity]}, "ai_gateway": {"inference_table_config": TABLE}}
    call(workspace, "POST", "/api/2.0/serving-endpoints", body)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state = call(workspace, "GET", f"/api/2.0/serving-endpoints/{ENDPOINT}")["state"]
        if state == {"ready": "READY", "config_update": "NOT_UPDATING"}:
            return f"{workspace.host}/serving-endpoints/{ENDPOINT}/invocations"
        time.sleep(0.2)
    raise RuntimeError(f"the endpoint did not become ready: {state}")


def call(workspace: LocalWorkspace, method: str, path: str, body: object = None) -> dict[str, Any]:
    """One call of the workspace's API."""
    headers = {"Authorization": f"Bearer {workspace.token}"}
    response = httpx.request(method, f"{workspace.host}{path}", json=body, headers=headers, timeout=60)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer
