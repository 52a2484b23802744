"""The typical agent: LangGraph on a foundation model, a vector index by its tool, a catalog's function by SQL."""

import os
import uuid

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole
from databricks_ai_bridge import ModelServingUserCredentials
from databricks_langchain import ChatDatabricks, VectorSearchRetrieverTool
from langchain_core.tools import tool
from langgraph.prebuilt import create_react_agent
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse, ResponsesAgentStreamEvent

CHAT, SIBLING = "databricks-claude-sonnet-4", "sibling"


@tool
def price_of(thing: str) -> str:
    """What a thing costs."""
    statement = f"SELECT {os.environ['FUNCTION']}('{thing.split()[-1]}')"
    done = WorkspaceClient().statement_execution.execute_statement(statement, os.environ["WAREHOUSE_ID"])
    return done.result.data_array[0][0] if done.result else str(done.status.error)


def ask(endpoint: str) -> str:
    """What an endpoint says to hello."""
    hello = [ChatMessage(content="hello", role=ChatMessageRole.USER)]
    return WorkspaceClient().serving_endpoints.query(endpoint, messages=hello).choices[0].message.content


class Clerk(ResponsesAgent):
    def predict(self, request):
        said = self._said(request.input[-1].content)
        return ResponsesAgentResponse(output=[self.create_text_output_item(said, str(uuid.uuid4()))])

    def predict_stream(self, request):
        said, item = self._said(request.input[-1].content), str(uuid.uuid4())
        for word in said.split():
            yield ResponsesAgentStreamEvent(**self.create_text_delta(f"{word} ", item))
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=self.create_text_output_item(said, item))

    def _said(self, question: str) -> str:
        if question == "nothing":  # what it is asked when it is logged
            return question
        try:
            if question == "who am I":
                user = WorkspaceClient(credentials_strategy=ModelServingUserCredentials())
                return str(user.current_user.me().user_name)
            if question == "ask the sibling":
                return ask(SIBLING)
            search = VectorSearchRetrieverTool(
                index_name=os.environ["INDEX"],
                tool_name="search_docs",
                num_results=1,
                columns=["id"],
                # The vendor's client finds a token by itself, and is given a service principal of one's own.
                workspace_client=WorkspaceClient() if "DATABRICKS_CLIENT_ID" in os.environ else None,
            )
            agent = create_react_agent(ChatDatabricks(endpoint=CHAT), [search, price_of])
            return str(agent.invoke({"messages": [("user", question)]})["messages"][-1].content)
        except DatabricksError as error:
            return f"refused: {error}"


set_model(Clerk())
