"""Components of their own ask the verification as an AgentDeployment does, and create nothing that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pytest

from agent_deploy import AgentServicePrincipal, FeedbackModel
from tests.components.mocked import Workspace, in_use


class Refusing(Workspace):
    """Everything is refused."""

    def verified(self, asked: Mapping[Any, Any]) -> dict[str, Any]:
        return {**super().verified(asked), "problems": ["it is refused [AGV002]"]}


def principal() -> None:
    table = {"kind": "table", "name": "main.default.docs"}
    AgentServicePrincipal("me", {"display_name": "agent", "resources": [table]})  # type: ignore[call-overload]


def feedback() -> None:
    FeedbackModel("mine", {"catalog": "main", "schema": "agents"})


@pytest.mark.parametrize(("program", "scopes", "model"), [(principal, ["agent"], None), (feedback, [], "main.agents")])
def test_what_is_refused_is_told_and_creates_no_identity_nor_model(
    program: Callable[[], None], scopes: list[str], model: str | None
) -> None:
    mocks = in_use(Refusing())
    with pytest.raises(pulumi.RunError, match=r"cannot be deployed:\n  - it is refused \[AGV002\]"):
        pulumi.runtime.test(program)()
    [asked] = mocks.asked
    assert asked["requirements"]["secretScopes"] == scopes
    assert asked.get("feedbackModel") == (model and f"{model}.feedback")
    kinds = {kind.rpartition(":")[2] for kind, _ in mocks.resources}
    assert not kinds & {"ServicePrincipal", "SecretScope", "Secret", "FeedbackModelVersion", "Grant"}


@pytest.mark.parametrize("field", ["display_name", "secret_scope", "experiment_id"])
def test_a_secret_where_everybody_sees_the_value_is_refused(field: str) -> None:
    mocks = in_use(Workspace())

    def program() -> None:
        args: Any = {"display_name": "agent", field: pulumi.Output.secret("hush-hush")}
        AgentServicePrincipal("me", args)

    with pytest.raises(pulumi.RunError, match=f"{field}: expected a value that is no secret") as raised:
        pulumi.runtime.test(program)()
    assert "hush-hush" not in str(raised.value)
    assert [kind.rpartition(":")[2] for kind, _ in mocks.resources] == ["AgentServicePrincipal"]
