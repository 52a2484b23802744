"""Components that take few arguments tell a name that they do not know, and one that they cannot do without."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy import AgentServicePrincipal, FeedbackModel
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
