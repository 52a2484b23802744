"""Questions, answers and traces in all formats that agents take and give; part of the pipeline's source."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from agent_deploy.tables.json_columns import (
    CORRUPT,
    STRICT,
    as_list,
    first_text,
    invalid,
    is_list_of_objects,
    last,
    last_of,
    latest,
    let,
    start_of,
    with_columns,
)

# What is read of a request or of a record in it, and of an answer or of a chunk of a streamed one. A field of type
# string takes any value: text as it is, and the JSON text of an object or a list.
MESSAGES = "array<struct<role:string,type:string,content:string>>"
CONVERSATION = "struct<conversation_id:string>"
CONVERSATION_PARENTS = ("databricks_options", "context", "custom_inputs")
# The first of these that holds text is the last user query, if there are no messages.
QUESTION_FIELDS = ("query", "question", "prompt", "request", "text", "content")
DATAFRAMES = ("dataframe_records", "dataframe_split")
LISTS = ("dataframe_records", "inputs", "instances")
REQUEST_FIELDS = {
    "messages": MESSAGES,
    **dict.fromkeys(("input", *QUESTION_FIELDS, "client_request_id", "conversation_id"), "string"),
    **dict.fromkeys(CONVERSATION_PARENTS, CONVERSATION),
    **dict.fromkeys((*LISTS, *DATAFRAMES), "string"),
}
TRACE = "struct<trace:string>"
TRACE_PARENTS = ("databricks_output", "databricks_options")  # the second is what the seed's page calls it
ANSWER_FIELDS = ("output_text", "content", "answer", "response", "text")
RESPONSE_FIELDS = {
    "choices": "array<struct<message:struct<content:string>,text:string,delta:struct<content:string>>>",
    "messages": MESSAGES,
    **dict.fromkeys(("output", *ANSWER_FIELDS, "predictions", "id", "item_id", "type", "delta"), "string"),
    "item": "struct<type:string,content:string>",
    **dict.fromkeys(TRACE_PARENTS, TRACE),
}


def _struct(fields: dict[str, str]) -> str:
    return "struct<" + ",".join(f"{name}:{kind}" for name, kind in fields.items()) + f",{CORRUPT}:string>"


REQUEST, RESPONSE = _struct(REQUEST_FIELDS), _struct(RESPONSE_FIELDS)


def parsed(rows: DataFrame) -> DataFrame:
    """Adds ``q`` and ``r``, what is read of both bodies, and ``texts``, the chunks of a streamed answer.

    Each body is parsed once; what wraps it, and streams, are parsed further only where they occur.
    """
    q, r = F.from_json("request", REQUEST, STRICT), F.from_json("response", RESPONSE, STRICT)
    response = F.col("response")
    listed = F.when(is_list_of_objects(response), F.from_json(response, "array<string>"))
    return with_columns(rows, q=q, r=r, texts=F.when(streamed(), event_data()).otherwise(listed))


def is_broken(body: str, parsed_as: str) -> Column:
    """`invalid` of a body that was parsed: only what does not fit the schema is looked at again."""
    suspect = F.coalesce(start_of(F.col(body)) != "{", F.lit(True)) | F.col(parsed_as)[CORRUPT].isNotNull()
    return F.when(suspect, invalid(F.col(body)))


def streamed() -> Column:
    """Whether the answer is server-sent events: its first line is data, event, id, retry or a comment."""
    events = start_of(F.col("response")).isin("d", "e", "i", "r", ":")
    return F.coalesce(events & F.col("response").rlike(r"^\s*(data|event|id|retry|):"), F.lit(False))


def event_data() -> Column:
    """The data of each server-sent event, without the closing [DONE]."""
    # No multi-line mode: there, lines end at U+0085, U+2028 and U+2029 as well, which JSON text may hold as they are.
    data = F.regexp_extract_all(F.col("response"), F.lit(r"(?:^|\n)data:[ ]?([^\r\n]*)"), F.lit(1))
    return F.filter(data, lambda line: ~F.trim(line).isin("", "[DONE]"))


def understood(rows: DataFrame) -> DataFrame:
    """Adds what the request logs extract: ``question``, ``answer``, ``trace``, ``conversation_id``, ``client_id``.

    ``rows`` are `parsed`. What only some formats need is in expressions that are not entered for the others.
    """
    q, r = F.col("q"), F.col("r")
    wrapped = F.coalesce(*[q[name] for name in (*LISTS, "dataframe_split")]).isNotNull()
    # Of predictions that were cut nothing but the first can be trusted.
    all_predicted = F.when(~F.col("response_cut"), r["predictions"])
    predicted = F.when(
        r["predictions"].isNotNull(), F.coalesce(F.get_json_object("response", "$.predictions[0]"), all_predicted)
    )
    rows = with_columns(rows, record=F.when(wrapped, _record()), predicted=predicted)
    record, predicted, texts = F.col("record"), F.col("predicted"), F.col("texts")
    whole = F.when(predicted.isNotNull(), _read_answer(predicted)).otherwise(r)
    rows = with_columns(
        rows,
        body=F.when(record.isNotNull(), F.from_json(record, REQUEST)).otherwise(q),
        whole=F.when(texts.isNull(), whole),
        chunks=F.when(texts.isNotNull(), F.transform(texts, _read_chunk)),
    )
    body, whole, chunks = F.col("body"), F.col("whole"), F.col("chunks")
    told = F.coalesce(_streamed_answer(chunks), last_of(F.transform(chunks, _answer)))
    rows = with_columns(
        rows,
        conversed=_messages(body),
        said=F.when(chunks.isNotNull(), told).otherwise(_answer(whole)),
        traced=F.when(chunks.isNotNull(), last_of(F.transform(chunks, _trace))).otherwise(_trace(whole)),
        conversation_id=first_text(_conversation_id(q), _conversation_id(body)),
        client_id=first_text(F.col("client_request_id"), q["client_request_id"], body["client_request_id"]),
    )
    rows = with_columns(rows, asked=_question(body, F.col("conversed")))
    return with_columns(
        rows,
        question=F.coalesce(_text("asked", "\n"), _bare_question()),
        answer=F.coalesce(_text("said", ""), F.when(texts.isNull(), _bare_answer())),
        trace=F.coalesce(_trace(r), F.col("traced")),
    )


def _record() -> Column:
    """JSON text of the first record of a dataframe, of inputs or of instances; one alone counts as a list of it."""
    paths = [f"$.{name}{first}" for name in LISTS for first in ("[0]", "")]
    listed = [F.get_json_object("request", path) for path in paths]
    return F.coalesce(*listed, let(F.try_parse_json("q.dataframe_split"), _split_record))


def _split_record(split: Column) -> Column:
    row = as_list(split, "data[0]")

    def pair(name: Column, position: Column) -> Column:
        return F.concat(F.to_json(name), F.lit(":"), F.to_json(F.get(row, position)))

    pairs = F.transform(as_list(split, "columns"), pair)  # those without a cell are null, and array_join skips them
    return F.concat(F.lit("{"), F.array_join(pairs, ","), F.lit("}"))


def _read_answer(text: Column) -> Column:
    return F.from_json(text, RESPONSE)


def _read_chunk(text: Column) -> Column:
    # Events about the response as a whole carry it as it is so far, and at last as it is.
    carried = F.when(text.contains('"response.'), F.get_json_object(text, "$.response"))
    return _read_answer(F.coalesce(carried, text))


def _text(content: str, separator: str) -> Column:
    """A message's text: the string, or the text parts of a list of parts."""
    column = F.col(content)
    parts = F.from_json(column, "array<struct<type:string,text:string,refusal:string>>")

    def joined(listed: Column) -> Column:
        texts = F.transform(listed, lambda part: F.coalesce(part["text"], part["refusal"]))
        # Parts name their types; a text that looks like a list but is none stays what it is.
        return F.when(F.forall(listed, lambda part: part["type"].isNotNull()), F.array_join(texts, separator))

    return first_text(F.coalesce(F.when(is_list_of_objects(column), let(parts, joined)), column))


