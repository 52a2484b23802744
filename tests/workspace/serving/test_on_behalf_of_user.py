"""A served model acts on behalf of who asks it: with his privileges, in the scopes that it declares, as nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
from mlflow.models.auth_policy import AuthPolicy, SystemAuthPolicy, UserAuthPolicy
from mlflow.models.resources import DatabricksSQLWarehouse, DatabricksTable

from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import HERE, Endpoint, ok, question, register, served, text_of

Create = Callable[..., Endpoint]
SCOPES = ["sql.statement-execution", "sql.warehouses"]


def run(admin: Caller, warehouse: str, statement: str) -> None:
    done = admin.sdk.statement_execution.execute_statement(statement, warehouse)
    assert done.status
    assert done.status.error is None, done.status.error


@pytest.fixture(scope="module")
def warehouse(admin: Caller) -> str:
    made = admin.sdk.warehouses.create_and_wait(
        name="on behalf", cluster_size="2X-Small", max_num_clusters=1, auto_stop_mins=10
    )
    return str(made.id)


@pytest.fixture
def agent(admin: Caller, create: Create, schema: str, warehouse: str, tmp_path: Path, monkeypatch: Any) -> Endpoint:
    """It may read the table `ours`, and says that users are to consent to SQL."""
    for table in ("ours", "theirs"):
        run(admin, warehouse, f"CREATE TABLE {schema}.{table} (name STRING)")
        run(admin, warehouse, f"INSERT INTO {schema}.{table} VALUES ('of {table}')")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("WAREHOUSE_ID", warehouse)
    monkeypatch.chdir(tmp_path)
    system = SystemAuthPolicy([DatabricksTable(f"{schema}.ours"), DatabricksSQLWarehouse(warehouse)])
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=str(HERE / "on_behalf.py"),
        pip_requirements=["mlflow"],
        auth_policy=AuthPolicy(system_auth_policy=system, user_auth_policy=UserAuthPolicy(SCOPES)),
    )
    register(admin.http, f"{schema}.on_behalf", tmp_path / "model")
    endpoint = create(served(f"{schema}.on_behalf", environment_vars={"WAREHOUSE_ID": warehouse}))
    assert endpoint.get()["state"]["ready"] == "READY", endpoint.log("first", "build-logs")
    return endpoint


def said(caller: Caller, endpoint: Endpoint, text: str) -> str:
    url = f"/serving-endpoints/{endpoint.name}/invocations"
    return text_of(ok(caller.http.post(url, json=question(text))))


def test_with_the_users_privileges_and_in_the_declared_scopes(
    agent: Endpoint, admin: Caller, newcomer: Callable[[], Caller], schema: str, warehouse: str
) -> None:
    user = newcomer()
    endpoint_id = agent.get()["id"]
    for path, level in ((f"serving-endpoints/{endpoint_id}", "CAN_QUERY"), (f"sql/warehouses/{warehouse}", "CAN_USE")):
        entry = {"service_principal_name": user.name, "permission_level": level}
        ok(admin.http.patch(f"/api/2.0/permissions/{path}", json={"access_control_list": [entry]}))
    for statement in (
        f"GRANT USE CATALOG ON CATALOG {schema.split('.')[0]} TO `{user.name}`",
        f"GRANT USE SCHEMA ON SCHEMA {schema} TO `{user.name}`",
        f"GRANT SELECT ON TABLE {schema}.theirs TO `{user.name}`",
    ):
        run(admin, warehouse, statement)
    # What the user may read and the agent may not, and the other way round.
    assert said(user, agent, f"user read {schema}.theirs") == '[["of theirs"]]'
    assert "SELECT" in said(user, agent, f"own read {schema}.theirs")
    assert said(user, agent, f"own read {schema}.ours") == '[["of ours"]]'
    refused = said(user, agent, f"user read {schema}.ours")
    assert "of ours" not in refused
    assert "SELECT" in refused
    # Neither does it reach what its model does not declare, whatever the user may.
    assert "required scopes" in said(admin, agent, "user secrets")
    assert said(admin, agent, f"user read {schema}.ours") == '[["of ours"]]'
    log = agent.log("first")
    assert "dapi" not in log


def test_nobody_gets_anothers_token(agent: Endpoint, admin: Caller, newcomer: Callable[[], Caller]) -> None:
    users = [newcomer() for _ in range(3)]
    entries = [{"service_principal_name": user.name, "permission_level": "CAN_QUERY"} for user in users]
    ok(
        admin.http.patch(
            f"/api/2.0/permissions/serving-endpoints/{agent.get()['id']}", json={"access_control_list": entries}
        )
    )
    wrong: list[str] = []

    def ask(user: Caller) -> None:
        url = f"/serving-endpoints/{agent.name}/invocations"
        for stream in (False, True, False, True):
            answer = user.http.post(url, json={**question("user me"), "stream": stream})
            others = [other.name for other in users if other is not user and other.name in answer.text]
            if answer.status_code != 200 or user.name not in answer.text or others:
                wrong.append(answer.text)

    threads = [threading.Thread(target=ask, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_that_declares_no_scopes_has_nobodys_token(
    create: Create, admin: Caller, schema: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=str(HERE / "on_behalf.py"), pip_requirements=["mlflow"])
    register(admin.http, f"{schema}.own", tmp_path / "model")
    endpoint = create(served(f"{schema}.own"))
    assert admin.name not in said(admin, endpoint, "user me")
