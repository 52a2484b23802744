"""What statements, indexes and Genie spaces have made is there after `kill -9` and a new start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.sql import StatementState
from databricks.sdk.service.vectorsearch import (
    DeltaSyncVectorIndexSpecRequest,
    EmbeddingVectorColumn,
    EndpointType,
    PipelineType,
    VectorIndexType,
)

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import sdk_client
from tests.workspace.data.test_genie import content

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def own_workspace() -> Iterator[LocalWorkspace]:
    with LocalWorkspace() as workspace:
        yield workspace


def query(sdk: WorkspaceClient, warehouse: str, statement: str) -> list[list[str]]:
    response = sdk.statement_execution.execute_statement(statement, warehouse, wait_timeout="30s")
    assert response.status
    assert response.status.state == StatementState.SUCCEEDED, response.status.error
    return list(response.result.data_array or []) if response.result else []


def test_it_is_all_there_after_a_kill(own_workspace: LocalWorkspace, until: Until) -> None:
    sdk = sdk_client(own_workspace.host, own_workspace.token)
    warehouse = str(sdk.warehouses.create_and_wait(name="w").id)
    for statement in (
        "GRANT USE CATALOG, USE SCHEMA, CREATE TABLE, CREATE FUNCTION ON CATALOG main TO admins",
        "CREATE TABLE main.default.t (id INT, body STRING, v ARRAY<FLOAT>)",
        "INSERT INTO main.default.t VALUES (1, 'first', array(1.0, 0.0)), (2, 'second', array(0.0, 1.0))",
        "CREATE VIEW main.default.v AS SELECT body FROM main.default.t WHERE id = 2",
        "CREATE FUNCTION main.default.f(n INT) RETURNS STRING"
        " RETURN (SELECT max(body) FROM main.default.t WHERE id = n)",
    ):
        query(sdk, warehouse, statement)
    kept = sdk.statement_execution.execute_statement("SELECT 'kept'", warehouse)
    sdk.vector_search_endpoints.create_endpoint_and_wait("vs", EndpointType.STANDARD)
    spec = DeltaSyncVectorIndexSpecRequest(
        source_table="main.default.t",
        pipeline_type=PipelineType.TRIGGERED,
        embedding_vector_columns=[EmbeddingVectorColumn(name="v", embedding_dimension=2)],
    )
    index = "main.default.t_index"
    indexes = sdk.vector_search_indexes
    indexes.create_index(index, "vs", "id", VectorIndexType.DELTA_SYNC, delta_sync_index_spec=spec)
    until(lambda: _is_ready(sdk, index))
    space = sdk.genie.create_space(warehouse, content(("What is the view?", "SELECT * FROM main.default.v"))).space_id
    message = sdk.genie.start_conversation_and_wait(space, "what is the view")
    endless = sdk.statement_execution.execute_statement(
        "SELECT count(*) FROM range(100000000) a JOIN range(100000000) b ON a.id % 7 = b.id % 11",
        warehouse,
        wait_timeout="0s",
    )
    own_workspace.kill()
    own_workspace.start()
    assert query(sdk, warehouse, "SELECT body, main.default.f(1) FROM main.default.v") == [["second", "first"]]
    again = sdk.statement_execution.get_statement(str(kept.statement_id))
    assert again.result
    assert again.result.data_array == [["kept"]]
    interrupted = sdk.statement_execution.get_statement(str(endless.statement_id)).status
    assert interrupted
    assert interrupted.state == StatementState.FAILED
    found = indexes.query_index(index, ["body"], query_vector=[0.0, 1.0], num_results=1)
    assert found.result
    assert found.result.data_array == [["second", 1.0]]
    told = sdk.genie.get_message_query_result(space, message.conversation_id, message.message_id)
    assert told.statement_response
    assert told.statement_response.result
    assert told.statement_response.result.data_array == [["second"]]


def _is_ready(sdk: WorkspaceClient, index: str) -> bool:
    status = sdk.vector_search_indexes.get_index(index).status
    return bool(status and status.ready)


def test_states_can_be_stepped(own_workspace: LocalWorkspace, until: Until) -> None:
    sdk = sdk_client(own_workspace.host, own_workspace.token)
    do: Any = sdk.api_client.do
    do("PUT", "/_local/transitions", body={"mode": "manual"})
    sdk.vector_search_endpoints.create_endpoint("vs", EndpointType.STANDARD)
    warehouse = str(sdk.warehouses.create(name="w").id)
    waiting = sdk.statement_execution.execute_statement("SELECT 1", warehouse, wait_timeout="0s")
    state = sdk.vector_search_endpoints.get_endpoint("vs").endpoint_status
    assert state
    assert str(state.state) == "EndpointStatusState.PROVISIONING"
    status = sdk.statement_execution.get_statement(str(waiting.statement_id)).status
    assert status
    assert status.state == StatementState.PENDING
    do("POST", "/_local/transitions/step", body={})

    def arrived() -> bool:
        status = sdk.statement_execution.get_statement(str(waiting.statement_id)).status
        endpoint = sdk.vector_search_endpoints.get_endpoint("vs").endpoint_status
        online = endpoint is not None and str(endpoint.state) == "EndpointStatusState.ONLINE"
        return online and status is not None and status.state == StatementState.SUCCEEDED

    until(arrived)
