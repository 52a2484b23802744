"""Pipeline that derives request logs, assessment logs and a quarantine from an endpoint's payload table.

One source for Lakeflow Declarative Pipelines on Databricks and for Apache Spark Declarative Pipelines elsewhere.
`agent_deploy.tables.source` makes one file of it and of the modules that it imports, which needs nothing but pyspark,
and fills in TABLES from `agent_deploy.rules.tables`.

Configuration: `agent_deploy.payload_table` (full name, in backquotes), `agent_deploy.endpoint_name`,
`agent_deploy.served_entities` (JSON: served entity id → {model_name, model_version}),
`agent_deploy.served_entities_table` (optional: a table with served_entity_id, entity_name and entity_version, which is
asked first; `system.serving.served_entities` on Databricks) and `agent_deploy.cluster_by_date` ("true" on Databricks).

Each payload row goes to exactly one place: `_reason` and `is_feedback` say which. Every table is a stream over the
payload table, so a run reads only what is new. Commits that delete or update are skipped. What was seen is kept as
state, by request id and without a time limit, so that neither a late row is dropped nor an old one doubled.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from pyspark import pipelines as dp
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from agent_deploy.tables.feedback import ASSESSMENT, feedback_reason, is_feedback, mentions_assessments, rated_records
from agent_deploy.tables.json_columns import invalid, let, start_of, with_columns
from agent_deploy.tables.messages import event_data, is_broken, parsed, streamed, understood

# Key → (suffix of the table's name, columns as DDL, comment).
TABLES: dict[str, tuple[str, str, str]] = {}
SCHEMA_VERSION = ""

REQUEST_CUT, RESPONSE_CUT = "MAX_REQUEST_SIZE_EXCEEDED", "MAX_RESPONSE_SIZE_EXCEEDED"


def setting(key: str) -> str:
    """A configuration value of the pipeline, or the empty string."""
    return SparkSession.active().conf.get(f"agent_deploy.{key}", "") or ""


# --- Payload rows, whichever layout ----------------------------------------------------------------------------------


def payload(types: dict[str, str]) -> DataFrame:
    """The payload table, whose columns have ``types``, as a stream in the columns that both layouts are brought to."""
    stream = SparkSession.active().readStream.option("skipChangeCommits", "true").table(setting("payload_table"))
    legacy = "timestamp_ms" in types
    time = F.timestamp_millis(F.col("timestamp_ms")) if legacy else F.col("request_time").cast("timestamp")
    codes = F.col("logging_error_codes") if "logging_error_codes" in types else F.array().cast("array<string>")
    rows = stream.select(
        F.nullif(F.col("databricks_request_id"), F.lit("")).alias("id"),
        F.col("client_request_id"),
        time.alias("time"),
        F.coalesce(F.col("date" if legacy else "request_date"), F.to_date(time)).alias("date"),
        F.col("status_code").try_cast("int").alias("status_code"),
        F.col("sampling_fraction"),
        F.col("execution_time_ms" if legacy else "execution_duration_ms").alias("execution_time_ms"),
        F.col("request"),
        F.col("response"),
        F.coalesce(F.array_contains(codes, REQUEST_CUT), F.lit(False)).alias("request_cut"),
        F.coalesce(F.array_contains(codes, RESPONSE_CUT), F.lit(False)).alias("response_cut"),
        (F.lit(None).cast("string") if legacy else F.col("served_entity_id")).alias("served_entity_id"),
        _logged_metadata(types.get("request_metadata")).alias("logged_metadata"),
    )
    return _with_metadata(rows)


def _logged_metadata(kind: str | None) -> Column:
    if kind is None:
        return F.lit(None).cast("map<string,string>")
    if kind == "string":  # seen in old tables
        return F.from_json(F.col("request_metadata"), "map<string,string>")
    return F.col("request_metadata").cast("map<string,string>")


def _with_metadata(rows: DataFrame) -> DataFrame:
    """Adds ``metadata``: endpoint name, model name and model version, as far as they are known."""
    endpoint, known = setting("endpoint_name"), json.loads(setting("served_entities") or "{}")
    metadata = {entity: {"endpoint_name": endpoint, **model} for entity, model in known.items()}
    by_entity = F.from_json(F.lit(json.dumps(metadata)), "map<string,map<string,string>>")
    found = [F.col("logged_metadata"), F.try_element_at(by_entity, F.col("served_entity_id"))]
    if table := setting("served_entities_table"):
        # The table keeps every configuration of an entity; they differ in other columns than these.
        entities = SparkSession.active().read.table(table).groupBy("served_entity_id")
        recorded = {"model_name": "entity_name", "model_version": "entity_version"}
        names = {"endpoint_name": F.lit(endpoint), **{name: F.col(column) for name, column in recorded.items()}}
        pairs = [part for name, column in names.items() for part in (F.lit(name), F.max(column).cast("string"))]
        rows = rows.join(F.broadcast(entities.agg(F.create_map(*pairs).alias("recorded"))), "served_entity_id", "left")
        found.insert(1, F.col("recorded"))
    return with_columns(rows, metadata=F.coalesce(*found, F.create_map(F.lit("endpoint_name"), F.lit(endpoint))))


def without_duplicates(rows: DataFrame, place: Column | None = None) -> DataFrame:
    """The first delivery of each request; rows without an id are told apart by what they hold.

    With ``place``, rows of the same id that belong to different places are no duplicates of one another.
    """
    content = F.struct("time", "client_request_id", "status_code", "request", "response")
    key = F.coalesce(F.col("id"), F.sha2(F.to_json(content), 256))
    return with_columns(rows, delivery=key if place is None else F.concat(place, key)).dropDuplicates(["delivery"])


# --- What a row is ---------------------------------------------------------------------------------------------------


def _reason(broken_request: Column, broken_response: Column, chunks: Column) -> Column:
    """Why a row can't be read; null when it can. A body that the platform cut is no fault: its columns stay null."""
    start, whole = F.coalesce(start_of(F.col("request")), F.lit("")), ~F.col("request_cut")
    answered = (F.col("status_code") == 200) & (start_of(F.col("response")) != "") & ~F.col("response_cut")
    broken_events = let(chunks, lambda listed: (F.size(listed) == 0) | F.exists(listed, invalid))
    return (
        F.when(F.col("id").isNull(), "databricks_request_id is missing")
        .when(whole & (start == ""), "request is empty")
        .when(whole & broken_request, "request is not valid JSON")
        .when(whole & ~start.isin("{", "[", '"'), "request is neither an object, a list nor a string")
        .when(answered & ~streamed() & broken_response, "response is not valid JSON")
        .when(answered & streamed() & broken_events, "a chunk of the streamed response is not valid JSON")
    )


