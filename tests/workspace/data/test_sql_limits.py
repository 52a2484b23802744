"""What a statement may take: rows, memory, files, time, others' turns; and who may end it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.statements.database import Database
from agent_deploy.local.statements.errors import SqlError
from agent_deploy.local.statements.limits import Held, Limits, watched
from agent_deploy.local.workspace import WorkspaceError
from tests.workspace.conftest import http_client

STATEMENTS = "/api/2.0/sql/statements"
# Takes hours, and hardly any memory.
ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.id + b.id) = 3"
_LIMITS: dict[str, Any] = {
    "sql_rows": 100_000,
    "sql_memory_mib": 100,
    "sql_files_mib": 50,
    "sql_seconds": 3,
    "sql_per_user": 2,
}


@pytest.fixture(scope="module")
def workspace() -> Iterator[LocalWorkspace]:
    """One with narrow limits."""
    with LocalWorkspace(**_LIMITS, sql_waiting_per_user=3) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def admin(workspace: LocalWorkspace) -> Iterator[httpx.Client]:
    """The administrator."""
    with http_client(workspace.host, workspace.token) as http:
        yield http


@pytest.fixture(scope="module")
def warehouse(admin: httpx.Client) -> str:
    """One that everybody may use."""
    found = str(admin.post("/api/2.0/sql/warehouses", json={"name": "w"}).json()["id"])
    users = {"access_control_list": [{"group_name": "users", "permission_level": "CAN_USE"}]}
    admin.patch(f"/api/2.0/permissions/sql/warehouses/{found}", json=users).raise_for_status()
    return found


@pytest.fixture(scope="module")
def user(workspace: LocalWorkspace, admin: httpx.Client) -> Iterator[httpx.Client]:
    """Somebody who may use the warehouse."""
    admin.post("/api/2.0/preview/scim/v2/Users", json={"userName": "bob@x"}).raise_for_status()
    token = admin.post("/_local/tokens", json={"principal": "bob@x"}).json()["token_value"]
    with http_client(workspace.host, token) as http:
        yield http


Ask = Callable[..., Any]


@pytest.fixture
def ask(warehouse: str) -> Ask:
    """Sends a statement; returns the answer."""

    def send(http: httpx.Client, statement: str, wait: str = "30s", **more: Any) -> Any:
        body = {"statement": statement, "warehouse_id": warehouse, "wait_timeout": wait, **more}
        return http.post(STATEMENTS, json=body).json()

    return send


def _failure(answer: Any) -> str:
    assert answer["status"]["state"] == "FAILED", answer
    return str(answer["status"]["error"]["message"])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM range(1000000000000)",
        "SELECT a.id FROM range(1000000) a, range(1000000) b",
        "CREATE TABLE main.default.big AS SELECT id FROM range(1000000000)",
        "SELECT explode(sequence(1, 1000)) FROM range(1000000)",
    ],
)
def test_rows_are_counted_before_they_are_held(admin: httpx.Client, ask: Ask, statement: str) -> None:
    told = _failure(ask(admin, statement))
    assert "sql_rows" in told or "sql_memory_mib" in told or "sql_seconds" in told
    assert admin.get("/_local/health").status_code == 200


def test_a_row_limit_ends_the_reading(admin: httpx.Client, ask: Ask) -> None:
    answer = ask(admin, "SELECT id FROM range(1000000000000)", row_limit=70_000)
    assert answer["status"]["state"] == "SUCCEEDED"
    assert (answer["manifest"]["total_row_count"], answer["manifest"]["truncated"]) == (70_000, True)
    exact = ask(admin, "SELECT id FROM range(3)", row_limit=3)["manifest"]
    assert (exact["total_row_count"], exact["truncated"]) == (3, False)


def test_memory_and_files_are_bounded(admin: httpx.Client, ask: Ask, workspace: LocalWorkspace) -> None:
    told = _failure(
        ask(admin, "SELECT count(*) FROM (SELECT DISTINCT repeat(CAST(id AS STRING), 40) FROM range(30000000))")
    )
    assert "sql_memory_mib" in told or "sql_seconds" in told
    folder = Path(workspace.folder) / "scratch" / "sql"
    assert not folder.exists() or not list(folder.iterdir())


def test_a_statement_ends_when_its_time_is_over(user: httpx.Client, ask: Ask) -> None:
    began = time.monotonic()
    answer = ask(user, ENDLESS)
    assert "QUERY_EXECUTION_TIMEOUT_EXCEEDED" in _failure(answer)
    assert answer["status"]["sql_state"] == "57KD0"
    assert time.monotonic() - began < 25


def test_one_user_leaves_room_for_the_others(
    admin: httpx.Client, user: httpx.Client, ask: Ask, until: Callable[[Callable[[], bool]], None]
) -> None:
    started = [ask(user, ENDLESS, "0s")["statement_id"] for _ in range(5)]
    running = lambda: admin.get("/_local/statements").json()["statements"]  # noqa: E731
    until(lambda: [each["state"] for each in running()].count("RUNNING") == 2 or len(running()) < 5)
    assert {each["owner"] for each in running()} == {"bob@x"}
    refused = ask(user, "SELECT 1", "0s")
    assert refused["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert ask(admin, "SELECT 1")["result"]["data_array"] == [["1"]]
    for statement in started:
        admin.post(f"{STATEMENTS}/{statement}/cancel").raise_for_status()
    states = {user.get(f"{STATEMENTS}/{statement}").json()["status"]["state"] for statement in started}
    assert "CANCELED" in states
    assert states <= {"CANCELED", "FAILED"}
    until(lambda: running() == [])
    assert ask(user, "SELECT 1")["result"]["data_array"] == [["1"]]


def test_only_its_owner_and_administrators_end_a_statement(
    admin: httpx.Client, user: httpx.Client, ask: Ask, workspace: LocalWorkspace
) -> None:
    statement = ask(admin, ENDLESS, "0s")["statement_id"]
    assert user.post(f"{STATEMENTS}/{statement}/cancel").status_code == 403
    assert user.get("/_local/statements").status_code == 403
    assert admin.post(f"{STATEMENTS}/none/cancel").status_code == 404
    admin.post(f"{STATEMENTS}/{statement}/cancel").raise_for_status()
    assert admin.get(f"{STATEMENTS}/{statement}").json()["status"]["state"] == "CANCELED"
    theirs = ask(user, "SELECT 1")["statement_id"]
    assert admin.get(f"{STATEMENTS}/{theirs}").status_code == 403, "what it found is its owner's"


class TestLimits:
    @pytest.mark.parametrize("value", [0, -1, "many", None, True, float("inf"), float("nan")])
    def test_a_limit_is_a_number_above_0(self, value: Any) -> None:
        with pytest.raises(ApiError, match="sql_rows"):
            Limits.of({"sql_rows": value})
        assert Limits.of({"sql_rows": 5, "serving_start": "x"}) == Limits(sql_rows=5)

    def test_a_workspace_with_another_does_not_start(self) -> None:
        with pytest.raises(WorkspaceError, match="sql_seconds"), LocalWorkspace(sql_seconds="long"):
            pass

    def test_rows_count_together(self) -> None:
        held = Held(Limits(sql_rows=10, sql_rows_mib=1))
        held.add(10, 0)
        with pytest.raises(SqlError, match="sql_rows"):
            held.add(1, 0)
        with pytest.raises(SqlError, match="sql_rows_mib"):
            Held(Limits(sql_rows_mib=1)).add(1, (1 << 20) + 1)

    def test_an_interruption_is_repeated_until_it_is_heard(self) -> None:
        interruptions: list[int] = []
        with watched(lambda: True, lambda: interruptions.append(1)):
            deadline = time.monotonic() + 30
            while len(interruptions) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_errors_in_the_middle_of_the_rows_are_the_engines(self, tmp_path: Path) -> None:
        with Database(Limits(), tmp_path) as database:
            name = database.scan(pa.table({"a": ["1"] * 200_000 + ["x"]}), "t")
            query = parse_one(f'SELECT CAST("a" AS INT) AS "a" FROM "{name}"', dialect="duckdb")
            assert isinstance(query, exp.Query)
            with pytest.raises(SqlError, match="CAST_INVALID_INPUT"):
                database.rows(query)
        assert list(tmp_path.iterdir()) == []
