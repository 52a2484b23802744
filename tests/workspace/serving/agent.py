"""A ResponsesAgent that does what it is told, logged from code and served in the tests."""

import asyncio
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import mlflow
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent


class Obedient(ResponsesAgent):
    """The last message is a command and its argument."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        command, _, argument = _said(request).partition(" ")
        # MLflow tries a greeting when it saves the model.
        text = getattr(self, f"_{command}", self._say)(argument, request)
        return ResponsesAgentResponse(output=[self.create_text_output_item(str(text), "message-1")])

    def predict_stream(self, request: ResponsesAgentRequest) -> Generator[ResponsesAgentStreamEvent, None, None]:
        words = _said(request).split()
        if words[0] == "fail":
            raise RuntimeError("failed before the first event")
        for number, word in enumerate(words):
            if word == "die":
                os._exit(3)
            if word == "exit":
                sys.exit(3)
            if word == "fail":
                raise RuntimeError("failed in the middle of the stream")
            if word.startswith("wait:"):
                _wait_for(Path(word.removeprefix("wait:")))
            yield ResponsesAgentStreamEvent(**self.create_text_delta(f"{word} ", f"message-{number}"))
        item = self.create_text_output_item(" ".join(words), "message-last")
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)

    def _say(self, argument: str, _request: ResponsesAgentRequest) -> str:
        with mlflow.start_span("thinking"):
            return argument

    def _env(self, argument: str, _request: ResponsesAgentRequest) -> str:
        return os.environ.get(argument, "(not set)")

    def _names(self, _argument: str, _request: ResponsesAgentRequest) -> str:
        return " ".join(sorted(os.environ))

    def _pid(self, _argument: str, _request: ResponsesAgentRequest) -> int:
        return os.getpid()

    def _context(self, _argument: str, request: ResponsesAgentRequest) -> str:
        return str(request.context.conversation_id if request.context else None)

    def _print(self, argument: str, _request: ResponsesAgentRequest) -> str:
        print(argument, os.environ.get(argument, ""))
        print(os.environ.get(argument, ""), file=sys.stderr)
        return "printed"

    def _fail(self, argument: str, _request: ResponsesAgentRequest) -> str:
        raise RuntimeError(f"told to fail: {os.environ.get(argument, argument)}")

    def _raise(self, argument: str, _request: ResponsesAgentRequest) -> str:
        raise {"SystemExit": SystemExit, "CancelledError": asyncio.CancelledError}[argument]("on purpose")

    def _die(self, argument: str, _request: ResponsesAgentRequest) -> str:
        os._exit(int(argument))

    def _wait(self, argument: str, _request: ResponsesAgentRequest) -> str:
        _wait_for(Path(argument))
        return "waited"

    def _long(self, argument: str, _request: ResponsesAgentRequest) -> str:
        return "x" * int(argument)

    def _me(self, _argument: str, _request: ResponsesAgentRequest) -> str:
        from databricks.sdk import WorkspaceClient

        return str(WorkspaceClient().current_user.me().user_name)

    def _fork(self, _argument: str, _request: ResponsesAgentRequest) -> int:
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        return child


def _said(request: ResponsesAgentRequest) -> str:
    return str(request.input[-1].model_dump()["content"])


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


mlflow.models.set_model(Obedient())
