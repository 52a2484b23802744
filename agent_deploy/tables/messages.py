"""Questions, answers and traces in all formats that agents take and give; part of the pipeline's source."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from agent_deploy.tables.json_columns import first_text, is_list_of_objects, last, let, start_of, with_columns

# What is read of a request, of an answer and of a chunk of a streamed answer. A field of type string takes any value:
# text as it is, and the JSON text of an object or a list.
MESSAGES = "array<struct<role:string,type:string,content:string>>"
CONVERSATION = "struct<conversation_id:string>"
CONVERSATION_PARENTS = ("databricks_options", "context", "custom_inputs")
# The first of these that holds text is the last user query, if there are no messages.
QUESTION_FIELDS = ("input", "query", "question", "prompt", "request", "text", "content")
REQUEST_FIELDS = {
    "messages": MESSAGES,
    **dict.fromkeys((*QUESTION_FIELDS, "client_request_id", "conversation_id"), "string"),
    **dict.fromkeys(CONVERSATION_PARENTS, CONVERSATION),
}
WRAPPINGS = ("dataframe_records", "inputs", "instances", "dataframe_split")
TRACE = "struct<trace:string>"
TRACE_PARENTS = ("databricks_output", "databricks_options")  # the second is what the seed's page calls it
ANSWER_FIELDS = ("output", "output_text", "content", "answer", "response", "text")
RESPONSE_FIELDS = {
    "choices": "array<struct<message:struct<content:string>,text:string>>",
    "messages": MESSAGES,
    **dict.fromkeys((*ANSWER_FIELDS, "predictions"), "string"),
    **dict.fromkeys(TRACE_PARENTS, TRACE),
}
CHUNK_FIELDS = {
    **dict.fromkeys(("id", "item_id", "type", "delta"), "string"),
    "item": "struct<type:string,content:string>",
    "response": "struct<output:string>",
    "choices": "array<struct<delta:struct<content:string>>>",
    **dict.fromkeys(TRACE_PARENTS, TRACE),
}


def _struct(fields: dict[str, str]) -> str:
    return "struct<" + ",".join(f"{name}:{kind}" for name, kind in fields.items()) + ">"


RECORD, RESPONSE, CHUNK = _struct(REQUEST_FIELDS), _struct(RESPONSE_FIELDS), _struct(CHUNK_FIELDS)
REQUEST = _struct({**REQUEST_FIELDS, **dict.fromkeys(WRAPPINGS, "string")})


def streamed() -> Column:
    """Whether the answer is server-sent events: its first line is data, event, id, retry or a comment."""
    events = start_of(F.col("response")).isin("d", "e", "i", "r", ":")
    return F.coalesce(events & F.col("response").rlike(r"^\s*(data|event|id|retry|):"), F.lit(False))


def event_data() -> Column:
    """The data of each server-sent event, without the closing [DONE]."""
    data = F.regexp_extract_all(F.col("response"), F.lit(r"(?m)^data:[ ]?(.*?)\r?$"), F.lit(1))
    return F.filter(data, lambda line: ~F.trim(line).isin("", "[DONE]"))


def understood(rows: DataFrame) -> DataFrame:
    """Adds what the request logs extract: ``question``, ``answer``, ``trace``, ``conversation_id``, ``client_id``.

    Each body is parsed once, into a struct; what wraps it, and streams, are parsed further only where they occur.
    """
    q, r = F.from_json("request", REQUEST), F.from_json("response", RESPONSE)
    rows = with_columns(rows, q=q, r=r, texts=_chunk_texts())
    q, r = F.col("q"), F.col("r")
    wrapped = F.coalesce(*[q[name] for name in WRAPPINGS]).isNotNull()
    # What only some formats need is in expressions that are not entered for the others.
    streamed = F.when(F.col("texts").isNotNull(), let(_chunks(), _of_stream))
    predicted = F.when(r["predictions"].isNotNull(), let(_first_prediction(), _of_answer))
    rows = with_columns(
        rows,
        asked=_question(q),
        answered=_answer(r),
        conversation=_conversation_id(q),
        body_client_id=q["client_request_id"],
        traced=_trace(r),
        record=F.when(wrapped, let(F.get(_records(), F.lit(0)), _of_record)),
        result=F.coalesce(streamed, predicted),
    )
    whole = F.coalesce(F.col("result.answer"), _text(F.col("answered"), ""), _bare_answer())
    return with_columns(
        rows,
        question=F.coalesce(_text(F.col("asked"), "\n"), F.col("record.question"), _bare_question()),
        answer=F.when(F.col("texts").isNull(), whole).otherwise(F.col("result.answer")),
        trace=F.coalesce(F.col("traced"), F.col("result.trace")),
        conversation_id=F.coalesce(F.col("conversation"), F.col("record.conversation_id")),
        client_id=first_text(F.col("client_request_id"), F.col("body_client_id"), F.col("record.client_id")),
    )


def _of_record(record: Column) -> Column:
    return F.struct(
        let(_question(record), lambda asked: _text(asked, "\n")).alias("question"),
        _conversation_id(record).alias("conversation_id"),
        record["client_request_id"].alias("client_id"),
    )


def _first_prediction() -> Column:
    return F.get(F.from_json("r.predictions", f"array<{RESPONSE}>"), F.lit(0))


def _of_answer(answer: Column) -> Column:
    text = let(_answer(answer), lambda answered: _text(answered, ""))
    return F.struct(text.alias("answer"), _trace(answer).alias("trace"))


def _chunks() -> Column:
    return F.transform("texts", lambda text: F.from_json(text, CHUNK))


def _of_stream(chunks: Column) -> Column:
    return F.struct(_streamed_answer(chunks).alias("answer"), _streamed_trace(chunks).alias("trace"))


def _records() -> Column:
    """The records of a dataframe, of inputs or of instances; one object alone counts as a list of it."""
    split = F.from_json("q.dataframe_split", "struct<columns:array<string>,data:array<array<string>>>")

    def record(names: Column, row: Column) -> Column:
        cells = {name: F.get(row, F.array_position(names, name).cast("int") - 1) for name in REQUEST_FIELDS}
        typed = [
            (cells[name] if kind == "string" else F.from_json(cells[name], kind)).alias(name)
            for name, kind in REQUEST_FIELDS.items()
        ]
        return F.struct(*typed)

    rows = let(split, lambda table: F.transform(table["data"], lambda row: record(table["columns"], row)))
    others = [F.from_json(f"q.{name}", f"array<{RECORD}>") for name in WRAPPINGS[:3]]
    return F.coalesce(*others, F.when(F.col("q.dataframe_split").isNotNull(), rows))


def _text(content: Column, separator: str) -> Column:
    """A message's text: the string, or the text parts of a list of parts. Mentions ``content`` several times."""
    parts = F.from_json(content, "array<struct<type:string,text:string,refusal:string>>")

    def joined(listed: Column) -> Column:
        texts = F.transform(listed, lambda part: F.coalesce(part["text"], part["refusal"]))
        # Parts name their types; a text that looks like a list but is none stays what it is.
        return F.when(F.forall(listed, lambda part: part["type"].isNotNull()), F.array_join(texts, separator))

    whole = F.when(is_list_of_objects(content), F.coalesce(let(parts, joined), content)).otherwise(content)
    return F.nullif(whole, F.lit(""))


