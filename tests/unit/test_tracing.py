"""Where an agent's traces go: MLflow's variables are checked, and become resources that the agent is given."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.rules.argument_checks import undecided
from agent_deploy.rules.declaration import declared
from agent_deploy.rules.environment import check_environment
from agent_deploy.rules.resource_kinds import Resource, agent_access
from agent_deploy.rules.tracing import tracing_resources
from agent_deploy.rules.values import Secret, Unknown

DESTINATION, WAREHOUSE = "MLFLOW_TRACING_DESTINATION", "MLFLOW_TRACING_SQL_WAREHOUSE_ID"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (DESTINATION, "main.traces.prefix", "catalog.schema"),
        (DESTINATION, "77", "An experiment is named by experiment_id"),
        (DESTINATION, "", "catalog.schema"),
        (DESTINATION, "{{secrets/team/place}}", "no secret"),
        (DESTINATION, Secret("main.traces"), "no secret"),
        (WAREHOUSE, "my warehouse", "the id of a SQL warehouse"),
        (WAREHOUSE, "{{secrets/team/id}}", "no secret"),
    ],
)
def test_what_mlflow_could_not_read_is_told_of_its_variable(key: str, value: object, expected: str) -> None:
    [problem] = check_environment("environment", {key: value})
    assert str(problem).startswith(f"environment[{key!r}]")
    assert expected in str(problem)
    assert tracing_resources({key: value}) == ()


def test_the_agent_writes_the_tables_and_uses_the_warehouse() -> None:
    environment = {DESTINATION: "main.traces", WAREHOUSE: "0123"}
    assert check_environment("environment", environment) == []
    found = {(str(each.target), each.privilege) for each in agent_access(tracing_resources(environment))}
    tables = [f"Table 'main.traces.mlflow_experiment_trace_otel_{name}'" for name in ("spans", "logs", "metrics")]
    assert found == {
        ("Catalog 'main'", "USE_CATALOG"),
        ("Schema 'main.traces'", "USE_SCHEMA"),
        *((table, privilege) for table in tables for privilege in ("SELECT", "MODIFY")),
        ("SQL warehouse '0123'", "CAN_USE"),
    }


def test_those_of_a_version_count_as_well() -> None:
    versions = [{"version": "1", "environment": {WAREHOUSE: "0123"}}]
    of_version = declared({"model_name": "main.default.agent", "versions": versions})
    assert of_version.identity.resources == (Resource("sql_warehouse", "0123"),)


def test_what_is_not_known_yet_cannot_be_granted_in_a_preview() -> None:
    args: dict[str, Any] = {"model_name": "main.default.agent", "versions": [{"version": "1"}]}
    args |= {"auth": "SERVICE_PRINCIPAL", "environment": {DESTINATION: Unknown(), WAREHOUSE: "0123"}}
    [problem] = undecided(declared(args), args)
    assert problem.field == f"environment[{DESTINATION!r}]"
    assert undecided(declared({**args, "auth": "PASSTHROUGH"}), {**args, "auth": "PASSTHROUGH"}) == []
