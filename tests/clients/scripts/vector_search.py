"""Indexes made, filled, asked, scanned and removed by the vendor's client; asked by its retrievers."""

import json
import os
import time
import uuid

from databricks.ai_search.client import AISearchClient
from databricks.ai_search.exceptions import BadRequest
from databricks.sdk import WorkspaceClient
from databricks_langchain import DatabricksVectorSearch
from databricks_langchain import VectorSearchRetrieverTool as OfLangChain
from databricks_openai import VectorSearchRetrieverTool as OfOpenAI

endpoint, name = f"vs-{uuid.uuid4().hex[:8]}", f"main.default.vs_{uuid.uuid4().hex[:8]}"
workspace = WorkspaceClient()
warehouse = os.environ["WAREHOUSE_ID"]


def sql(statement: str) -> None:
    done = workspace.statement_execution.execute_statement(statement, warehouse, wait_timeout="50s")
    assert done.status.error is None, done.status


def wait_for(index: str) -> None:
    """The client's own waiting looks every thirty seconds."""
    until = time.monotonic() + 60
    while not workspace.vector_search_indexes.get_index(index).status.ready:
        assert time.monotonic() < until, index
        time.sleep(0.1)


client = AISearchClient(disable_notice=True)
client.create_endpoint_and_wait(endpoint)
schema = {"id": "string", "v": "array<float>", "t": "string"}
direct = client.create_direct_access_index(endpoint, f"{name}_direct", "id", 3, "v", schema)
wait_for(direct.name)
direct.upsert([{"id": "a", "v": [1, 0, 0], "t": "first"}, {"id": "b", "v": [0, 1, 0], "t": "second"}])
found = direct.similarity_search(columns=["id", "t"], query_vector=[0.9, 0.1, 0.0], num_results=1)
assert found["result"]["data_array"][0][:2] == ["a", "first"], found
assert len(direct.scan(num_results=5)["data"]) == 2
direct.delete(["a"])
assert len(direct.scan()["data"]) == 1

sql(f"CREATE TABLE {name} (id STRING, body STRING) TBLPROPERTIES (delta.enableChangeDataFeed = true)")
sql(f"INSERT INTO {name} VALUES ('1', 'The library opens at nine'), ('2', 'Grants are inherited')")
managed = client.create_delta_sync_index(
    endpoint_name=endpoint,
    index_name=f"{name}_managed",
    source_table_name=name,
    pipeline_type="TRIGGERED",
    primary_key="id",
    embedding_source_column="body",
    embedding_model_endpoint_name="databricks-gte-large-en",
)
wait_for(managed.name)
assert {each["name"] for each in client.list_indexes(endpoint)["vector_indexes"]} == {
    f"{name}_direct",
    f"{name}_managed",
}
question = "when does the library open"
asked = client.get_index(endpoint, f"{name}_managed").similarity_search(columns=["id"], query_text=question)
assert asked["result"]["data_array"][0][0] == "1", asked
store = DatabricksVectorSearch(index_name=f"{name}_managed", columns=["id"])
assert store.similarity_search(question, k=1)[0].metadata["id"] == "1"
documents = OfLangChain(index_name=f"{name}_managed", num_results=1, columns=["id"]).invoke(question)
assert "The library opens at nine" in str(documents), documents
of_openai = OfOpenAI(index_name=f"{name}_managed", num_results=1, columns=["id"])
assert of_openai.execute(query=question)[0]["metadata"]["id"] == "1"

client.stop_endpoint(endpoint)
stopped = ""
try:
    client.get_index(endpoint, f"{name}_managed").similarity_search(columns=["id"], query_text=question)
except BadRequest as error:
    stopped = str(error)
assert "is stopped" in stopped, stopped
client.start_endpoint(endpoint)
for index in (f"{name}_direct", f"{name}_managed"):
    client.delete_index(endpoint, index)
client.delete_endpoint(endpoint)
print(json.dumps({"found": str(documents)}))
