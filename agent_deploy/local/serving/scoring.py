"""What a model's process answers: MLflow's scoring protocol, streams, request ids and traces as the platform adds."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.context import Context, set_prediction_context
from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

from agent_deploy.local.core.supervision import Escaped, contained, described
from agent_deploy.local.serving import wire
from agent_deploy.local.serving.on_behalf import invoked_with, offer

JSON, EVENTS = "application/json", "text/event-stream"
# Requests are turned into these before the agent's own code runs: what they refuse is the caller's mistake.
_REQUEST_CLASSES = frozenset({"ResponsesAgentRequest", "ChatAgentRequest", "ChatCompletionRequest", "ResponsesRequest"})


@dataclass
class _Question:
    id: str
    data: Any
    params: dict[str, Any] | None
    unwrapped: bool
    stream: bool
    return_trace: bool
    client_request_id: str | None


class Scorer:
    """One loaded model. `answer` may run in many threads at once."""

    def __init__(self, model: str, endpoint_name: str) -> None:
        # Read by MLflow's conversion of inputs; its own scoring server sets the same.
        os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
        offer()
        self._model = mlflow.pyfunc.load_model(model)
        self._endpoint_name = endpoint_name
        self._input_schema = self._model.metadata.get_input_schema()
        self._inputs = frozenset(self._input_schema.input_names()) if self._input_schema else frozenset()
        self._traces = os.environ.get("ENABLE_MLFLOW_TRACING", "").lower() == "true"
        self._returns_ids = os.environ.get("RETURN_REQUEST_ID_IN_RESPONSE", "").lower() == "true"

    def description(self) -> wire.Header:
        """What the server wants to know of a loaded model."""
        return {"task": (self._model.metadata.metadata or {}).get("task")}

    def answer(self, header: wire.Header, body: bytes) -> Iterator[bytes]:
        """The frames of the answer to one request."""
        with invoked_with(header.get("user_token")):
            yield from self._answered(header, body)

    def _answered(self, header: wire.Header, body: bytes) -> Iterator[bytes]:
        request_id = header["id"]
        try:
            if not header["type"].startswith(JSON):
                yield contained(self._answer_table)(request_id, header["type"], body)
                return
            try:
                question = self._parse(request_id, body, header.get("drop", ()))
            except RecursionError as error:
                raise MlflowException("The request is nested too deeply.", INVALID_PARAMETER_VALUE) from error
            if question.stream:
                yield from self._answer_stream(question)
            else:
                yield contained(self._answer_whole)(question)
        except Exception as error:  # noqa: BLE001 - the model's code may raise anything: the caller is told, we go on
            yield _failure(error, self._pop_trace(request_id))

    def flush(self) -> None:
        """Wait for traces on their way to the workspace."""
        if self._traces:
            mlflow.flush_trace_async_logging()

    def _parse(self, request_id: str, body: bytes, drop: list[str]) -> _Question:
        content = scoring_server._decode_json_input(body)
        options = content.pop("databricks_options", None)
        options = options if isinstance(options, dict) else {}
        client_request_id = _text(content.pop("client_request_id", None))
        for name in drop:
            content.pop(name, None)
        stream = bool(content.get("stream")) if "stream" in self._inputs else bool(content.pop("stream", False))
        if (conversation := options.get("conversation_id")) and "context" in self._inputs:
            content["context"] = {"conversation_id": conversation, **(content.get("context") or {})}
        parsed = scoring_server._parse_json_data(content, self._model.metadata, self._input_schema)
        wants_trace = bool(options.get("return_trace"))
        return _Question(
            request_id, parsed.data, parsed.params, parsed.is_unified_llm_input, stream, wants_trace, client_request_id
        )

    def _answer_whole(self, question: _Question) -> bytes:
        with self._context(question.id):
            try:
                raw = self._model.predict(question.data, params=question.params)
            except MlflowException as error:
                error.message = f"Failed to predict data '{question.data}'. \nError: {error.message}"
                raise
        result = _get_jsonable_obj(raw, pandas_orient="records")
        if not question.unwrapped:
            result = {"predictions": result}
        return self._frame(question, result, self._pop_trace(question.id))

    def _frame(self, question: _Question, result: Any, trace: bytes) -> bytes:
        header = {"status": 200, "type": JSON, "client_request_id": question.client_request_id}
        if not isinstance(result, dict):
            return _pack_answer(header, _encode(result))
        output = dict(result.pop("databricks_output", None) or {})
        if self._returns_ids:
            result["id"] = question.id
        if self._returns_ids or question.return_trace or output:
            output["databricks_request_id"] = question.id
        # The platform logs the trace whether or not the caller asked: the server puts it in at `splice`.
        base, extra = _encode(result), _encode(output)
        separator = b", " if len(base) > 2 else b""
        start = base[:-1] + separator + b'"databricks_output": {'
        rest = extra[1:-1]
        with_trace = start + b'"trace": ' + trace + (b", " if rest else b"") + rest + b"}}" if trace else b""
        if question.return_trace and trace:
            return _pack_answer(header, with_trace)
        shown = start + rest + b"}}" if output else base
        return _pack_answer(header, shown, with_trace)

    def _answer_stream(self, question: _Question) -> Iterator[bytes]:
        with self._context(question.id):
            if self._model._predict_stream_fn is None:
                raise _streams_not()
            events = iter(contained(self._model.predict_stream)(question.data, params=question.params))

        @contained
        def following() -> bytes:
            event = next(events, None)
            return b"" if event is None else self._event(question, event)

        # The status is sent with the first event, so that a model that fails at once fails with a status.
        try:
            event = following()
        except NotImplementedError as error:  # as the classes raise it of which an agent is made
            raise _streams_not() from error
        yield wire.pack(
            {"status": 200, "type": EVENTS, "stream": True, "client_request_id": question.client_request_id}
        )
        end: wire.Header = {"end": True, "status": 200}
        try:
            while event:
                yield wire.pack({}, event)
                event = following()
        except Exception as error:  # noqa: BLE001 - as in `answer`; the status is gone, so the stream says it
            status, body = _error_body(error)
            end |= {"status": status, **_ends(error)}
            yield wire.pack({}, b"data: " + _encode({"error": body}) + b"\n\n")
        trace = self._pop_trace(question.id)
        if trace and question.return_trace:
            shown = b'{"trace": ' + trace + b', "databricks_request_id": ' + _encode(question.id) + b"}"
            yield wire.pack({}, b'data: {"type": "databricks_output", "databricks_output": ' + shown + b"}\n\n")
        yield wire.pack(end, trace)

    def _event(self, question: _Question, event: Any) -> bytes:
        content = _get_jsonable_obj(event, pandas_orient="records")
        if self._returns_ids and isinstance(content, dict):
            content = {**content, "databricks_output": {"databricks_request_id": question.id}}
        return b"data: " + _encode(content) + b"\n\n"

    def _answer_table(self, request_id: str, content_type: str, body: bytes) -> bytes:
        with self._context(request_id):
            answer = scoring_server.invocations(body, content_type, self._model, self._input_schema)
        self._pop_trace(request_id)
        return _pack_answer({"status": answer.status, "type": answer.mimetype}, answer.response.encode())

    def _context(self, request_id: str) -> Any:
        if not self._traces:
            return nullcontext()
        return set_prediction_context(
            Context(request_id=request_id, endpoint_name=self._endpoint_name, model_id=self._model.model_id)
        )

    def _pop_trace(self, request_id: str) -> bytes:
        if not self._traces:
            return b""
        from mlflow.tracing.export.inference_table import pop_trace

        trace = pop_trace(request_id)
        return json.dumps(trace, default=str).encode() if trace else b""


def _text(value: Any) -> str | None:
    """A client's id as the payload table keeps it, which has a column of texts: a number is one as JSON writes it."""
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace").decode()


