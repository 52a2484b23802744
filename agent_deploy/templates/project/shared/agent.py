"""The agent, which MLflow loads out of this file. What differs between stages it reads from its environment."""

import os
import re
import uuid
from collections.abc import Iterator

from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent


class Agent(ResponsesAgent):
    """Says which department a question belongs to."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """The whole answer at once."""
        events = self.predict_stream(request)
        return ResponsesAgentResponse(output=[event.item for event in events if hasattr(event, "item")])

    def predict_stream(self, request: ResponsesAgentRequest) -> Iterator[ResponsesAgentStreamEvent]:
        """The answer word by word, then whole."""
        question = str(request.input[-1].model_dump()["content"])
        department = "billing" if "invoice" in question.lower() else os.environ.get("DEFAULT_DEPARTMENT", "support")
        text, item = f"That is a question for {department}.", str(uuid.uuid4())
        for piece in re.findall(r"\S+\s*", text):
            yield ResponsesAgentStreamEvent(**self.create_text_delta(piece, item))
        done = self.create_text_output_item(text, item)
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=done)


set_model(Agent())
