"""What other resources of a program are about to make is not looked for in its preview, and is in `up`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from agent_deploy import AgentDeployment, AgentServicePrincipal, FeedbackModel
from agent_deploy.resources.databricks import SecretScope
from tests.components.mocked import RUNNER, Workspace, in_use


def asked(preview: bool) -> tuple[Mapping[Any, Any], Workspace]:
    """What is looked up of an agent that uses a scope, a warehouse and a schema of the same program."""
    mocks = in_use(Workspace(), preview=preview)

    def program() -> None:
        made = SecretScope("made", name="team").name
        args: Any = {
            "model_name": "main.default.qa",
            "model_version": "3",
            "auth": "SERVICE_PRINCIPAL",
            "environment": {"KEY": pulumi.Output.concat("{{secrets/", made, "/key}}")},
            "resources": [{"kind": "serving_endpoint", "name": made}],
            "inference_tables": {"schema": made},
        }
        AgentDeployment("qa", args)

    pulumi.runtime.test(program)()
    return mocks.asked[0], mocks


def test_an_agents_preview_does_not_ask_for_what_the_program_makes() -> None:
    wanted, mocks = asked(preview=True)
    assert (wanted["references"], wanted["resources"]) == ([], [])
    assert not wanted["requirements"].get("inferenceSchema")
    previewed = set(mocks.resources)
    wanted, mocks = asked(preview=False)
    assert [each["value"] for each in wanted["references"]] == ["{{secrets/team/key}}"]
    assert [each["name"] for each in wanted["resources"]] == ["team"]
    assert wanted["requirements"]["inferenceSchema"] == "main.team"
    # What is granted is declared in both.
    assert set(mocks.resources) == previewed
    assert any("serving-endpoints-team" in name for _, name in previewed)


def test_a_feedback_model_in_a_schema_of_the_program_is_looked_up_in_up_only() -> None:
    def program() -> None:
        FeedbackModel("mine", catalog="main", schema=SecretScope("made", name="agents").name)

    for preview, times in ((True, 0), (False, 1)):
        mocks = in_use(Workspace(), preview=preview)
        pulumi.runtime.test(program)()
        assert len(mocks.asked) == times


class Refusing(Workspace):
    """Refuses whatever warehouse is needed."""

    def verified(self, asked: Mapping[Any, Any]) -> dict[str, Any]:
        return {**super().verified(asked), "problems": [f"no {each['name']}" for each in asked["resources"]]}


def test_a_service_principal_whose_arguments_are_outputs_is_verified_whole_in_up() -> None:
    mocks = in_use(Refusing())

    def program() -> None:
        made = SecretScope("made", name="nonesuch").name
        AgentServicePrincipal("me", display_name=made, resources=[{"kind": "sql_warehouse", "name": made}])

    with pytest.raises(pulumi.RunError, match="no nonesuch"):
        pulumi.runtime.test(program)()
    assert {name for kind, name in mocks.resources if kind.endswith("ServicePrincipal")} <= {"me"}
    assert not any(kind == "agent-deploy:index:ServicePrincipal" for kind, _ in mocks.resources)


PRINCIPALS: dict[str, Any] = {
    "permissions[0].group_name": lambda who: {"permissions": [{"group_name": who, "level": "CAN_QUERY"}]},
    "permissions[0].user_name": lambda who: {"permissions": [{"user_name": who, "level": "CAN_QUERY"}]},
    "permissions[0].service_principal_name": lambda who: {
        "permissions": [{"service_principal_name": who, "level": "CAN_QUERY"}]
    },
    "review_app.reviewers[0].group_name": lambda who: {"review_app": {"reviewers": [{"group_name": who}]}},
    "inference_tables.readers[0]": lambda who: {"inference_tables": {"readers": [who]}},
    "inference_tables.run_as": lambda who: {"inference_tables": {"run_as": who}},
    "service_principal.application_id": lambda who: {
        "auth": "SERVICE_PRINCIPAL",
        "service_principal": {"application_id": who, "client_secret": "{{secrets/team/key}}"},
    },
}


@pytest.mark.parametrize("field", PRINCIPALS)
def test_principals_out_of_the_program_are_looked_up_in_up_alone(field: str) -> None:
    def program() -> None:
        made = SecretScope("made", name=RUNNER).name
        args: Any = {"model_name": "main.default.qa", "model_version": "3", **PRINCIPALS[field](made)}
        AgentDeployment("qa", args)

    for preview in (True, False):
        mocks = in_use(Workspace(), preview=preview)
        pulumi.runtime.test(program)()
        looked_up = {each["field"]: each["value"] for each in mocks.asked[0]["principals"]}
        assert looked_up == ({} if preview else {field: RUNNER})


def test_whose_principals_are_its_own_program_s_is_told_and_nothing_else() -> None:
    told: list[str] = []

    def program() -> None:
        made = SecretScope("made", name="team").name
        args: Any = {"model_name": "main.default.qa", "model_version": "3", "description": made}
        args["permissions"] = [{"group_name": made, "level": "CAN_QUERY"}]
        AgentDeployment("qa", args)

    in_use(Workspace(), preview=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulumi.log, "info", lambda text, *_: told.append(text))
        pulumi.runtime.test(program)()
    assert [text.rpartition(": ")[2] for text in told if "other resources of this program" in text] == [
        "permissions[0].group_name"
    ]
