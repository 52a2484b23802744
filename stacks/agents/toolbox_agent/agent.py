"""An agent that tries its tools under its own identity, and says what it got or who refused: for seeing permissions.

MLflow logs this file as the model. A question is a kind of resource, and another object of that kind where not its own
is meant: ``table`` or ``table main.default.salaries``. The model's configuration maps each kind to its own object.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_WAIT = "30s"  # for a statement; the API allows 50
_GENIE_QUESTION = "How many orders are there?"
_SEARCHED = "warehouse"


class Refused(Exception):
    """A call that was answered with an error: its status, as HTTP or SQL has it, and the message."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class ToolboxAgent(ResponsesAgent):
    """One tool a question; the client is made anew each time, so that it is the identity of this moment that counts."""

    def __init__(self) -> None:
        self._own: Mapping[str, str] = {}

    def load_context(self, context: Any) -> None:
        """Which objects are its own: kind of resource → name or id."""
        self._own = dict(context.model_config or {})

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """``custom_outputs``: tool, object, allowed, status, and who the agent is."""
        tool, _, other = _question(request).partition(" ")
        target = other.strip() or self._own.get(tool, "")
        if tool not in TOOLS or not target:
            return self._answer(f"Name one of my tools: {', '.join(self._own) or 'I have none'}.", {})
        facts = {"tool": tool, "object": target}
        try:
            result = self._use(tool, target)
        except Refused as refusal:
            text = f"{tool} {target}: refused with {refusal.status}: {refusal}"
            return self._answer(text, {**facts, "allowed": False, "status": refusal.status})
        return self._answer(f"{tool} {target}: {result}", {**facts, "allowed": True, "status": "200"})

    def _use(self, tool: str, target: str) -> str:
        """What the tool said; raises Refused."""
        from databricks.sdk import WorkspaceClient  # here, since it takes a second to import
        from databricks.sdk.errors import DatabricksError
        from databricks.sdk.errors.platform import STATUS_CODE_MAPPING

        try:
            return TOOLS[tool](WorkspaceClient(), target, self._own.get("sql_warehouse", ""))
        except DatabricksError as error:
            codes = [str(code) for code, kind in STATUS_CODE_MAPPING.items() if isinstance(error, kind)]
            raise Refused(next(iter(codes), "an error"), str(error)) from error

    def _answer(self, text: str, facts: dict[str, Any]) -> ResponsesAgentResponse:
        item = self.create_text_output_item(text, f"msg_{uuid.uuid4().hex}")
        return ResponsesAgentResponse(output=[item], custom_outputs=facts)


def _question(request: ResponsesAgentRequest) -> str:
    content = request.input[-1].model_dump().get("content") or ""
    if isinstance(content, str):
        return content.strip()
    return " ".join(str(part.get("text") or "") for part in content).strip()


def _warehouse(client: WorkspaceClient, warehouse: str, _own: str) -> str:
    return _sql(client, warehouse, "SELECT 'it runs'")


def _table(client: WorkspaceClient, table: str, warehouse: str) -> str:
    return _sql(client, warehouse, f"SELECT count(*) FROM {_quoted(table)}")


def _function(client: WorkspaceClient, function: str, warehouse: str) -> str:
    return _sql(client, warehouse, f"SELECT {_quoted(function)}(20)")


def _index(client: WorkspaceClient, index: str, _warehouse: str) -> str:
    found = client.vector_search_indexes.query_index(
        index, ["id"], query_text=_SEARCHED, query_type="FULL_TEXT", num_results=1
    )
    return str(found.result.data_array if found.result else [])


def _endpoint(client: WorkspaceClient, endpoint: str, _warehouse: str) -> str:
    return str(client.serving_endpoints.query(endpoint, inputs=["toolbox"]).predictions)


def _genie(client: WorkspaceClient, space: str, _warehouse: str) -> str:
    from databricks.sdk.errors import OperationFailed

    try:
        message = client.genie.start_conversation_and_wait(space, _GENIE_QUESTION)
    except OperationFailed as error:  # the space may be asked, but what it read was refused
        raise Refused("FAILED", str(error)) from error
    queries = [found.query.query for found in message.attachments or [] if found.query]
    return f"answered by {queries[0]}" if queries else "it had no answer"


def _sql(client: WorkspaceClient, warehouse: str, statement: str) -> str:
    """The rows; raises Refused with the SQLSTATE of a statement that failed."""
    response = client.statement_execution.execute_statement(statement, warehouse, wait_timeout=_WAIT)
    if response.status is None or response.status.error is not None or response.result is None:
        error = response.status.error if response.status else None
        message = (error.message if error else None) or f"no result within {_WAIT}"
        raise Refused(str(getattr(response.status, "sql_state", None) or "FAILED"), message)
    return str(response.result.data_array)


def _quoted(name: str) -> str:
    return ".".join(f"`{level}`" for level in name.replace("`", "").split("."))


# By kind of resource, as MLflow calls it.
TOOLS: Mapping[str, Callable[[Any, str, str], str]] = {
    "sql_warehouse": _warehouse,
    "table": _table,
    "function": _function,
    "vector_search_index": _index,
    "serving_endpoint": _endpoint,
    "genie_space": _genie,
}

set_model(ToolboxAgent())
