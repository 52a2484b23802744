"""Components that take few arguments tell a name that they do not know, and one that they cannot do without."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy import AgentServicePrincipal, FeedbackModel, InferenceTables
from agent_deploy.components.errors import DeploymentError
from tests.components.mocked import Workspace, in_use

SECRET = "HuSh"


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
    ],
)
def test_a_name_that_is_not_known_and_one_that_is_missing_are_told(
    component: Any, args: dict[str, Any], said: list[str]
) -> None:
    workspace, told = refused(component, args)
    assert [text for text in said if text not in told] == []
    assert {kind for kind, _ in workspace.resources} <= {"pulumi:pulumi:Stack"} | {
        f"agent-deploy:index:{component.__name__}"
    }


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