def _question(body: Column) -> Column:
    """The last user query's content, from the fields of a request or of a record."""
    is_input = is_list_of_objects(body["input"])
    listed = F.when(is_input, let(F.from_json(body["input"], MESSAGES), _last_query))
    fields = [body[name] for name in QUESTION_FIELDS if name != "input"]
    return first_text(_last_query(body["messages"]), listed, F.when(~is_input, body["input"]), *fields)


def _last_query(messages: Column) -> Column:
    """Content of the last message of the user's, or of the last at all."""
    asked = last(F.filter(messages, lambda message: message["role"] == "user"))
    return F.coalesce(asked, last(messages))["content"]


def _bare_question() -> Column:
    """The last user query without a field of its own: a JSON string, a list, or the only cell of a dataframe."""
    request = F.col("request")
    is_messages = is_list_of_objects(request)
    messages = let(F.from_json(request, MESSAGES), _last_query)
    inputs = F.coalesce(*[F.get_json_object(request, f"$.{path}") for path in ("inputs[0]", "instances[0]", "inputs")])
    records = F.get_json_object(request, "$.dataframe_records")
    record = F.get(F.from_json(records, "array<map<string,string>>"), F.lit(0))
    sole = let(F.map_values(record), lambda cells: F.when(F.size(cells) == 1, F.get(cells, F.lit(0))))
    width = F.json_array_length(F.get_json_object(request, "$.dataframe_split.columns"))
    return first_text(
        F.when(is_messages, let(messages, lambda asked: _text(asked, "\n"))),
        last(F.when(~is_messages, _strings(request))),
        F.when(start_of(inputs) != "{", inputs),
        sole,
        F.when(width == 1, F.get_json_object(request, "$.dataframe_split.data[0][0]")),
    )