def _messages(body: Column) -> Column:
    """A conversation's messages, from the fields of a request or of a record, or from a bare list of messages."""
    given = F.when(F.size(body["messages"]) > 0, body["messages"])
    listed = F.coalesce(body["input"], F.col("record"), F.col("request"))
    return F.coalesce(given, F.when(is_list_of_objects(listed), F.from_json(listed, MESSAGES)))


def _question(body: Column, messages: Column) -> Column:
    """The last user query's content: of its message, or of the fields that hold one without messages."""
    # Text that looks like a list but is none stays what it is.
    text = F.when(~is_list_of_objects(body["input"]) | messages.isNull(), body["input"])
    return first_text(_last_query(messages), text, *[body[name] for name in QUESTION_FIELDS])


def _last_query(messages: Column) -> Column:
    """Content of the last message of the user's, or of the last at all."""
    asked = latest(messages, lambda message: message["role"] == "user")
    return F.coalesce(asked, last(messages))["content"]


def _bare_question() -> Column:
    """The last user query without a field of its own: a JSON string, a list, or the only cell of a dataframe."""
    record, request = F.col("record"), F.col("request")
    strings = F.when(record.isNull() & ~is_list_of_objects(request), last(_strings(request)))
    is_dataframe = F.coalesce(*[F.col("q")[name] for name in DATAFRAMES]).isNotNull()
    cells = F.map_values(F.from_json(record, "map<string,string>"))
    sole = F.when(is_dataframe, let(cells, lambda found: F.when(F.size(found) == 1, F.get(found, F.lit(0)))))
    return first_text(F.coalesce(strings, F.when(start_of(record) != "{", record), sole))