def _reason_alone() -> Column:
    """`_reason` of a row whose bodies are not parsed for anything else."""
    return _reason(invalid(F.col("request")), invalid(F.col("response")), event_data())


# --- The tables ------------------------------------------------------------------------------------------------------


def requests(logged: DataFrame) -> DataFrame:
    """Rows of the request logs."""
    rows = parsed(logged)
    reason = _reason(is_broken("request", "q"), is_broken("response", "r"), F.col("texts"))
    rows = understood(with_columns(rows, here=F.coalesce(reason.isNull() & ~is_feedback(), F.lit(False))))
    # Filtered after the duplicates have gone: Spark would move the filter to the rows as they come, and there parse
    # them a second time.
    rows = without_duplicates(rows, F.when(F.col("here"), "").otherwise("not here: ")).filter("here")
    return rows.select(
        F.col("client_id").alias("client_request_id"),
        F.col("id").alias("databricks_request_id"),
        "date",
        F.unix_millis("time").alias("timestamp_ms"),
        F.col("time").alias("timestamp"),
        "status_code",
        "execution_time_ms",
        "conversation_id",
        F.col("question").alias("request"),
        F.col("answer").alias("response"),
        F.col("request").alias("request_raw"),
        F.col("response").alias("response_raw"),
        "trace",
        "sampling_fraction",
        F.col("metadata").alias("request_metadata"),
        F.lit(SCHEMA_VERSION).alias("schema_version"),
    )


def assessments(logged: DataFrame) -> DataFrame:
    """Rows of the assessment logs: one for each assessment of each record of a feedback request."""
    rows = logged.filter(mentions_assessments())
    rated = F.when(_reason_alone().isNull() & is_feedback(), rated_records(F.try_parse_json("request")))
    rows = with_columns(rows, rated=rated)
    rows = with_columns(rows, here=F.col("rated").isNotNull() & feedback_reason(F.col("rated")).isNull())
    rows = without_duplicates(rows, F.when(F.col("here"), "").otherwise("not here: ")).filter("here")
    rows = rows.select("time", F.explode("rated").alias("record"))
    none = F.lit(None).cast(ASSESSMENT)
    kinds = F.concat(
        F.transform("record.texts", lambda a: F.struct(a.alias("text"), none.alias("document"))),
        F.transform("record.retrievals", lambda a: F.struct(none.alias("text"), a.alias("document"))),
    )
    rows = rows.select("time", "record", F.inline(kinds))
    return rows.select(
        F.col("record.request_id").alias("request_id"),
        F.coalesce("document.step_id", "text.step_id").alias("step_id"),
        F.col("record.source").alias("source"),
        F.col("time").alias("timestamp"),
        _only("text", "step_id", "ratings", "free_text_comment", "suggested_output").alias("text_assessment"),
        _only("document", "position", "step_id", "ratings", "free_text_comment").alias("retrieval_assessment"),
    )


def _only(struct: str, *fields: str) -> Column:
    return F.when(F.col(struct).isNotNull(), F.struct(*[F.col(f"{struct}.{field}") for field in fields]))


def quarantine(logged: DataFrame) -> DataFrame:
    """Rows that can't be read, each with the reason."""
    feedback = F.when(is_feedback(), let(rated_records(F.try_parse_json("request")), feedback_reason))
    rows = with_columns(logged, reason=F.coalesce(_reason_alone(), feedback)).filter("reason IS NOT NULL")
    return without_duplicates(rows).select(
        F.col("id").alias("databricks_request_id"),
        "date",
        F.col("time").alias("timestamp"),
        "reason",
        "status_code",
        "client_request_id",
        "execution_time_ms",
        "sampling_fraction",
        F.col("request").alias("request_raw"),
        F.col("response").alias("response_raw"),
        F.col("metadata").alias("request_metadata"),
    )


def declare() -> None:
    """Declares each table to the engine that imported this file."""
    # Engines let the schema be asked for here, but not in a table's function.
    types = dict(SparkSession.active().read.table(setting("payload_table")).dtypes)
    payload_name = setting("payload_table").split(".")[-1].strip("`")
    for derive in (requests, assessments, quarantine):
        suffix, columns, comment = TABLES[derive.__name__]
        by_date = setting("cluster_by_date") == "true" and "`date`" in columns
        table = dp.table(
            name=f"`{payload_name}{suffix}`",
            comment=comment,
            schema=columns,
            cluster_by=["date"] if by_date else None,
            # A full refresh would lose what has since been deleted from the payload table.
            table_properties={"pipelines.reset.allowed": "false"},
        )
        table(partial(_derived, derive, types))


def _derived(derive: Callable[[DataFrame], DataFrame], types: dict[str, str]) -> DataFrame:
    return derive(payload(types))


if TABLES:
    declare()
