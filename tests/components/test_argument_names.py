"""Components that take few arguments tell a name that they do not know, and one that they cannot do without."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy import AgentServicePrincipal, FeedbackModel, InferenceTables
from agent_deploy.components.errors import DeploymentError
from tests.components.mocked import Workspace, in_use


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
    workspace = in_use(Workspace())

    @pulumi.runtime.test
    def program() -> None:
        component("it", args)

    with pytest.raises(DeploymentError) as raised:
        program()
    assert [text for text in said if text not in str(raised.value)] == []
    assert {kind for kind, _ in workspace.resources} <= {"pulumi:pulumi:Stack"} | {
        f"agent-deploy:index:{component.__name__}"
    }


SECRET = "HuSh"


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
    ],
)
def test_a_secret_where_none_can_be_kept_is_told_before_its_value_is(
    component: Any, args: dict[str, Any], said: list[str]
) -> None:
    workspace = in_use(Workspace())

    @pulumi.runtime.test
    def program() -> None:
        component(
            "it", {name: pulumi.Output.secret(value) if value == SECRET else value for name, value in args.items()}
        )

    with pytest.raises(DeploymentError) as raised:
        program()
    assert [text for text in said if text not in str(raised.value)] == []
    assert SECRET.lower() not in str(raised.value).lower()
    assert workspace.calls == 0
