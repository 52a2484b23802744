"""An agent of LangGraph that calls an SQL function of Unity Catalog by its tool."""

import json
import os
import uuid

from databricks.sdk import WorkspaceClient
from databricks_langchain import ChatDatabricks
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.prebuilt import create_react_agent

name, workspace = f"main.default.plus_{uuid.uuid4().hex[:8]}", WorkspaceClient()


def sql(statement: str) -> str:
    done = workspace.statement_execution.execute_statement(statement, os.environ["WAREHOUSE_ID"], wait_timeout="50s")
    assert done.status.error is None, done.status
    return done.result.data_array[0][0] if done.result and done.result.data_array else ""


sql(f"CREATE FUNCTION {name}(x STRING) RETURNS STRING RETURN concat('found: ', x)")


@tool
def lookup(place: str) -> str:
    """Looks a place up."""
    return sql(f"SELECT {name}('{place}')")


agent = create_react_agent(ChatDatabricks(endpoint="databricks-claude-sonnet-4"), [lookup])
question = {"messages": [("user", "Use lookup for the library")]}
said = agent.invoke(question)["messages"]
answers = [each.content for each in said if isinstance(each, ToolMessage)]
assert answers, said
assert all(each.startswith("found: ") for each in answers), answers
steps = [step for each in agent.stream(question, stream_mode="updates") for step in each]
assert steps[:2] == ["agent", "tools"], steps
print(json.dumps({"answers": answers, "steps": steps}))
