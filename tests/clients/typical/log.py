"""`log.py MODEL PINS` makes what the agent touches, logs it with all of that declared, and prints what is to be set."""

import json
import os
import sys
import time
from pathlib import Path

import mlflow
from databricks.ai_search.client import AISearchClient
from databricks.sdk import WorkspaceClient
from mlflow.models.auth_policy import AuthPolicy, SystemAuthPolicy, UserAuthPolicy
from mlflow.models.resources import (
    DatabricksFunction,
    DatabricksServingEndpoint,
    DatabricksSQLWarehouse,
    DatabricksVectorSearchIndex,
)

model, warehouse, workspace = sys.argv[1], os.environ["WAREHOUSE_ID"], WorkspaceClient()
schema = model.rpartition(".")[0]
table, index, function = f"{schema}.clerk_docs", f"{schema}.clerk_index", f"{schema}.price_of"


def sql(statement: str) -> None:
    done = workspace.statement_execution.execute_statement(statement, warehouse, wait_timeout="50s")
    assert done.status.error is None, done.status


sql(f"CREATE TABLE {table} (id STRING, body STRING)")
sql(f"INSERT INTO {table} VALUES ('1', 'The library opens at nine'), ('2', 'Grants are inherited')")
sql(f"CREATE FUNCTION {function}(thing STRING) RETURNS STRING RETURN concat(thing, ' costs 3 euros')")
client = AISearchClient(disable_notice=True)
client.create_endpoint_and_wait("clerks")
client.create_delta_sync_index(
    endpoint_name="clerks", index_name=index, source_table_name=table, pipeline_type="TRIGGERED", primary_key="id",
    embedding_source_column="body", embedding_model_endpoint_name="databricks-gte-large-en",
)  # fmt: skip
until = time.monotonic() + 60
while not workspace.vector_search_indexes.get_index(index).status.ready:
    assert time.monotonic() < until
    time.sleep(0.1)

resources = [
    DatabricksServingEndpoint("databricks-claude-sonnet-4"),
    DatabricksServingEndpoint("databricks-gte-large-en"),
    DatabricksVectorSearchIndex(index),
    DatabricksFunction(function),
    DatabricksSQLWarehouse(warehouse),
]
mlflow.set_experiment("/Shared/clerk")
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="clerk",
        python_model=str(Path(__file__).with_name("agent.py")),
        registered_model_name=model,
        pip_requirements=sys.argv[2],  # the pins of this very environment
        input_example={"input": [{"role": "user", "content": "nothing"}]},
        auth_policy=AuthPolicy(
            system_auth_policy=SystemAuthPolicy(resources),
            user_auth_policy=UserAuthPolicy(["serving.serving-endpoints"]),
        ),
    )
print(json.dumps({"FUNCTION": function, "INDEX": index, "WAREHOUSE_ID": warehouse}))
