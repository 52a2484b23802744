"""Chat, tools, streaming and embeddings of foundation models, by databricks-langchain, databricks-openai and MLflow."""

import json

import mlflow.deployments
from databricks.sdk import WorkspaceClient
from databricks_langchain import ChatDatabricks, DatabricksEmbeddings
from databricks_openai import DatabricksOpenAI
from langchain_core.tools import tool

CHAT, EMBEDDINGS = "databricks-claude-sonnet-4", "databricks-gte-large-en"


@tool
def opening_hours(place: str) -> str:
    """When a place is open."""
    return f"{place} is open from nine to five"


model = ChatDatabricks(endpoint=CHAT)
answer = model.invoke("What is a catalog?")
assert "stand-in" in answer.content, answer
assert answer.content.endswith("What is a catalog?"), answer
assert "".join(chunk.content for chunk in model.stream("a b c")).endswith("a b c")
called = model.bind_tools([opening_hours]).invoke("Use opening_hours for the library")
[call] = called.tool_calls
assert call["name"] == "opening_hours", called
assert "library" in opening_hours.invoke(call["args"])

client = DatabricksOpenAI()
said = client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "hello"}])
assert said.choices[0].message.content.endswith("hello"), said
pieces = client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "x y"}], stream=True)
assert "".join(each.choices[0].delta.content or "" for each in pieces if each.choices).endswith("x y")
assert len(client.embeddings.create(model=EMBEDDINGS, input=["a", "b"]).data) == 2

near, other, question = DatabricksEmbeddings(endpoint=EMBEDDINGS).embed_documents(
    ["the library opens at nine", "grants are inherited", "when does the library open"]
)
assert sum(a * b for a, b in zip(near, question, strict=True)) > sum(
    a * b for a, b in zip(other, question, strict=True)
)
by_mlflow = mlflow.deployments.get_deploy_client("databricks").predict(endpoint=EMBEDDINGS, inputs={"input": ["a"]})
assert len(by_mlflow["data"][0]["embedding"]) == 1024

shown = WorkspaceClient().serving_endpoints.get(CHAT)
assert shown.config.served_entities[0].foundation_model.name, shown
assert CHAT in [each.name for each in WorkspaceClient().serving_endpoints.list()]
print(json.dumps({"answer": answer.content, "task": shown.task}))