def _strings(json: Column) -> Column:
    """A JSON string, or a list of them, as a list; null of anything else."""
    listed = F.when(start_of(json) == '"', F.concat(F.lit("["), json, F.lit("]"))).when(start_of(json) == "[", json)
    return F.from_json(listed, "array<string>")


def _conversation_id(body: Column) -> Column:
    options, context, inputs = (body[parent]["conversation_id"] for parent in CONVERSATION_PARENTS)
    return first_text(options, context, body["conversation_id"], inputs)


def _answer(value: Column) -> Column:
    """Content of the last response to the user, from a whole answer."""
    said = F.filter(value["messages"], lambda m: (m["role"] == "assistant") & m["content"].isNotNull())
    choice = F.get(value["choices"], F.lit(0))
    fields = [value[name] for name in ANSWER_FIELDS if name != "output"]
    chosen = (choice["message"]["content"], last(said)["content"], _output(value["output"]), choice["text"], *fields)
    return first_text(*chosen)


def _output(output: Column) -> Column:
    """Content of the last message among a Responses API's output items, or the output if it is just text."""
    items = F.filter(F.from_json(output, MESSAGES), lambda item: item["type"] == "message")
    return F.when(is_list_of_objects(output), last(items)["content"]).otherwise(F.nullif(output, F.lit("[]")))


def _bare_answer() -> Column:
    """An answer that is no object: a JSON string or a list of them, or predictions of either."""
    predicted = F.coalesce(*[F.get_json_object("response", f"$.predictions{first}") for first in ("[0]", "")])
    return first_text(predicted, F.array_join(_strings(F.col("response")), ""))


def _chunk_texts() -> Column:
    """The chunks of a streamed answer, which is logged as it was sent or as a list; null of any other answer."""
    response = F.col("response")
    listed = F.when(is_list_of_objects(response), F.from_json(response, "array<string>"))
    return F.when(streamed(), event_data()).otherwise(listed)


def _streamed_answer(chunks: Column) -> Column:
    """The last message of a stream: as its last event tells it, or put together from the pieces that have its id."""

    def event(kind: str) -> Column:
        return last(F.filter(chunks, lambda chunk: chunk["type"] == kind))

    items = F.filter(chunks, lambda chunk: chunk["type"] == "response.output_item.done")
    done = last(F.filter(items, lambda chunk: chunk["item"]["type"] == "message"))

    def piece(chunk: Column) -> Column:
        delta = F.from_json(chunk["delta"], "struct<role:string,id:string,content:string>")
        said = F.when(~delta["role"].eqNullSafe("tool"), delta["content"])
        text = F.when(chunk["type"] == "response.output_text.delta", chunk["delta"]).otherwise(said)
        first = F.get(chunk["choices"], F.lit(0))["delta"]["content"]
        identity = F.coalesce(chunk["item_id"], delta["id"], chunk["id"], F.lit(""))
        return F.struct(identity.alias("id"), F.coalesce(first, text).alias("text"))

    def joined(pieces: Column) -> Column:
        of_last = F.filter(pieces, lambda p: p["id"] == last(pieces)["id"])
        return F.array_join(F.transform(of_last, lambda p: p["text"]), "")

    pieces = F.filter(F.transform(chunks, piece), lambda p: p["text"].isNotNull())
    answers = F.transform("texts", lambda text: let(F.from_json(text, RESPONSE), _of_answer)["answer"])
    completed = _output(event("response.completed")["response"]["output"])
    return first_text(
        let(F.coalesce(done["item"]["content"], completed), lambda content: _text(content, "")),
        let(pieces, joined),
        last(F.filter(answers, lambda text: text.isNotNull())),
    )


def _trace(answer: Column) -> Column:
    """The trace in an answer or in a chunk of it, as JSON text."""
    return F.coalesce(*[answer[parent]["trace"] for parent in TRACE_PARENTS])


def _streamed_trace(chunks: Column) -> Column:
    return last(F.filter(F.transform(chunks, _trace), lambda trace: trace.isNotNull()))
