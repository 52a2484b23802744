"""Rules from which hypothesis makes payload rows; each row knows where it belongs and, if well formed, its columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from agent_deploy.local.serving.payload_writer import MAX_BYTES
from agent_deploy.rules.tables import REQUEST_CUT, RESPONSE_CUT
from tests.tables.cases import ASKED, Case, Raw, answer, message
from tests.tables.rated import MALFORMED, RATED

# What means something to JSON, to lines of a stream, to Java or to nobody.
PITFALLS = [
    "\x85",
    "\u2028",
    "\u2029",
    "\r",
    "\n",
    "\t",
    "\0",
    '"',
    "\\",
    "'",
    "data: ",
    "[DONE]",
    "{",
    "[{",
    "}",
    "]",
    "$",
    " ",
]
CHARACTERS = st.characters(codec="utf-8") | st.sampled_from(PITFALLS)
TEXT = st.lists(CHARACTERS, max_size=20).map("".join)
SAID = st.lists(CHARACTERS, min_size=1, max_size=20).map("".join)
# Half of a surrogate pair is something that JSON can hold, escaped, and UTF-8 cannot.
ANY_TEXT = TEXT | st.text(st.characters(), max_size=5)
NUMBERS = st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
# What readers of JSON refuse although it is JSON: Jackson has limits for both.
EXTREME = st.sampled_from([999, 1001, 5000]).flatmap(
    lambda n: st.sampled_from(["[" * n + "]" * n, '{"a":' * n + "1" + "}" * n, "1" * n, "1e" + "9" * n])
)


# --- Whatever comes --------------------------------------------------------------------------------------------------

ROLES = st.sampled_from(["user", "assistant", "system", "tool"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES | JSON, "content": TEXT | st.none() | JSON}), max_size=4)
SPLIT = {"columns": st.lists(TEXT, max_size=3) | JSON, "data": st.lists(st.lists(JSON, max_size=3), max_size=2) | JSON}
BODIES = st.one_of(
    st.fixed_dictionaries({"messages": MESSAGES | JSON}, optional={"databricks_options": JSON}),
    st.fixed_dictionaries({"input": MESSAGES | TEXT | JSON, "context": JSON}),
    st.fixed_dictionaries({"dataframe_records": st.lists(st.fixed_dictionaries({"query": JSON}), max_size=2) | JSON}),
    st.fixed_dictionaries({"dataframe_split": st.fixed_dictionaries(SPLIT) | JSON}),
    st.fixed_dictionaries({"inputs": JSON}),
    st.dictionaries(ANY_TEXT, JSON, max_size=3),
    ANY_TEXT,
    st.lists(JSON, max_size=3),
)
ANSWERS = st.one_of(
    st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": JSON}), max_size=2) | JSON}),
    st.fixed_dictionaries({"messages": MESSAGES | JSON, "databricks_output": JSON}),
    st.fixed_dictionaries({"output": MESSAGES | JSON}),
    st.fixed_dictionaries({"predictions": JSON}),
    st.lists(st.fixed_dictionaries({"delta": JSON, "type": TEXT}), max_size=3),
)
CHUNKS = st.lists(st.fixed_dictionaries({"delta": JSON, "choices": JSON}), min_size=1, max_size=3)
STREAMS = CHUNKS.map(lambda chunks: Raw("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)))
STATUSES = st.sampled_from([200, 400, 429, 500, 503, None])
ANY = st.builds(
    lambda body, response, status: Case("any", body, response, _place_of_any(body), status=status),
    BODIES,
    ANSWERS | STREAMS,
    STATUSES,
)
DEEP = st.builds(
    lambda text, key: Case("extreme", Raw(f'{{"{key}": {text}}}'), place="anywhere"),
    EXTREME,
    st.sampled_from(["messages", "input", "dataframe_records", "text_assessments", "x"]),
)
DEEP_ANSWER = EXTREME.map(lambda text: Case("extreme", ASKED, Raw(f'{{"predictions": {text}}}'), place="anywhere"))
BROKEN = TEXT.map("{{{}".format).filter(lambda text: not _begins_with_json(text))


def _place_of_any(body: Any) -> str:
    return "anywhere" if "_assessments" in json.dumps(body) else "requests"


def _begins_with_json(text: str) -> bool:
    """What follows an object's end is not looked at."""
    try:
        json.JSONDecoder().raw_decode(text)
    except ValueError:
        return False
    return True