def _strings(json: Column) -> Column:
    """A JSON string, or a list of them, as a list; null of anything else."""
    listed = F.when(start_of(json) == '"', F.concat(F.lit("["), json, F.lit("]"))).when(start_of(json) == "[", json)
    return F.from_json(listed, "array<string>")


def _conversation_id(body: Column) -> Column:
    options, context, inputs = (body[parent]["conversation_id"] for parent in CONVERSATION_PARENTS)
    return first_text(options, context, body["conversation_id"], inputs)


def _answer(value: Column) -> Column:
    """Content of the last response to the user, from a whole answer."""
    said = latest(value["messages"], lambda m: (m["role"] == "assistant") & m["content"].isNotNull())
    choice = F.get(value["choices"], F.lit(0))
    fields = [value[name] for name in ANSWER_FIELDS]
    return first_text(choice["message"]["content"], said["content"], _output(value["output"]), choice["text"], *fields)


def _output(output: Column) -> Column:
    """Content of the last message among a Responses API's output items, or the output if it is just text."""
    items = F.from_json(output, MESSAGES)
    message = last_of(items, lambda item: item["type"] == "message")
    return F.when(is_list_of_objects(output), message["content"]).when(output != "[]", output)


def _bare_answer() -> Column:
    """An answer that is no object: predictions that are not, a JSON string or a list of them."""
    return first_text(F.coalesce(F.col("predicted"), F.array_join(_strings(F.col("response")), "")))


def _streamed_answer(chunks: Column) -> Column:
    """The last message of a stream: as its last event tells it, or put together from the pieces that have its id."""
    items = F.filter(chunks, lambda chunk: chunk["type"] == "response.output_item.done")
    done = last_of(items, lambda chunk: chunk["item"]["type"] == "message")

    def piece(chunk: Column) -> Column:
        delta = F.from_json(chunk["delta"], "struct<role:string,id:string,content:string>")
        return let(delta, lambda fields: _piece(chunk, fields))

    def joined(pieces: Column) -> Column:
        of_last = F.filter(pieces, lambda p: p["id"] == last(pieces)["id"])
        return F.array_join(F.transform(of_last, lambda p: p["text"]), "")

    pieces = F.filter(F.transform(chunks, piece), lambda p: p["text"].isNotNull())
    return first_text(done["item"]["content"], let(pieces, joined))


def _piece(chunk: Column, delta: Column) -> Column:
    """A chunk's share of a message: the message's id and the text."""
    said = F.when(~delta["role"].eqNullSafe("tool"), delta["content"])
    text = F.when(chunk["type"] == "response.output_text.delta", chunk["delta"]).otherwise(said)
    first = F.get(chunk["choices"], F.lit(0))["delta"]["content"]
    identity = F.coalesce(chunk["item_id"], delta["id"], chunk["id"], F.lit(""))
    return F.struct(identity.alias("id"), F.coalesce(first, text).alias("text"))


def _trace(answer: Column) -> Column:
    """The trace in an answer or in a chunk of it, as JSON text."""
    return F.coalesce(*[answer[parent]["trace"] for parent in TRACE_PARENTS])
