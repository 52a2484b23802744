"""Configurations of an endpoint and its secret, from the least to all there is, and what each must come to."""

from __future__ import annotations

from typing import Any

from agent_deploy.provider.plugin.resource import Values
from tests.invariants.engine import Outputs, Program

MODEL = "main.default.qa"


def served(version: int = 1, **more: Any) -> Values:
    """A served entity in the words of ServingEndpoint."""
    return {"entityName": MODEL, "entityVersion": str(version), **more}


def table(name: str) -> Values:
    """An AI gateway with a table whose prefix is chosen when the endpoint is made."""
    return {
        "inferenceTableConfig": {"catalogName": "main", "schemaName": "default", "tableNamePrefixHint": name},
        "usageTrackingConfig": {"enabled": True},
    }


TWO = {"qa_1": served(), "qa_2": served(2)}
# Beyond name and mark; NAME stands for the endpoint's, SECRET for the reference to its secret.
CONFIGURATIONS: dict[str, Values] = {
    "nothing yet": {},
    "one version": {"servedEntities": {"qa_1": served()}},
    "canary": {"servedEntities": TWO, "traffic": {"qa_1": 90, "qa_2": 10}},
    "rolled back": {"servedEntities": TWO, "traffic": {"qa_1": 100, "qa_2": 0}},
    "sizes": {"servedEntities": {"qa_1": served(workloadSize="Medium", scaleToZeroEnabled=True, workloadType="CPU")}},
    "secret": {"servedEntities": {"qa_1": served(environmentVars={"KEY": "SECRET", "PLAIN": "1"})}},
    "described": {
        "servedEntities": {"qa_1": served()},
        "tags": {"team": "x"},
        "description": "An agent.",
        "emailNotifications": {"onUpdateFailure": ["a@example.org"]},
        "budgetPolicyId": "p-1",
    },
    "logged": {"servedEntities": {"qa_1": served()}, "aiGateway": "TABLE"},
    "everything": {
        "servedEntities": {**TWO, "qa_3": served(3, environmentVars={"KEY": "SECRET"})},
        "traffic": {"qa_1": 80, "qa_2": 15, "qa_3": 5},
        "tags": {"team": "y", "cost": "1"},
        "description": "All.",
        "aiGateway": "TABLE",
    },
}


def program(name: str, configuration: Values, value: str = "first") -> Program:
    """A secret and an endpoint that may refer to it. ``name`` is the endpoint's, and the secret scope's."""

    def secret(_: Outputs) -> Values:
        return {"scope": name, "name": "KEY", "value": value}

    def endpoint(outputs: Outputs) -> Values:
        filled = _filled(configuration, name, outputs["key"]["reference"])
        return {"name": name, "ownerMark": f"p/s/{name}", **filled}

    return {"key": ("Secret", secret), "qa": ("ServingEndpoint", endpoint)}


def _filled(value: Any, name: str, reference: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, name, reference) for key, item in value.items()}
    return {"SECRET": reference, "TABLE": table(name)}.get(value, value) if isinstance(value, str) else value