# --- Questions, answers and traces that are well formed --------------------------------------------------------------


def _user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


# Every format that asks something, as the body that asks it.
QUESTIONS: dict[str, Callable[[str], Any]] = {
    "messages": lambda text: {"messages": _user(text)},
    "a conversation": lambda text: {
        "messages": [
            {"role": "system", "content": "Be brief"},
            *_user("Hello"),
            {"role": "assistant", "content": "Hi"},
            *_user(text),
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
            {"role": "tool", "content": "…", "tool_call_id": "c"},
        ]
    },
    "parts": lambda text: {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]},
    "input": lambda text: {"input": text},
    "input messages": lambda text: {"input": [*_user("Hello"), *_user(text)]},
    "query": lambda text: {"query": text, "history": []},
    "prompt": lambda text: {"prompt": text},
    "records": lambda text: {"dataframe_records": [{"messages": _user(text)}]},
    "record": lambda text: {"dataframe_records": [{"query": text, "k": 3}]},
    "split": lambda text: {"dataframe_split": {"columns": ["k", "messages"], "data": [[3, _user(text)]]}},
    "one column": lambda text: {"dataframe_split": {"columns": ["frage"], "data": [[text]]}},
    "inputs": lambda text: {"inputs": [text]},
    "inputs object": lambda text: {"inputs": {"messages": _user(text)}},
    "instances": lambda text: {"instances": [{"prompt": text}]},
    "string": lambda text: text,
    "strings": lambda text: ["Hello", text],
}
CONVERSATIONS: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda id: {"databricks_options": {"conversation_id": id, "return_trace": True}},
    lambda id: {"context": {"conversation_id": id, "user_id": "u"}},
    lambda id: {"custom_inputs": {"conversation_id": id}},
    lambda id: {"conversation_id": id},
)
ANSWERED: dict[str, Callable[[str], dict[str, Any]]] = {
    "choices": lambda text: {"id": "r", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]},
    "messages": lambda text: {"messages": [{"role": "tool", "content": "42"}, {"role": "assistant", "content": text}]},
    "output": lambda text: {"output": [message("One moment"), {"type": "function_call"}, message(text)]},
    "completion": lambda text: {"choices": [{"text": text}]},
    "predictions": lambda text: {"predictions": [text]},
    "prediction": lambda text: {"predictions": text},
    "predicted": lambda text: {"predictions": [{"choices": [{"message": {"content": text}}]}]},
}
# A streamed answer's chunks, from the pieces of its text.
STREAMED: dict[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "choices": lambda pieces: [{"choices": [{"delta": {"content": piece}}]} for piece in pieces] + [{"choices": []}],
    "ChatAgent": lambda pieces: [
        {"delta": {"role": "assistant", "content": "One moment", "id": "1"}},
        {"delta": {"role": "tool", "content": "42", "id": "2"}},
        *[{"delta": {"role": "assistant", "content": piece, "id": "3"}} for piece in pieces],
    ],
    "Responses": lambda pieces: [
        {"type": "response.output_text.delta", "item_id": "m", "delta": piece} for piece in pieces
    ],
    "Responses, done": lambda pieces: [
        {"type": "response.output_text.delta", "item_id": "m", "delta": "half of it"},
        {"type": "response.output_item.done", "item": message("".join(pieces))},
    ],
}

