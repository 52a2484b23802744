"""Asks a serving endpoint: finds out how its agent wants to be asked, and reads the answer as it comes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from agent_deploy.client.errors import ApiError, ConnectionLost, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment

# An endpoint scaled to zero answers its first question when its model has been loaded.
READ_TIMEOUT = 600.0

# The endpoint's task → the field that holds the conversation. Source: MLflow's agent interfaces.
_FIELDS = {"agent/v1/responses": "input", "agent/v2/chat": "messages", "agent/v1/chat": "messages"}
_CHAT_FIELD, _RESPONSES_FIELD = "messages", "input"
_SCHEMA_MISTAKES = (400, 422)  # what a model answers to a request of another kind
_SLEEPING = "scaled to zero"  # the platform's word in a served entity's state

# An event with one of these is an agent's, as MLflow knows them, and has no text where none is found in it.
_AGENT_EVENT = frozenset({"type", "delta", "choices", "databricks_output"})

Tell = Callable[[str], None]


@dataclass
class Answer:
    """``document`` is the last, or only, JSON of the answer; ``trace`` is there when it was asked for and sent."""

    text: str = ""
    request_id: str = ""
    trace: dict[str, Any] | None = None
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What is asked, and how."""

    text: str
    conversation_id: str = ""
    return_trace: bool = False

    def body(self, conversation_field: str, stream: bool) -> dict[str, Any]:
        """The request for an agent that reads ``conversation_field``."""
        body: dict[str, Any] = {conversation_field: [{"role": "user", "content": self.text}]}
        options: dict[str, Any] = {"return_trace": True} if self.return_trace else {}
        if self.conversation_id:
            options["conversation_id"] = self.conversation_id
        if options:
            body["databricks_options"] = options
        return {**body, "stream": True} if stream else body


def ask(
    workspace: Workspace,
    endpoint: str,
    question: Question,
    *,
    stream: bool = True,
    on_text: Tell = lambda _text: None,
    on_waiting: Tell = lambda _text: None,
    read_timeout: float = READ_TIMEOUT,
) -> Answer:
    """The endpoint's answer; ``on_text`` gets it piece by piece, ``on_waiting`` what is waited for.

    Raises WorkspaceError with one line that says what to do: no such endpoint, not ready, not permitted.
    """
    described = _described(workspace, endpoint, on_waiting)
    fields, (asked_at, path) = _fields(described), _address(workspace, endpoint, described)
    for number, conversation_field in enumerate(fields, start=1):
        try:
            return _asked(asked_at, path, question, conversation_field, stream, on_text, read_timeout)
        except ApiError as error:
            if number == len(fields) or error.status not in _SCHEMA_MISTAKES:
                raise _explained(error, endpoint, workspace.host) from error
    raise AssertionError("there is always a last field")


def _described(workspace: Workspace, endpoint: str, on_waiting: Tell) -> Mapping[str, Any]:
    """The endpoint as the workspace describes it; empty for a caller who may ask it but not look at it."""
    try:
        described = workspace.get(f"/api/2.0/serving-endpoints/{segment(endpoint)}")
    except ApiError as error:
        if error.status == 403:
            return {}
        if error.is_missing:
            raise WorkspaceError(unknown_endpoint(workspace, endpoint)) from error
        raise
    state = described.get("state") or {}
    if state.get("ready") not in (None, "READY"):
        raise WorkspaceError(_not_ready(endpoint, described))
    entities = (described.get("config") or {}).get("served_entities") or []
    sleeping = [e["name"] for e in entities if _SLEEPING in _message(e).lower()]
    if sleeping and len(sleeping) == len(entities):
        on_waiting(f"{endpoint} is scaled to zero: waiting for {', '.join(sleeping)} to start")
    return described


def _address(workspace: Workspace, endpoint: str, described: Mapping[str, Any]) -> tuple[Workspace, str]:
    """Where the endpoint is asked: in the workspace, or at its own URL if it is route-optimised."""
    if not (own := described.get("endpoint_url")):
        return workspace, f"/serving-endpoints/{segment(endpoint)}/invocations"
    # Source: Databricks, "Query route-optimized serving endpoints".
    detail = {
        "type": "workspace_permission",
        "object_type": "serving-endpoints",
        "object_path": f"/serving-endpoints/{described['id']}",
        "actions": ["query_inference_endpoint"],
    }
    url = urlsplit(str(own))
    return workspace.confined(f"{url.scheme}://{url.netloc}", json.dumps([detail])), url.path


def _fields(described: Mapping[str, Any]) -> tuple[str, ...]:
    """How to ask: as the task says; without a task, first as a ResponsesAgent, then as a chat model."""
    task = described.get("task") or ""
    if task in _FIELDS:
        return (_FIELDS[task],)
    return (_CHAT_FIELD,) if "chat" in task else (_RESPONSES_FIELD, _CHAT_FIELD)


def _asked(
    workspace: Workspace,
    path: str,
    question: Question,
    conversation_field: str,
    stream: bool,
    on_text: Tell,
    read_timeout: float,
) -> Answer:
    try:
        with workspace.stream(path, question.body(conversation_field, stream), read_timeout) as response:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                return read_events(response.iter_lines(), on_text)
            return read_document(_json(response), on_text)
    except WorkspaceError as error:
        if not stream or not _is_without_streams(error):
            raise
    return _asked(workspace, path, question, conversation_field, False, on_text, read_timeout)


