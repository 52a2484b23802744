"""What the tests of the stand-in databricks plugin share: one example of each type, played against its transcript."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Values
from agent_deploy.stand_in.package import RESOURCES
from tests.provider.transcript import playing

APPLICATION = "e72d9cbe-bf6d-4502-9505-9f237568bceb"
SEARCH_ENDPOINT = "f60d54b0-b158-420f-9533-536f88b69a4a"
SECRET = "e853b746-2392-4c7d-936a-a20b306da2b0"
PIPELINE_INPUTS = {
    "name": "p",
    "catalog": "main",
    "schema": "default",
    "serverless": True,
    "continuous": False,
    "configuration": {"agent.prefixName": "qa"},
    "libraries": [{"file": {"path": "/Shared/derive.py"}}],
}
JOB_INPUTS = {"name": "j", "tasks": [{"taskKey": "a", "notebookTask": {"notebookPath": "/x"}}]}
ENDPOINT_INPUTS = {
    "name": "qa",
    "config": {
        "servedEntities": [
            {
                "name": "qa_1",
                "entityName": "main.default.qa",
                "entityVersion": "1",
                "environmentVars": {"A_b": "{{secrets/s/k}}"},
            }
        ],
        "trafficConfig": {"routes": [{"servedModelName": "qa_1", "trafficPercentage": 100}]},
    },
    "tags": [{"key": "team", "value": "x"}],
}

# What each of these makes is what the recordings made: golden file, type, inputs, id.
CREATED: list[tuple[str, str, Values, str]] = [
    ("secret_scope", "SecretScope", {"name": "agent"}, "agent"),
    (
        "secret_acl",
        "SecretAcl",
        {"scope": "agent", "principal": APPLICATION, "permission": "READ"},
        f"agent|||{APPLICATION}",
    ),
    (
        "permissions",
        "Permissions",
        {
            "vectorSearchEndpointId": SEARCH_ENDPOINT,
            "accessControls": [{"groupName": "users", "permissionLevel": "CAN_USE"}],
        },
        f"/vector-search-endpoints/{SEARCH_ENDPOINT}",
    ),
    ("service_principal", "ServicePrincipal", {"displayName": "agent-sp"}, "1003"),
    ("service_principal_secret", "ServicePrincipalSecret", {"servicePrincipalId": "1003"}, SECRET),
    (
        "grant",
        "Grant",
        {"model": "acme.agents.qa", "principal": "users", "privileges": ["EXECUTE"]},
        "model/acme.agents.qa/users",
    ),
    (
        "registered_model",
        "RegisteredModel",
        {"catalogName": "acme", "schemaName": "agents", "name": "qa", "comment": "c1"},
        "acme.agents.qa",
    ),
    (
        "workspace_file",
        "WorkspaceFile",
        {"path": "/Shared/x.txt", "contentBase64": base64.b64encode(b"hi").decode()},
        "/Shared/x.txt",
    ),
    ("pipeline", "Pipeline", PIPELINE_INPUTS, "95c2cb92"),
    ("job", "Job", JOB_INPUTS, "1005"),
    ("secret", "Secret", {"scope": "agent", "key": "openai", "stringValue": "c1"}, "agent|||openai"),
    ("model_serving", "ModelServing", ENDPOINT_INPUTS, "qa"),
]
EACH = pytest.mark.parametrize(("golden", "kind", "inputs", "id"), CREATED, ids=[row[0] for row in CREATED])


class Impatient(Context):
    """A Context that does not wait."""

    def pause(self, seconds: float) -> None:
        pass


def token(kind: str) -> str:
    return f"databricks:index/{kind[0].lower()}{kind[1:]}:{kind}"


def context(kind: str, workspace: Workspace | None = None) -> Context:
    return Impatient(name="it", type=token(kind), configuration=workspace)


def checked(kind: str, inputs: Values, old_inputs: Values | None = None) -> Values:
    good, failures = RESOURCES[token(kind)].check(context(kind), old_inputs or {}, inputs)
    assert failures == []
    return good


def created(golden: str, kind: str, inputs: Values, section: str = "create") -> Any:
    with playing(golden, section) as workspace:
        return RESOURCES[token(kind)].create(context(kind, workspace), checked(kind, inputs))


def read(golden: str, kind: str, id: str, inputs: Values, old: Values, section: str = "read") -> Any:
    with playing(golden, section) as workspace:
        return RESOURCES[token(kind)].read(context(kind, workspace), id, inputs, old)


def changed(kind: str, old_inputs: Values, inputs: Values) -> Any:
    return RESOURCES[token(kind)].diff(
        context(kind), "id", checked(kind, old_inputs), {}, checked(kind, inputs, checked(kind, old_inputs))
    )
