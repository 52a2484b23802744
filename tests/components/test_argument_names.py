"""Components that take few arguments tell a name that they do not know, and one that they cannot do without."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy import AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables
from agent_deploy.components.errors import DeploymentError
from tests.components.mocked import MODEL, TABLES, Workspace, in_use

SECRET = "HuSh"
PLAIN = "dose0123"  # a credential in plain text
OWN = {"model_name": MODEL, "model_version": "1", "auth": "SERVICE_PRINCIPAL"}


def refused(component: Any, args: dict[str, Any]) -> tuple[Workspace, str]:
    """What a program of one component is told, its SECRET values made secrets; and where it was tried."""
    workspace = in_use(Workspace())

    @pulumi.runtime.test
    def program() -> None:
        component("it", hidden(args))

    with pytest.raises(DeploymentError) as raised:
        program()
    return workspace, str(raised.value)


def hidden(value: Any) -> Any:
    """The value with secrets at the places of SECRET; an Output belongs to the program that makes it."""
    if isinstance(value, dict):
        return {name: hidden(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hidden(inner) for inner in value]
    return pulumi.Output.secret(value) if value == SECRET else value


@pytest.mark.parametrize(
    ("component", "args", "said"),
    [
        (FeedbackModel, {"catalog": "main", "shema": "x"}, ["shema: expected a name", "schema: expected a value"]),
        (AgentServicePrincipal, {"name": "x"}, ["name: expected a name that AgentServicePrincipal", "display_name: "]),
        (AgentServicePrincipal, {"display_name": "x", "grants": [1]}, ["grants: expected a name"]),
        (InferenceTables, {"payload_table": "main.default.qa_payload"}, ["endpoint_name: expected a value"]),
        (
            AgentDeployment,
            {**OWN, "service_principal": {"application_id": "app", "client_secret": None}},
            ["service_principal.client_secret: expected an OAuth secret", "have None for a key that is not set"],
        ),
        (
            AgentDeployment,
            {**OWN, "service_principal": {}},
            ["service_principal.application_id: expected the application", "service_principal.client_secret: expected"],
        ),
        (
            AgentDeployment,
            {**OWN, "service_principal": {"application_id": "app", "client_secret": SECRET}, "secret_lifetime_days": 9},
            ["secret_lifetime_days 9: expected none beside service_principal"],
        ),
        (
            AgentServicePrincipal,
            {"display_name": "x", "existing": {"application_id": None}},
            [
                "existing.application_id: expected the application id",
                "existing.client_secret: expected an OAuth secret",
            ],
        ),
        (AgentServicePrincipal, {"display_name": 5}, ["display_name 5: expected a string"]),
        (AgentServicePrincipal, {"display_name": "a\0b"}, ["display_name: expected text without NUL characters"]),
        (AgentServicePrincipal, {"display_name": "x", "existing": PLAIN}, ["existing: expected names and values"]),
        (
            AgentServicePrincipal,
            {
                "display_name": "x",
                "existing": {"application_id": "app", "client_secret": PLAIN},
                "rotation_days": 30,
                "secret_lifetime_days": 60,
            },
            [
                "existing['client_secret']: expected a secret, not plain text",
                "rotation_days 30: expected none beside existing",
                "secret_lifetime_days 60: expected none beside existing",
            ],
        ),
    ],
)
def test_a_name_that_is_not_known_and_one_that_is_missing_are_told(
    component: Any, args: dict[str, Any], said: list[str]
) -> None:
    workspace, told = refused(component, args)
    assert [text for text in said if text not in told] == []
    assert PLAIN not in told
    components = {f"agent-deploy:index:{component.__name__}", TABLES}
    assert {kind for kind, _ in workspace.resources} <= {"pulumi:pulumi:Stack"} | components


@pytest.mark.parametrize(
    ("component", "args", "said"),
    [
        (
            FeedbackModel,
            {"catalog": SECRET, "schema": "x"},
            ["catalog: expected a value that is no"],
        ),
        (FeedbackModel, {"catalog": "main", "schema": 5}, ["schema 5: expected a string"]),
        (
            InferenceTables,
            {"endpoint_name": SECRET},
            ["endpoint_name: expected a value that is no"],
        ),
        (
            InferenceTables,
            {"endpoint_name": "docs", "readers": ["users", SECRET]},
            ["readers[1]: expected a value that is no"],
        ),
    ],
)
def test_a_secret_where_none_can_be_kept_is_told_before_its_value_is(
    component: Any, args: dict[str, Any], said: list[str]
) -> None:
    workspace, told = refused(component, args)
    assert [text for text in said if text not in told] == []
    assert SECRET.lower() not in told.lower()
    assert workspace.calls == 0