def _pack_answer(header: wire.Header, shown: bytes, logged: bytes = b"") -> bytes:
    return wire.pack({**header, "length": len(shown)}, shown + logged)


def _streams_not() -> MlflowException:
    return MlflowException("This model does not stream: send the request without 'stream'.", INVALID_PARAMETER_VALUE)


def _failure(error: Exception, trace: bytes) -> bytes:
    status, body = _error_body(error)
    logged = _encode(body)[:-1] + b', "databricks_output": {"trace": ' + trace + b"}}" if trace else b""
    return _pack_answer({"status": status, "type": JSON, **_ends(error)}, _encode(body), logged)


def _ends(error: Exception) -> wire.Header:
    """Asks the server to end this process: what it was told to leave it does not go on with."""
    return {"ends": f"The model raised {error}"} if isinstance(error, Escaped) else {}


def _error_body(error: Exception) -> tuple[int, dict[str, Any]]:
    if isinstance(error, MlflowException):
        return error.get_http_status_code(), json.loads(error.serialize_as_json())
    body = {"stack_trace": "".join(traceback.format_exception(error))}
    if type(error).__name__ == "ValidationError" and getattr(error, "title", "") in _REQUEST_CLASSES:
        return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"The request is not valid: {error}", **body}
    traceback.print_exception(error)
    what = f"{error}, which ends its process" if isinstance(error, Escaped) else described(error)
    message = f"The model raised {what}"
    return 500, {"error_code": "INTERNAL_ERROR", "message": message, **body}


def _encode(value: Any) -> bytes:
    return json.dumps(value, cls=NumpyEncoder).encode()