def _is_without_streams(error: WorkspaceError) -> bool:
    """Whether the agent answers, but not piece by piece: it has no such method, or its signature has no such field."""
    # Of what the model says: the error's text has the request as well, and so the endpoint's name.
    said = error.message if isinstance(error, ApiError) else str(error)
    has_no_field = isinstance(error, ApiError) and error.status in _SCHEMA_MISTAKES
    return "stream" in said.lower() and (has_no_field or "NotImplementedError" in said)


def _json(response: httpx.Response) -> dict[str, Any]:
    content = response.read()
    try:
        document = json.loads(content)
    except ValueError:
        raise WorkspaceError(f"The endpoint answered with something that is not JSON: {content[:200]!r}") from None
    return document if isinstance(document, dict) else {"predictions": document}


def read_document(document: dict[str, Any], on_text: Tell = lambda _text: None) -> Answer:
    """A whole answer, of whichever kind of agent."""
    answer = Answer(document=document)
    _note_databricks_output(answer, document)
    answer.text = _whole_text(document)
    on_text(answer.text)
    return answer


def read_events(lines: Iterator[str], on_text: Tell = lambda _text: None) -> Answer:
    """A streamed answer (server-sent events); raises WorkspaceError for an error event."""
    answer, streamed, finished = Answer(), set[str](), False
    for line in lines:
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            finished = True
        elif data:
            event = _event(data)
            if error := _error(event):
                raise WorkspaceError(f"The agent failed while it was answering: {error}")
            _note_databricks_output(answer, event)
            answer.document = event
            for text in _event_text(event, streamed):
                answer.text += text
                on_text(text)
    if not finished and not answer.document:
        raise ConnectionLost("The endpoint's answer ended before it began.")
    return answer


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise WorkspaceError(f"The endpoint streamed something that is no JSON object: {data[:200]!r}")
    return event


def _event_text(event: Mapping[str, Any], streamed: set[str]) -> Iterator[str]:
    """New text in one event; ``streamed`` holds the ids of the messages whose text already came in pieces."""
    kind = event.get("type", "")
    if kind == "response.output_text.delta":
        streamed.add(str(event.get("item_id")))
        yield str(event.get("delta", ""))
    elif kind == "response.output_item.done":
        item = event.get("item") or {}
        if str(item.get("id")) not in streamed:
            yield _item_text(item)
    elif isinstance(delta := event.get("delta"), dict):  # ChatAgent
        yield str(delta.get("content") or "")
    for choice in event.get("choices") or []:  # chat completions
        yield str((choice.get("delta") or choice.get("message") or {}).get("content") or "")
    if not _AGENT_EVENT.intersection(event):  # such as a LangGraph's, by mlflow.langchain: whatever its nodes say
        yield f"{json.dumps(event, ensure_ascii=False)}\n"


def _whole_text(document: Mapping[str, Any]) -> str:
    if "output" in document:
        return "\n\n".join(text for item in document["output"] or [] if (text := _item_text(item)))
    if "messages" in document:
        said = [m.get("content") or "" for m in document["messages"] or [] if m.get("role", "assistant") == "assistant"]
        return said[-1] if said else ""
    if "choices" in document:
        return "\n\n".join(str((c.get("message") or {}).get("content") or "") for c in document["choices"] or [])
    shown = document.get("predictions", document)
    return shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)


def _item_text(item: Mapping[str, Any]) -> str:
    parts = item.get("content") or []
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts if isinstance(part, dict))


def _note_databricks_output(answer: Answer, document: Mapping[str, Any]) -> None:
    output = document.get("databricks_output")
    if isinstance(output, dict):
        answer.request_id = str(output.get("databricks_request_id") or answer.request_id)
        answer.trace = output.get("trace") or answer.trace


def _error(event: Mapping[str, Any]) -> str:
    error = event.get("error")
    if event.get("type") == "error":
        error = error or event.get("message") or event
    if isinstance(error, dict):
        return str(error.get("message") or error)
    return str(error or "")


def unknown_endpoint(workspace: Workspace, endpoint: str) -> str:
    """What to say about an endpoint that does not exist: the names that are like it."""
    names = [e["name"] for e in workspace.get("/api/2.0/serving-endpoints").get("endpoints") or []]
    near = difflib.get_close_matches(endpoint, names, n=3) or sorted(names)[:5]
    offer = f"it has {', '.join(near)}" if near else "it has no endpoint that you may see"
    return f"There is no serving endpoint '{endpoint}' at {workspace.host}: {offer}."


def _not_ready(endpoint: str, described: Mapping[str, Any]) -> str:
    pending = described.get("pending_config") or described.get("config") or {}
    states = [f"{e['name']}: {_message(e)}" for e in pending.get("served_entities") or [] if _message(e)]
    update = (described.get("state") or {}).get("config_update", "")
    if not pending.get("served_entities"):
        return f"Endpoint '{endpoint}' serves no version yet: deploy one, then ask again."
    doing = {"IN_PROGRESS": "it is being updated", "UPDATE_FAILED": "its last update failed"}.get(update, update)
    return f"Endpoint '{endpoint}' is not ready ({'; '.join([doing, *states]).strip('; ')}): ask again when it is."


def _message(entity: Mapping[str, Any]) -> str:
    state = entity.get("state") or {}
    return str(state.get("deployment_state_message") or state.get("deployment") or "")


def _explained(error: ApiError, endpoint: str, host: str) -> WorkspaceError:
    if error.status == 403:
        return WorkspaceError(f"You may not ask '{endpoint}' at {host}: {error.message} Its owner can grant CAN_QUERY.")
    if error.is_missing:
        return WorkspaceError(f"There is no serving endpoint '{endpoint}' at {host}.")
    return error
