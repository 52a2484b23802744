"""Payload rows of every format, each with the place that it belongs to and what is extracted from it."""

from __future__ import annotations

import json

from tests.tables.cases import ANSWERED, ASKED, TRACE_2, TRACE_3, Case, Raw, answer, feedback, message, sse

CHAT = (
    Case("chat completions", ASKED, expected=answer("A table format.", trace=None, conversation_id=None)),
    Case(
        "a conversation: the last user query counts",
        {
            "messages": [
                {"role": "system", "content": "Be brief"},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi"},
                {"role": "user", "content": "And Iceberg?"},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
                {"role": "tool", "content": "…", "tool_call_id": "c1"},
            ],
            "databricks_options": {"conversation_id": "conv-1", "return_trace": True},
        },
        expected={"request": "And Iceberg?", "conversation_id": "conv-1"},
    ),
    Case(
        "content in parts",
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What"}, {"type": "text", "text": "is it?"}]}
            ]
        },
        {"choices": [{"message": {"content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "this"}]}}]},
        expected={"request": "What\nis it?", "response": "It is this"},
    ),
    Case(
        "ChatAgent with tool calls",
        {**ASKED, "context": {"conversation_id": "conv-2", "user_id": "u"}},
        {
            "messages": [
                {"role": "assistant", "content": "", "id": "1", "tool_calls": [{"id": "c"}]},
                {"role": "tool", "content": "42", "id": "2", "tool_call_id": "c"},
                {"role": "assistant", "content": "It is 42.", "id": "3"},
            ],
            "finish_reason": "stop",
        },
        expected=answer("It is 42.", conversation_id="conv-2"),
    ),
    Case(
        "unicode, quotes and line ends",
        {"messages": [{"role": "user", "content": 'Grüße "Ω" 🚀\n\tzwei\\drei'}]},
        {"messages": [{"role": "assistant", "content": "Ja – «klar»\r\n🚀"}]},
        expected={"request": 'Grüße "Ω" 🚀\n\tzwei\\drei', "response": "Ja – «klar»\r\n🚀"},
    ),
    Case(
        "a question that looks like a list stays a question",
        {"messages": [{"role": "user", "content": '[{"a": 1}] is what?'}]},
        expected={"request": '[{"a": 1}] is what?'},
    ),
    Case(
        "a text completion",
        {"prompt": "What is Delta?"},
        {"choices": [{"text": "A format."}]},
        expected=answer("A format."),
    ),
    Case("query and history", {"query": "What is Delta?", "history": []}, {"content": "So."}, expected=answer("So.")),
    Case("no known field", {"foo": {"bar": 1}}, {"spam": True}, expected={"request": None, "response": None}),
    Case(
        "client request id in the body", {**ASKED, "client_request_id": "mine"}, expected={"client_request_id": "mine"}
    ),
    Case("client request id in its column", ASKED, client_request_id="c-1", expected={"client_request_id": "c-1"}),
)
RESPONSES = (
    Case(
        "ResponsesAgent",
        {"input": [{"role": "user", "content": "What is Delta?"}], "context": {"conversation_id": "conv-3"}},
        {"object": "response", "output": [{"type": "function_call", "name": "f"}, message("One, "), message("two")]},
        expected=answer("two", conversation_id="conv-3"),
    ),
    Case(
        "ResponsesAgent, input in parts",
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is Delta?"}]}]},
        {"output": [message("A format.")], "custom_outputs": {"x": 1}},
        expected=answer("A format."),
    ),
    Case(
        "ResponsesAgent, input is text",
        {"input": "What is Delta?"},
        {"output": [message("Yes")]},
        expected=answer("Yes"),
    ),
    Case(
        "ResponsesAgent, a refusal",
        {"input": "[1] What?"},
        {"output": []},
        expected={"request": "[1] What?", "response": None},
    ),
)
DATAFRAMES = (
    Case(
        "dataframe_records with messages",
        {"dataframe_records": [ASKED]},
        {"predictions": [ANSWERED]},
        expected=answer("A table format."),
    ),
    Case(
        "dataframe_records with a query",
        {"dataframe_records": [{"query": "What is Delta?", "top_k": 3}]},
        {"predictions": ["So"]},
        expected=answer("So"),
    ),
    Case(
        "dataframe_records with a column of any name",
        {"dataframe_records": [{"frage": "What is Delta?"}]},
        {"predictions": "So"},
        expected=answer("So"),
    ),
    Case(
        "dataframe_split with messages",
        {
            "dataframe_split": {
                "columns": ["context", "messages"],
                "data": [[{"conversation_id": "conv-4"}, ASKED["messages"]]],
            }
        },
        {"predictions": [{"content": "So"}]},
        expected=answer("So", conversation_id="conv-4"),
    ),
    Case(
        "dataframe_split with one column",
        {"dataframe_split": {"columns": ["frage"], "data": [["What is Delta?"]]}},
        {"predictions": ["So"]},
        expected=answer("So"),
    ),
    Case(
        "dataframe_split with a ragged row",
        {"dataframe_split": {"columns": ["query", "query", "x"], "data": [["What is Delta?"]]}},
        expected=answer("A table format."),
    ),
    Case(
        "inputs with messages",
        {"inputs": ASKED},
        {"predictions": {"messages": [{"role": "assistant", "content": "So"}]}},
        expected=answer("So"),
    ),
    Case(
        "inputs, a list of texts",
        {"inputs": ["What is Delta?"]},
        {"predictions": ["So", "there"]},
        expected=answer("So"),
    ),
    Case("inputs, a text", {"inputs": "What is Delta?"}, {"predictions": "[1] So"}, expected=answer("[1] So")),
    Case("instances", {"instances": [{"prompt": "What is Delta?"}]}, {"predictions": ["So"]}, expected=answer("So")),
)
PLAIN = (
    Case("a plain string", Raw('"What is Delta?"'), Raw('"A \\"format\\""'), expected=answer('A "format"')),
    Case("lists of strings", ["Hello", "What is Delta?"], ["A ", "format"], expected=answer("A format")),
    Case("a list of messages", [{"role": "user", "content": "What is Delta?"}], expected=answer("A table format.")),
    Case(
        "blanks around",
        Raw(' \n {"messages": [{"role": "user", "content": "What is Delta?"}]} \n'),
        expected=answer("A table format."),
    ),
)
STREAMS = (
    Case(
        "chat completion chunks",
        ASKED,
        sse(
            *[{"id": "c", "choices": [{"delta": {"content": text}}]} for text in ("A ", "table")],
            {"id": "c", "choices": []},
        ),
        expected=answer("A table"),
    ),
    Case(
        "ChatAgent chunks",
        ASKED,
        sse(
            {"delta": {"role": "assistant", "content": "Look", "id": "1"}},
            {"delta": {"role": "tool", "content": "42", "id": "2"}},
            {"delta": {"role": "assistant", "content": "It is ", "id": "3"}},
            {"delta": {"role": "assistant", "content": "42", "id": "3"}},
            {"databricks_output": {"trace": TRACE_3}},
        ),
        expected=answer("It is 42", trace=TRACE_3),
    ),
    Case(
        "Responses events",
        ASKED,
        sse(
            {"type": "response.output_text.delta", "item_id": "m1", "delta": "He"},
            {"type": "response.output_text.delta", "item_id": "m1", "delta": "llo"},
            {"type": "response.output_item.done", "item": message("Hello")},
        ),
        expected=answer("Hello"),
    ),
    Case(
        "Responses events, broken off",
        ASKED,
        sse({"type": "response.output_text.delta", "item_id": "m1", "delta": "He"}, done=False),
        expected=answer("He"),
    ),
    Case(
        "Responses, completed",
        ASKED,
        sse({"type": "response.completed", "response": {"output": [message("Hi")]}}),
        expected=answer("Hi"),
    ),
    Case(
        "event names, comments, CRLF",
        ASKED,
        Raw(': ping\r\n\r\nevent: message\r\nid: 1\r\ndata: {"choices": [{"delta": {"content": "Hi"}}]}\r\n\r\n'),
        expected=answer("Hi"),
    ),
    Case(
        "a list of chunks",
        ASKED,
        [{"choices": [{"delta": {"content": text}}]} for text in ("A ", "table")],
        expected=answer("A table"),
    ),
    Case(
        "whole answers as chunks",
        ASKED,
        sse({"messages": [{"role": "assistant", "content": "So"}]}),
        expected=answer("So"),
    ),
    Case(
        "a stream cut in a chunk",
        ASKED,
        Raw('data: {"choices": [\n\n'),
        "quarantine",
        {"reason": "a chunk of the streamed response is not valid JSON"},
    ),
    Case(
        "a stream without data",
        ASKED,
        Raw(": ping\n\n"),
        "quarantine",
        {"reason": "a chunk of the streamed response is not valid JSON"},
    ),
)
TRACES = (
    Case(
        "MLflow 3 trace",
        ASKED,
        {**ANSWERED, "id": "r", "databricks_output": {"databricks_request_id": "r", "trace": TRACE_3}},
        expected=answer("A table format.", trace=TRACE_3),
    ),
    Case("MLflow 2 trace", ASKED, {**ANSWERED, "databricks_output": {"trace": TRACE_2}}, expected={"trace": TRACE_2}),
    Case(
        "trace in databricks_options",
        ASKED,
        {**ANSWERED, "databricks_options": {"trace": TRACE_2}},
        expected={"trace": TRACE_2},
    ),
    Case(
        "trace as text",
        ASKED,
        {**ANSWERED, "databricks_output": {"trace": json.dumps(TRACE_3)}},
        expected={"trace": TRACE_3},
    ),
    Case("trace is null", ASKED, {**ANSWERED, "databricks_output": {"trace": None}}, expected={"trace": None}),
    Case(
        "trace beside predictions",
        {"inputs": "q"},
        {"predictions": ["So"], "databricks_output": {"trace": TRACE_3}},
        expected={"trace": TRACE_3},
    ),
)
CUT, CUT_ANSWER = ("MAX_REQUEST_SIZE_EXCEEDED",), ("MAX_RESPONSE_SIZE_EXCEEDED",)
FAILURES = (
    Case(
        "a cut request",
        Raw('{"messages": [{"role": "user", "con'),
        codes=CUT,
        expected={"request": None, "response": "A table format."},
    ),
    Case("a request that was left out", None, codes=CUT, expected={"request": None, "request_raw": None}),
    Case("a cut answer", ASKED, Raw('{"choices": [{"mess'), codes=CUT_ANSWER, expected=answer(None)),
    Case("an answer that was left out", ASKED, None, codes=CUT_ANSWER, expected=answer(None, response_raw=None)),
    Case(
        "a cut stream",
        ASKED,
        Raw('data: {"choices": [{"delta": {"content": "A "}}]}\n\ndata: {"cho'),
        codes=CUT_ANSWER,
        expected=answer("A "),
    ),
    Case("both cut", Raw('{"mess'), Raw("{"), codes=CUT + CUT_ANSWER, expected={"request": None, "response": None}),
    Case(
        "status 400",
        ASKED,
        {"error_code": "BAD_REQUEST", "message": "no"},
        status=400,
        expected=answer(None, status_code=400),
    ),
    Case("status 500 with text", ASKED, Raw("upstream gone"), status=500, expected=answer(None, status_code=500)),
    Case("status 429 with nothing", ASKED, None, status=429, expected=answer(None, status_code=429)),
    Case("no answer at all", ASKED, None, expected=answer(None)),
    Case("an unknown entity", ASKED, entity="gone", expected={"request_metadata": [("endpoint_name", "agents_qa")]}),
    Case("no entity", ASKED, entity=None, expected={"request_metadata": [("endpoint_name", "agents_qa")]}),
    Case(
        "request is broken JSON",
        Raw('{"messages": ['),
        place="quarantine",
        expected={"reason": "request is not valid JSON"},
    ),
    Case(
        "request is broken JSON and was refused",
        Raw("{oops"),
        {"error_code": "BAD_REQUEST"},
        "quarantine",
        {"status_code": 400},
        status=400,
    ),
    Case(
        "request is text", Raw("What is Delta?"), place="quarantine", expected={"reason": "request is not valid JSON"}
    ),
    Case(
        "request is a number",
        Raw("42"),
        place="quarantine",
        expected={"reason": "request is neither an object, a list nor a string"},
    ),
    Case("request is empty", Raw("  "), place="quarantine", expected={"reason": "request is empty"}),
    Case("request is null", None, place="quarantine", expected={"reason": "request is empty", "request_raw": None}),
    Case("answer is broken JSON", ASKED, Raw('{"choices": '), "quarantine", {"reason": "response is not valid JSON"}),
    Case("answer is text", ASKED, Raw("<html>"), "quarantine", {"reason": "response is not valid JSON"}),
)
POSITIVE = {"ratings": {"answer_correct": {"value": "positive"}}}
FEEDBACK = (
    Case(
        "feedback as the seed has it",
        feedback(
            text_assessments=[
                {
                    "ratings": {"answer_correct": {"value": "positive"}, "accurate": {"value": "positive"}},
                    "free_text_comment": "The answer used the context",
                }
            ],
            retrieval_assessments=[{"ratings": {"groundedness": {"value": "positive"}}}],
        ),
        {"predictions": {"result": "ok"}},
        "assessments",
        elements=2,
    ),
    Case(
        "feedback in JSON strings",
        feedback(
            request_id="rated-2",
            source=json.dumps({"id": "u", "type": "end_user", "tags": {"team": "x"}}),
            text_assessments=json.dumps([{**POSITIVE, "step_id": "s1", "suggested_output": "Better"}]),
            retrieval_assessments=json.dumps(
                [{"position": 0, "step_id": "s2", **POSITIVE}, {"position": 1, "step_id": "s3", **POSITIVE}]
            ),
        ),
        place="assessments",
        elements=3,
    ),
    Case(
        "feedback in a split dataframe, two records",
        {
            "dataframe_split": {
                "columns": ["request_id", "source", "text_assessments", "retrieval_assessments"],
                "data": [["rated-3", "u", [POSITIVE], None], ["rated-4", None, "[]", [POSITIVE, POSITIVE]]],
            }
        },
        place="assessments",
        elements=3,
    ),
    Case(
        "ratings of all kinds",
        feedback(
            request_id="rated-5",
            text_assessments={
                "ratings": {
                    "yes": {"value": True},
                    "stars": {"value": 4, "rationale": "good"},
                    "half": {"value": 0.5},
                    "named": {"value": "4"},
                    "double": {"double_value": 2.5},
                    "bare": "negative",
                    "none": {"value": None},
                }
            },
        ),
        place="assessments",
        elements=1,
    ),
    Case(
        "feedback that was refused",
        feedback(text_assessments=[POSITIVE]),
        {"error_code": "X"},
        "quarantine",
        {"reason": "feedback was refused with status 400"},
        status=400,
    ),
    Case(
        "feedback without an assessment",
        feedback(text_assessments=None, retrieval_assessments=[]),
        place="quarantine",
        expected={"reason": "feedback without an assessment"},
    ),
    Case(
        "feedback of nothing",
        feedback(request_id=None, text_assessments=[POSITIVE]),
        place="quarantine",
        expected={"reason": "feedback names no request that it rates"},
    ),
    Case(
        "assessments are text",
        feedback(text_assessments="very good"),
        place="quarantine",
        expected={"reason": "text_assessments is no list of assessments"},
    ),
    Case(
        "an assessment is a number",
        feedback(text_assessments=[POSITIVE, 5]),
        place="quarantine",
        expected={"reason": "text_assessments is no list of assessments"},
    ),
    Case(
        "ratings are a list",
        feedback(retrieval_assessments=[{"ratings": [1]}]),
        place="quarantine",
        expected={"reason": "retrieval_assessments is no list of assessments"},
    ),
    Case(
        "a question about assessments",
        {"messages": [{"role": "user", "content": "what are text_assessments?"}]},
        expected={"request": "what are text_assessments?"},
    ),
)
CASES = (*CHAT, *RESPONSES, *DATAFRAMES, *PLAIN, *STREAMS, *TRACES, *FAILURES, *FEEDBACK)
