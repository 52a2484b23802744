"""Mocks for unit tests of programs with these components, for `pulumi.runtime.set_mocks`.

Any mocks do: what they do not answer is answered as if all were there and nothing wrong. These give the resources the
outputs that a workspace would, and take other answers in one line::

    pulumi.runtime.set_mocks(agent_deploy.testing.Mocks(versions={"champion": "3"}))

They prove what a program declares, and with which inputs; no URN, parent, order or privilege.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from agent_deploy.resources.unit_tests import verified

HOST = "https://workspace.example.com"


class Mocks(pulumi.runtime.Mocks):
    """A workspace in which every version exists.

    ``versions`` is alias → number, ``problems`` is what the verification finds, ``experiment_id`` where the versions
    were logged. ``resources`` is (type token, name) → inputs of all that was declared.
    """

    def __init__(
        self, versions: Mapping[str, str] | None = None, problems: Sequence[str] = (), experiment_id: str = ""
    ) -> None:
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self._versions, self._problems, self._experiment_id = dict(versions or {}), list(problems), experiment_id

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """The inputs, and the outputs that a workspace would add."""
        self.resources[args.typ, args.name] = args.inputs
        kind = args.typ.rpartition(":")[2]
        return f"{args.name}-id", {**_OUTPUTS.get(kind, {}), **args.inputs, **_made_of(kind, args.inputs)}

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """What the provider's functions answer."""
        if not args.token.endswith(":verifyDeployments"):
            return {}
        return {"deployments": [self._verified(wanted) for wanted in args.args["deployments"]]}

    def _verified(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        found = verified(wanted)
        named = zip(wanted.get("versions") or (), found["numbers"], strict=True)
        numbers = [self._versions.get(version.get("alias") or "", number) for version, number in named]
        return {**found, "numbers": numbers, "experimentId": self._experiment_id, "problems": self._problems}


_OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    "ServingEndpoint": {"endpointId": "0123456789abcdef", "workspaceUrl": HOST, "servedEntityStates": {}},
    "FeedbackModelVersion": {"version": "1", "created": True},
    "ServicePrincipal": {"applicationId": "00000000-0000-0000-0000-000000000000"},
    "ServicePrincipalSecret": {"secret": "secret"},
    "AgentRegistration": {"reviewAppUrl": f"{HOST}/ml/review-v2/chat"},
}


def _made_of(kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "Secret":
        return {"reference": f"{{{{secrets/{inputs.get('scope')}/{inputs.get('name')}-0000000}}}}"}
    if kind == "ServingEndpoint":
        table = (inputs.get("aiGateway") or {}).get("inferenceTableConfig") or {}
        prefix = table.get("tableNamePrefix") or table.get("tableNamePrefixHint")
        place = [table.get("catalogName"), table.get("schemaName"), f"{prefix}_payload"]
        return {"payloadTable": ".".join(map(str, place)) if prefix else ""}
    if kind == "DerivedTables":
        suffixes = {"requestLogs": "_request_logs", "assessmentLogs": "_assessment_logs", "quarantine": "_quarantine"}
        return {name: f"{inputs.get('payloadTable')}{suffix}" for name, suffix in suffixes.items()}
    return {}
