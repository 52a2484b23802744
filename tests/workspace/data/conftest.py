"""A warehouse, and callers that may use it: for the tests of what runs on the workspace's data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from databricks.sdk.service.sql import StatementResponse, StatementState

from tests.workspace.conftest import Caller

Run = Callable[..., StatementResponse]


@pytest.fixture(scope="module")
def warehouse(admin: Caller) -> Iterator[str]:
    """A warehouse that only administrators may use."""
    warehouse_id = str(admin.sdk.warehouses.create_and_wait(name=f"sql {time.time_ns()}").id)
    yield warehouse_id
    admin.sdk.warehouses.delete(warehouse_id)


@pytest.fixture
def run(warehouse: str) -> Run:
    """Executes a statement as a caller."""

    def execute(caller: Caller, statement: str, **more: Any) -> StatementResponse:
        return caller.sdk.statement_execution.execute_statement(statement, warehouse, **{"wait_timeout": "30s", **more})

    return execute


@pytest.fixture
def rows(run: Run) -> Callable[..., list[list[str]]]:
    """The rows of a statement that must succeed."""

    def query(caller: Caller, statement: str, **more: Any) -> list[list[str]]:
        response = run(caller, statement, **more)
        assert response.status
        assert response.status.state == StatementState.SUCCEEDED, response.status.error
        return list(response.result.data_array or []) if response.result else []

    return query


@pytest.fixture
def failure(run: Run) -> Callable[..., str]:
    """SQLSTATE and message of a statement that must fail."""

    def query(caller: Caller, statement: str, **more: Any) -> str:
        status = run(caller, statement, **more).status
        assert status
        assert status.state == StatementState.FAILED, f"{statement} is {status.state}"
        assert status.error
        return f"{status.sql_state} {status.error.message}"

    return query


@pytest.fixture
def agent(newcomer: Callable[[], Caller], admin: Caller, warehouse: str, schema: str) -> Caller:
    """A service principal that may use the warehouse and enter the schema, and nothing else."""
    caller = newcomer()
    use_warehouse(admin, warehouse, caller)
    admin.http.patch("/api/2.1/unity-catalog/permissions/catalog/main", json=grant(caller.name, "USE_CATALOG"))
    admin.http.patch(f"/api/2.1/unity-catalog/permissions/schema/{schema}", json=grant(caller.name, "USE_SCHEMA"))
    return caller


def use_warehouse(admin: Caller, warehouse: str, caller: Caller, level: str = "CAN_USE") -> None:
    entry = {"service_principal_name": caller.name, "permission_level": level}
    changed = admin.http.patch(
        f"/api/2.0/permissions/sql/warehouses/{warehouse}", json={"access_control_list": [entry]}
    )
    changed.raise_for_status()


def grant(principal: str, *privileges: str) -> dict[str, Any]:
    return {"changes": [{"principal": principal, "add": list(privileges)}]}


@pytest.fixture
def tables(admin: Caller, schema: str, rows: Callable[..., list[list[str]]]) -> str:
    """Two tables of the administrator's in the test's schema: orders and a sibling."""
    rows(admin, f"CREATE TABLE {schema}.orders (id INT NOT NULL, customer STRING, price DECIMAL(10,2))")
    rows(admin, f"INSERT INTO {schema}.orders VALUES (1, 'ann', 9.50), (2, 'bob', 1.00), (3, 'ann', 3.25)")
    rows(admin, f"CREATE TABLE {schema}.salaries AS SELECT 'ann' AS employee, 5000 AS salary")
    return schema
