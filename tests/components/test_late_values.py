"""An Output where what is declared depends on the value itself is told, with no traceback and never with its value."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pulumi
import pytest
from pulumi.output import Unknown

from agent_deploy import AgentServicePrincipal, InferenceTables
from agent_deploy.components.errors import DeploymentError
from tests.components.mocked import DERIVED, ENDPOINT, JOB, REGISTRATION, SECRET, Workspace, deploy, in_use

NAMES = "names and values, such as "
OF_NAMES = "What is declared depends on its names: give each value as an Output instead"


def secret(value: object) -> Any:
    return pulumi.Output.secret(value)


def told(error: BaseException) -> list[str]:
    return [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]


def fields(error: BaseException) -> list[str]:
    return [re.split("[ :]", line)[0] for line in told(error)]


def test_an_environment_that_is_an_output_is_told_with_what_to_do_instead(workspace: Workspace) -> None:
    late = secret({"KEY": "hush"})
    with pytest.raises(DeploymentError) as raised:
        deploy({"environment": late, "versions": [{"version": "1", "environment": late}, {"version": "2"}]})
    expected = f'expected {NAMES}{{"KEY": "value"}}, and not an Output. {OF_NAMES}'
    assert told(raised.value)[:2] == [f"environment: {expected}", f"versions[0].environment: {expected}"]
    assert "hush" not in str(raised.value)
    assert (ENDPOINT, "qa") not in workspace.resources


@pytest.mark.parametrize("late", [pulumi.Output.from_input, pulumi.Output.secret])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("versions", [{"version": "1"}]),
        ("permissions", [{"group_name": "users", "level": "CAN_QUERY"}]),
        ("review_app", {"instructions": "hush"}),
        ("inference_tables", {"enabled": False}),
        ("timeouts", {"create": "45m"}),
        ("service_principal", {"application_id": "app", "client_secret": "hush"}),
    ],
)
def test_each_container_that_is_an_output_is_told(name: str, value: Any, late: Any) -> None:
    in_use(Workspace())
    with pytest.raises(DeploymentError, match=f"{name}: expected .*, and not an Output") as raised:
        deploy({"model_version": "1", name: late(value)})
    assert "hush" not in str(raised.value)


def test_what_is_late_within_a_container_hides_nothing_else(workspace: Workspace) -> None:
    late = pulumi.Output.from_input
    with pytest.raises(DeploymentError) as raised:
        deploy(
            {
                "versions": [late({"version": "1"}), {"version": "9"}],
                "permissions": [late({})],
                "review_app": {"reviewers": late([]), "instructions": 3},
                "inference_tables": {"readers": late(["users"]), "schedule": late("daily"), "derive": late(False)},
                "timeouts": {"create": late("45m")},
            }
        )
    assert fields(raised.value) == [
        "versions[0]",
        "permissions[0]",
        "review_app.reviewers",
        "inference_tables.readers",
        "inference_tables.schedule",
        "inference_tables.derive",
        "timeouts.create",
        "review_app.instructions",
        "versions[1]",
    ]


def test_what_is_looked_into_later_may_be_an_output(workspace: Workspace) -> None:
    late = pulumi.Output.from_input
    versions = [{"version": late("1")}, {"version": "2", "environment": {"KEY": late("x")}}]
    deploy({"versions": versions, "tags": late({"team": "search"}), "traffic": late({"1": 90, "2": 10})})
    endpoint = workspace.resources[ENDPOINT, "qa"]
    assert endpoint["tags"]["team"] == "search"
    assert endpoint["traffic"]["main-default-qa_1"] == 90
    assert endpoint["servedEntities"]["main-default-qa_2"]["environmentVars"]["KEY"] == "x"


def unknown() -> pulumi.Output[Any]:
    return pulumi.Output.from_input(pulumi.UNKNOWN)


def test_a_variable_that_a_preview_does_not_know_hides_nothing_else() -> None:
    workspace = in_use(Workspace(), preview=True)
    own = {"version": "2", "environment": {"OWN": unknown()}}
    shared = {"URL": unknown(), "KEY": secret("hush"), "PLAIN": "x", "REF": "{{secrets/team/key}}"}
    deploy({"versions": [{"version": "1"}, own], "traffic": {"1": 100, "2": 0}, "environment": shared})
    assert [each["value"] for each in workspace.asked[0]["references"]] == ["{{secrets/team/key}}"]
    variables = [
        workspace.resources[ENDPOINT, "qa"]["servedEntities"][f"main-default-qa_{number}"]["environmentVars"]
        for number in (1, 2)
    ]
    late = [{key for key, value in each.items() if isinstance(value, Unknown)} for each in variables]
    assert late == [{"URL"}, {"URL", "OWN"}]
    reference = "{{secrets/agents_main-default-qa/KEY-0a1b2c3}}"
    assert (variables[0]["PLAIN"], variables[0]["KEY"]) == ("x", reference)
    assert [name for kind, name in workspace.resources if kind == SECRET] == ["qa-secret-KEY"]
    assert {REGISTRATION, DERIVED, JOB} <= {kind for kind, _ in workspace.resources}


def test_what_is_wrong_beside_a_variable_that_is_not_known_is_told_in_the_preview() -> None:
    in_use(Workspace(), preview=True)
    with pytest.raises(DeploymentError) as raised:
        deploy({"model_version": "9", "workload_size": "Huge", "environment": {"URL": unknown(), "a": "1"}})
    assert fields(raised.value) == ["workload_size", "environment", "model_version"]


def test_an_experiment_that_is_not_known_is_not_guessed() -> None:
    workspace = in_use(Workspace(), preview=True)
    late = {"MLFLOW_EXPERIMENT_ID": unknown()}
    deploy({"model_version": "1", "environment": late, "inference_tables": {"enabled": False}})
    [asked] = workspace.asked
    assert "experiment" not in asked
    assert isinstance(workspace.resources[ENDPOINT, "qa"]["tags"]["MONITOR_EXPERIMENT_ID"], Unknown)


@pytest.mark.parametrize(
    ("component", "args", "expected"),
    [
        (
            InferenceTables,
            {"endpoint_name": "e", "readers": ["hush"], "schedule": "daily", "retention_days": 3},
            ["readers", "schedule", "retention_days"],
        ),
        (
            AgentServicePrincipal,
            {
                "display_name": "x",
                "resources": [{"kind": "table", "name": "a.b.c"}],
                "existing": {},
                "rotation_days": 1,
            },
            ["resources", "existing", "rotation_days"],
        ),
    ],
)
def test_the_other_components_tell_it_as_well(component: Any, args: dict[str, Any], expected: list[str]) -> None:
    in_use(Workspace())

    @pulumi.runtime.test
    def program() -> None:
        component("it", {name: secret(value) if name in expected else value for name, value in args.items()})

    with pytest.raises(DeploymentError) as raised:
        program()
    assert [field for field in fields(raised.value) if field != "warehouse_id"] == expected
    assert "hush" not in str(raised.value)


def test_a_resource_that_is_an_output_is_told_once() -> None:
    in_use(Workspace())

    @pulumi.runtime.test
    def program() -> None:
        AgentServicePrincipal("it", {"display_name": "x", "resources": [secret({"kind": "table"})]})

    with pytest.raises(DeploymentError) as raised:
        program()
    assert fields(raised.value) == ["resources[0]"]


def test_what_is_awaited_is_told_as_an_output_is(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError, match="environment: expected names and values"):
        deploy({"model_version": "1", "environment": asyncio.get_event_loop().create_future()})
