"""An agent that asks the workspace as itself or as who asks it: `own me`, `user read main.x.t`, `user secrets`."""

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

import mlflow
from databricks.sdk import WorkspaceClient
from databricks.sdk.credentials_provider import ModelServingUserCredentials
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse, ResponsesAgentStreamEvent


class OnBehalf(ResponsesAgent):
    """Says what it was answered."""

    def predict(self, request: Any) -> ResponsesAgentResponse:
        said = self._said(request.input[-1].content)
        return ResponsesAgentResponse(output=[self.create_text_output_item(said, str(uuid.uuid4()))])

    def predict_stream(self, request: Any) -> Iterator[ResponsesAgentStreamEvent]:
        for _ in range(3):
            item = self.create_text_output_item(self._said(request.input[-1].content), str(uuid.uuid4()))
            yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)

    def _said(self, question: str) -> str:
        who, what, *more = [*question.split(), "nothing", "nothing"]
        try:
            client = WorkspaceClient(credentials_strategy=ModelServingUserCredentials() if who == "user" else None)
            if what == "me":
                return str(client.current_user.me().user_name)
            if what == "nothing":  # what MLflow asks when it is logged
                return what
            if what == "secrets":
                return str([scope.name for scope in client.secrets.list_scopes()])
            statement = f"SELECT * FROM {more[0]}"
            done = client.statement_execution.execute_statement(statement, os.environ["WAREHOUSE_ID"])
            assert done.status
            return json.dumps(done.result.data_array) if done.result else str(done.status.error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
            return f"{type(error).__name__}: {error}"


mlflow.models.set_model(OnBehalf())