NANOSECONDS = st.integers(1_700_000_000_000_000_000, 2**63 - 1)
ATTRIBUTES = st.dictionaries(SAID, JSON.map(json.dumps), max_size=3)
TRACES_3 = st.fixed_dictionaries(
    {
        "info": st.fixed_dictionaries(
            {
                "trace_id": SAID.map("tr-{}".format),
                "state": st.sampled_from(["OK", "ERROR", "IN_PROGRESS"]),
                "request_preview": TEXT,
                "trace_metadata": st.just({"mlflow.trace_schema.version": "3"}),
            }
        ),
        "data": st.fixed_dictionaries(
            {
                "spans": st.lists(
                    st.fixed_dictionaries(
                        {
                            "name": SAID,
                            "parent_span_id": SAID | st.none(),
                            "start_time_unix_nano": NANOSECONDS,
                            "status": st.fixed_dictionaries({"code": st.just("STATUS_CODE_OK"), "message": TEXT}),
                            "attributes": ATTRIBUTES,
                        }
                    ),
                    max_size=3,
                )
            }
        ),
    }
)
TRACES_2 = st.fixed_dictionaries(
    {
        "mlflow.trace_schema.version": st.just(2),
        "spans": st.lists(
            st.fixed_dictionaries(
                {
                    "name": SAID,
                    "context": st.fixed_dictionaries({"span_id": SAID, "trace_id": SAID}),
                    "start_time": NANOSECONDS,
                    "attributes": ATTRIBUTES.map(json.dumps),
                    "events": st.lists(JSON, max_size=2),
                }
            ),
            max_size=3,
        ),
        "start_timestamp": st.datetimes().map(str),
        "app_version_id": SAID | st.none(),
        "is_truncated": st.booleans(),
    }
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A request's body and the columns that it means."""
    text = draw(SAID)
    body: Any = QUESTIONS[draw(st.sampled_from(list(QUESTIONS)))](text)
    conversation = named = None
    if isinstance(body, dict):
        conversation, named = draw(SAID | st.none()), draw(SAID | st.none())
        if conversation is not None:
            body = {**body, **draw(st.sampled_from(CONVERSATIONS))(conversation)}
        if named is not None:
            body = {**body, "client_request_id": named}
    columns = {"request": text, "conversation_id": conversation, "client_request_id": named}
    return body, columns


@st.composite
def traced(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """What an answer says beside its text, and the trace in it."""
    trace = draw(st.none() | TRACES_2 | TRACES_3)
    if trace is None:
        return draw(st.sampled_from([{}, {"databricks_output": {"databricks_request_id": "r", "trace": None}}])), None
    parent = draw(st.sampled_from(["databricks_output", "databricks_options"]))
    return {parent: {"trace": draw(st.sampled_from([trace, json.dumps(trace)]))}}, trace


def _encoded(draw: st.DrawFn, value: Any) -> str:
    """JSON as either kind of server writes it: with everything but ASCII escaped, or as it is."""
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def whole(draw: st.DrawFn) -> Case:
    """A question that was answered at once."""
    body, columns = draw(questions())
    text, (extra, trace) = draw(SAID), draw(traced())
    response = {**ANSWERED[draw(st.sampled_from(list(ANSWERED)))](text), **extra}
    expected = {**columns, "response": text, "trace": trace}
    return Case("answered", Raw(_encoded(draw, body)), Raw(_encoded(draw, response)), expected=expected)


@st.composite
def streams(draw: st.DrawFn) -> Case:
    """A question whose answer was streamed, whole or cut by the platform."""
    body, columns = draw(questions())
    pieces = draw(st.lists(SAID, min_size=1, max_size=4))
    kind = draw(st.sampled_from(list(STREAMED)))
    extra, trace = draw(traced())
    chunks = [*STREAMED[kind](pieces), *([extra] if extra else [])]
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n"]))
    lines = [f"data: {_encoded(draw, chunk)}{end}" for chunk in chunks] + draw(
        st.sampled_from([[], [f"data: [DONE]{end}"]])
    )
    expected = {**columns, "response": "".join(pieces), "trace": trace}
    text = "".join(lines)
    if kind != "choices" or not draw(st.booleans()):
        return Case("streamed", Raw(_encoded(draw, body)), Raw(text), expected=expected)
    # What came before the cut is there: the chunks whose JSON is complete.
    cut = draw(st.integers(len("data:"), len(text)))
    ends = [len("".join(lines[: number + 1])) - len(end) for number in range(len(lines))]
    kept = "".join(piece for piece, at in zip(pieces, ends, strict=False) if at <= cut)
    traced_at = ends[len(chunks) - 1]
    expected |= {"response": kept or None, "trace": trace if traced_at <= cut else None}
    return Case("streamed", Raw(_encoded(draw, body)), Raw(text[:cut]), expected=expected, codes=(RESPONSE_CUT,))


@st.composite
def cut(draw: st.DrawFn) -> Case:
    """A request, an answer or both that the platform cut: what is read of it is right, or it is null."""
    body, columns = draw(questions())
    text, (extra, trace) = draw(SAID), draw(traced())
    response = _encoded(draw, {**ANSWERED[draw(st.sampled_from(list(ANSWERED)))](text), **extra})
    request = _encoded(draw, body)
    codes = draw(st.sampled_from([(REQUEST_CUT,), (RESPONSE_CUT,), (REQUEST_CUT, RESPONSE_CUT)]))
    answered = {"response": text, "trace": trace}
    perhaps: dict[str, Any] = {}
    if REQUEST_CUT in codes:
        request, perhaps = request[: draw(st.integers(0, len(request) - 1))], columns
    if RESPONSE_CUT in codes:
        response, perhaps = response[: draw(st.integers(0, len(response) - 1))], {**perhaps, **answered}
    expected = {name: value for name, value in {**columns, **answered}.items() if name not in perhaps}
    return Case("cut", Raw(request), Raw(response), expected=expected, perhaps=perhaps, codes=codes)


def long(text: str) -> Case:
    """A question that is too long by itself, as it is logged."""
    asked = json.dumps({"messages": _user(text + "x" * MAX_BYTES)})[:MAX_BYTES]
    expected = answer("A table format.", request=None, request_raw=asked)
    return Case("long", Raw(asked), expected=expected, codes=(REQUEST_CUT,))


@st.composite
def refused(draw: st.DrawFn) -> Case:
    """A well-formed question that the endpoint did not answer."""
    body, columns = draw(questions())
    said = draw(st.none() | st.just(Raw("")) | st.just(Raw("<html>upstream gone</html>")) | _errors())
    status = draw(st.sampled_from([400, 401, 403, 404, 429, 499, 500, 502, 503, 504]))
    expected = {**columns, "response": None, "trace": None, "status_code": status}
    return Case("refused", Raw(_encoded(draw, body)), said, expected=expected, status=status)


def _errors() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"error_code": st.sampled_from(["BAD_REQUEST", "INTERNAL_ERROR"]), "message": TEXT})


# Name → rule. "anywhere": the row has one place, whichever.
RULES: dict[str, st.SearchStrategy[Case]] = {
    "any": ANY,
    "extreme": DEEP | DEEP_ANSWER,
    "broken": BROKEN.map(lambda text: Case("broken", Raw(text), place="quarantine")),
    "answered": whole(),
    "streamed": streams(),
    "cut": cut(),
    "long": SAID.map(long),
    "refused": refused(),
    "rated": RATED,
    "malformed feedback": MALFORMED,
}
FEW = {"long": 2, "extreme": 20}


def generated(number: int, count: int, names: Sequence[str] = tuple(RULES)) -> list[Case]:
    """``count`` rows of each rule, the same for the same ``number``."""
    cases: list[Case] = []

    def keep(case: Case) -> None:
        cases.append(case)

    for name in names:
        limits = settings(
            max_examples=min(count, FEW.get(name, count)),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(limits(given(RULES[name])(keep)))()
    return cases
